"""Agree on sizes: let onnx infer the size that onnxruntime gives a Resize.

A scale such as 31 / 24 is no float. The one beside it, times 24, is a hair less than 31 and rounds to it: onnx infers
30, and onnxruntime makes 31, as the exporter meant. Before: shapes are known. After: such a scale is the next float of
which onnx infers what onnxruntime makes, and the shapes behind the Resize are open again. A unit in the last place of a
scale moves what is interpolated by less than rounding does. Nearest pixels it may change: they become Gathers.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.initializers import add_initializer

_STEPS = 4
"""Floats that are tried, each next to the last."""

Floats = npt.NDArray[np.float32]


def agree_on_sizes(model: ir.Model) -> int:
    """Correct every such Resize; return their number."""
    graph = model.graph
    behind: set[ir.Value] = set()
    changed = 0
    for node in [node for node in graph if node.op_type == "Resize"]:
        readers = list(node.outputs[0].consumers())
        if _correct(graph, node, model.opset_imports[""]):
            behind.update(output for each in (node, *readers) for output in each.outputs)
            changed += 1
    for node in graph:
        if behind.intersection(node.inputs):
            behind.update(node.outputs)
    for value in behind:
        if not value.is_graph_output():
            value.shape = None
    return changed


def _correct(graph: ir.Graph, node: ir.Node, opset: int) -> bool:
    source, scales = node.inputs[0], node.inputs[2] if len(node.inputs) > 2 else None
    if source is None or scales is None or scales.const_value is None or not scales.const_value.size:
        return False
    if not (has_static_shape(source) and has_static_shape(node.outputs[0])) or "axes" in node.attributes:
        return False
    factors, sizes = scales.const_value.numpy().astype(np.float32), static_shape(source)
    if len(factors) != len(sizes) or all(float(factor).is_integer() for factor in factors):
        return False
    made = _resized(
        node, [1 if factor == 1 else size for size, factor in zip(sizes, factors, strict=True)], factors, opset
    )
    if made is None:
        return False
    shape = tuple(size if factor == 1 else new for size, factor, new in zip(sizes, factors, made.shape, strict=True))
    if shape == static_shape(node.outputs[0]):
        return False
    if node.attributes.get_string("mode", "nearest") == "nearest":
        return _gather(graph, node, factors, opset)
    new = np.array([_agreed(*each) for each in zip(sizes, factors, shape, strict=True)], np.float32)
    node.replace_input_with(2, add_initializer(graph, f"{node.outputs[0].name}.scales", new))
    return True


def _gather(graph: ir.Graph, node: ir.Node, factors: Floats, opset: int) -> bool:
    """Take the pixels that onnxruntime takes, axis by axis."""
    output, result = node.outputs[0], node.inputs[0]
    assert result is not None
    sizes = static_shape(result)
    for axis, (size, factor) in enumerate(zip(sizes, factors, strict=True)):
        if factor == 1:
            continue
        along, alone = [1] * len(sizes), np.ones(len(sizes), np.float32)
        along[axis], alone[axis] = size, factor
        places = _resized(node, along, alone, opset)
        if places is None:
            return False
        name = f"{output.name}.axis{axis}"
        indices = add_initializer(graph, f"{name}.places", places.reshape(-1).astype(np.int64))
        gather = ir.node("Gather", [result, indices], {"axis": axis}, name=name)
        gather.outputs[0].name, gather.outputs[0].type = name, output.type
        graph.insert_before(node, gather)
        result = gather.outputs[0]
    kept = output.name
    output.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    result.name = kept
    return True


def _resized(node: ir.Node, sizes: list[int], factors: Floats, opset: int) -> Floats | None:
    """What onnxruntime makes of the numbers 0, 1, 2, ...; None where it does not run the node."""
    x, scales, y = (ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT)) for name in ("x", "scales", "y"))
    alone = ir.Node("", "Resize", [x, None, scales], list(node.attributes.values()), outputs=[y])
    graph = ir.Graph([x, scales], [y], nodes=[alone], opset_imports={"": opset}, name="size")
    x.shape, scales.shape = ir.Shape(sizes), ir.Shape([len(factors)])
    numbers = np.arange(math.prod(sizes), dtype=np.float32).reshape(sizes)
    try:
        session = open_session(ir.to_proto(ir.Model(graph, ir_version=9)))
        resized: Floats = session.run(None, {"x": numbers, "scales": factors})[0]
    except Exception:  # onnxruntime's exceptions have no common base; what it does not run says so when it is verified
        return None
    return resized


def _agreed(size: int, factor: np.float32, made: int) -> np.float32:
    """The float next to a scale of which onnx infers what onnxruntime makes; the scale itself where there is none."""
    for towards in (np.float32(np.inf), np.float32(0)):
        near = factor
        for _ in range(_STEPS):
            if math.floor(size * float(near)) == made:
                return near
            near = np.nextafter(near, towards)
    return factor
