"""What holds of a model between the passes that simplify it; tests look, compilations do not.

A few hold of networks alone whose every size is known: the passes behind leave what has no static shape as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from krypton_compile.errors import NodeError
from krypton_compile.passes.quantized import is_quantizing
from krypton_compile.passes.runner import Property
from krypton_compile.passes.shapes import has_static_shape
from krypton_compile.passes.simplify.folding.fold_constants import find_constant_nodes
from krypton_compile.passes.simplify.refuse_nodes import refuse_nodes
from krypton_compile.passes.simplify.upgrade_opset import OLDEST_OPSET

GraphProperty = Property[ir.Model]


def _free_image(model: ir.Model) -> str | None:
    images = [value for value in model.graph.inputs if not value.is_initializer()]
    if len(images) != 1:
        return f"{len(images)} inputs"
    image = images[0]
    fixed = image.shape is not None and has_static_shape(image) and image.shape[0] == 1
    return None if fixed else f"input '{image.name}' has the shape {image.shape}"


def _refused(model: ir.Model) -> str | None:
    try:
        refuse_nodes(model)
    except NodeError as error:
        return str(error)
    return None


def _old_opset(model: ir.Model) -> str | None:
    version = model.opset_imports.get("", 1)
    return None if version >= OLDEST_OPSET else f"opset {version}"


def _initializer_as_input(model: ir.Model) -> str | None:
    return next((f"input '{value.name}' has a default" for value in model.graph.inputs if value.is_initializer()), None)


def _constant_node(model: ir.Model) -> str | None:
    return _first(node for node in model.graph if node.op_type == "Constant")


def _quantized_weight(model: ir.Model) -> str | None:
    if any(is_quantizing(node) for node in model.graph):
        return None
    return _first(
        node
        for node in model.graph
        if node.op_type == "DequantizeLinear" and node.inputs[0] is not None and node.inputs[0].is_initializer()
    )


def _foldable(model: ir.Model) -> str | None:
    return _first(find_constant_nodes(model.graph))


def _function(model: ir.Model) -> str | None:
    return f"functions {list(model.functions)}" if model.functions else None


def _identity(model: ir.Model) -> str | None:
    return _first(
        node
        for node in model.graph
        if node.op_type == "Identity"
        and node.inputs[0] is not None
        and not (node.outputs[0].is_graph_output() and node.inputs[0].is_graph_input())
    )


def _unused(model: ir.Model) -> str | None:
    return _first(
        node for node in model.graph if not any(value.uses() or value.is_graph_output() for value in node.outputs)
    )


def _shapeless(model: ir.Model) -> str | None:
    for node in model.graph:
        for value in node.outputs:
            if value.name and (value.dtype is None or not has_static_shape(value)):
                return f"'{value.name}' of {node.op_type} has the shape {value.shape}"
    return None


def _first(nodes: Iterable[ir.Node]) -> str | None:
    node = next(iter(nodes), None)
    return None if node is None else f"{node.op_type} '{node.name}'"


FIXED_IMAGE = GraphProperty("one input, a batch of 1, its sizes known", _free_image)
ANSWERABLE = GraphProperty("no node is refused", _refused)
NEW_OPSET = GraphProperty(f"opset {OLDEST_OPSET} or newer", _old_opset)
FIXED_INITIALIZERS = GraphProperty("no initializer is an input", _initializer_as_input)
NO_CONSTANT_NODE = GraphProperty("constants are initializers", _constant_node)
FLOAT_WEIGHTS = GraphProperty("only quantized networks have quantized weights", _quantized_weight)
CONSTANTS_FOLDED = GraphProperty("no node depends on constants alone", _foldable)
INLINED = GraphProperty("no functions", _function)
NO_IDENTITY = GraphProperty("no Identity but from an input to an output", _identity)
ALL_IN_USE = GraphProperty("every node's output is read", _unused)
STATIC_SHAPES = GraphProperty("every value has a type and a static shape", _shapeless)
