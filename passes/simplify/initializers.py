"""Constants of a graph that is being rewritten: added, or made of its Constant nodes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common

_LIFT = common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)


def add_initializer(graph: ir.Graph, name: str, array: npt.NDArray[np.generic]) -> ir.Value:
    """Add a constant called ``name``, or where that is taken, ``name.2`` and so on."""
    unique, count = name, 1
    while unique in graph.initializers:
        count += 1
        unique = f"{name}.{count}"
    tensor = ir.tensor(array, name=unique)
    value = ir.Value(name=unique, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def lift_constants(model: ir.Model) -> int:
    """Make every Constant node an initializer; return 1 if there were any.

    Names of classes are constants of text, which onnx-ir's pass takes for ASCII: they are encoded before it sees them.
    """
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Constant":
            _encode(node)
    return int(_LIFT(model).modified)


def _encode(node: ir.Node) -> None:
    """Write texts as bytes of UTF-8 in a tensor."""
    for name in ("value_string", "value_strings"):
        if name in node.attributes:
            text = node.attributes.pop(name).value
            encoded = text.encode() if isinstance(text, str) else [part.encode() for part in text]
            node.attributes["value"] = ir.AttrTensor("value", ir.StringTensor(np.array(encoded, dtype=object)))
