"""Absorb the pads: a Pad before a convolution or a pool becomes pads of its own.

    Conv(Pad(X, 0))           ->    Conv<pads + >(X)
    AveragePool(Pad(X, 0))    ->    AveragePool<pads +, count_include_pad = 1>(X)      the divisor counts all taps
    MaxPool(Pad(X, v))        ->    MaxPool<pads + >(X)      v <= all of X: -inf, the lowest float, 0 where X >= 0

Also through Transposes (TFLite and Keras pad in NHWC). Refused where a pad is negative, beyond H and W, or as large as
a pool's kernel; where the pool has ceil_mode, or pads that its divisor does not count. Shapes are static before and
after.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.bounds import is_nonnegative
from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.folding.through_layouts import axis_before, source_of
from krypton_compile.passes.window_of import end_pads, read_axes, slice_window

_WINDOWED = ("Conv", "AveragePool", "MaxPool")


def absorb_pads(model: ir.Model) -> int:
    """Absorb every such Pad; return their number."""
    graph = model.graph
    return sum(_absorb(graph, node) for node in graph if node.op_type in _WINDOWED and node.domain in ("", "ai.onnx"))


def _absorb(graph: ir.Graph, node: ir.Node) -> bool:
    pad, transposes = source_of(node.inputs[0])
    if pad is None or pad.op_type != "Pad" or not has_static_shape(node.outputs[0]) or not _is_flat_map(pad):
        return False
    amounts, source = _amounts(pad), pad.inputs[0]
    if amounts is None or source is None or not _is_neutral(pad, node):
        return False
    axes = [axis_before(axis, transposes) for axis in range(4)]
    begins, ends = ([amounts[side][axis] for axis in axes] for side in (0, 1))
    if any(begins[:2] + ends[:2]) or min(begins + ends) < 0:
        return False
    own = _own_pads(node)
    pads = [a + b for a, b in zip(own, begins[2:] + ends[2:], strict=True)]
    if not _fits(node, own, pads):
        return False
    if node.op_type == "AveragePool":
        node.attributes.add(ir.AttrInt64("count_include_pad", 1))
    node.attributes.pop("auto_pad", None)
    node.attributes.add(ir.AttrInt64s("pads", pads))
    node.replace_input_with(0, _transposed(graph, node, source, transposes))
    return True


def _is_flat_map(pad: ir.Node) -> bool:
    """Whether it pads a map of two dimensions, of known size."""
    return has_static_shape(pad.outputs[0]) and len(static_shape(pad.outputs[0])) == 4


def _amounts(pad: ir.Node) -> tuple[list[int], list[int]] | None:
    """Begins and ends of all four axes, or None where they are not constant."""
    arrays = [None if value is None else value.const_value for value in pad.inputs[1:4]]
    if (
        len(arrays) < 1
        or arrays[0] is None
        or (len(pad.inputs) > 3 and pad.inputs[3] is not None and arrays[2] is None)
    ):
        return None
    amounts = [int(amount) for amount in arrays[0].numpy()]
    chosen = arrays[2].numpy() if len(arrays) > 2 and arrays[2] is not None else range(4)
    begins, ends = [0] * 4, [0] * 4
    for index, axis in enumerate(chosen):
        begins[int(axis) % 4], ends[int(axis) % 4] = amounts[index], amounts[index + len(chosen)]
    return begins, ends


def _is_neutral(pad: ir.Node, node: ir.Node) -> bool:
    """Whether what the Pad puts there is what the node's own padding means."""
    if "mode" in pad.attributes and pad.attributes["mode"].as_string() != "constant":
        return False
    value = pad.inputs[2] if len(pad.inputs) > 2 else None
    if value is not None and value.const_value is None:
        return False
    number = 0.0 if value is None or value.const_value is None else float(value.const_value.numpy().reshape(()))
    if node.op_type != "MaxPool":
        return number == 0
    return number <= float(np.finfo(np.float32).min) or (number == 0 and is_nonnegative(pad.inputs[0]))


def _own_pads(node: ir.Node) -> list[int]:
    source, output = node.inputs[0], static_shape(node.outputs[0])
    assert source is not None
    axes = read_axes(node, _kernel(node), static_shape(source)[2:], output[2:])
    return [*slice_window(axes).pads, *end_pads(axes)]


def _kernel(node: ir.Node) -> list[int]:
    if "kernel_shape" in node.attributes:
        return list(node.attributes["kernel_shape"].as_ints())
    weight = node.inputs[1]
    assert weight is not None
    return list(static_shape(weight)[2:])


def _fits(node: ir.Node, own: list[int], pads: list[int]) -> bool:
    if node.op_type == "Conv":
        return True
    if "ceil_mode" in node.attributes and node.attributes["ceil_mode"].as_int():
        return False
    counted = "count_include_pad" in node.attributes and node.attributes["count_include_pad"].as_int()
    if node.op_type == "AveragePool" and any(own) and not counted:
        return False
    return all(pad < size for pad, size in zip(pads, _kernel(node) * 2, strict=True))


def _transposed(graph: ir.Graph, node: ir.Node, source: ir.Value, transposes: list[ir.Node]) -> ir.Value:
    """The Transposes once more, of the tensor that is not padded: others may read the padded one."""
    value = source
    for index, old in enumerate(reversed(transposes)):
        perm = old.attributes["perm"].as_ints()
        new = ir.node("Transpose", [value], {"perm": list(perm)}, name=f"{node.outputs[0].name}.unpadded{index or ''}")
        new.outputs[0].name = new.name
        new.outputs[0].type = value.type
        new.outputs[0].shape = ir.Shape([static_shape(value)[axis] for axis in perm])
        graph.insert_before(node, new)
        value = new.outputs[0]
    return value
