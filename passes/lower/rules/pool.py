"""MaxPool, LpPool and AveragePool.

Y = MaxPool(X)        ->  DY = max over taps of (X0 - Y0) + DX, X0 and Y0 the base maps
Y = LpPool(X)         ->  DY = (sum over taps of |X0 + DX|^p)^(1/p) - (sum over taps of |X0|^p)^(1/p)
Y = AveragePool(X)    ->  DY = sum over taps of DX / count of the absolute window

The window of a volume has a depth: all of them read several slices then. LpPool's sums are of
float64, onnxruntime's of float32, where a large p makes 0 of small numbers: such a pool is left to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import depth_attribute, emit_depth_boxes, emit_window_boxes, window_attributes
from krypton_compile.passes.lower.forms import Form, make_delta
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.window_of import Axis, depth_window, end_pads, read_axes, slice_window

_LARGEST_POWER = 4
"""Of an LpPool: with p = 4 maps of 1e-8 are exact still. With p = 8 those of 1e-4 were off by 2e-5
of the largest score, with p = 32 those of 1 by 7e-5."""


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    x, emitter, name = context.delta_of_channels_first(node), context.emitter, str(node.outputs[0].name)
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        raise Refused("its indices are used")
    power, counts_pads = node.attributes.get_int("p", 2), node.attributes.get_int("count_include_pad", 0)
    if node.op_type == "LpPool" and power > _LARGEST_POWER:
        raise Refused(f"powers of p = {power} may leave float32, which onnxruntime sums them in")
    axes = read_axes(node, node.attributes["kernel_shape"].as_ints(), x.spatial, static_shape(node.outputs[0])[2:])
    _refuse_ceil_mode(axes, counts_pads=bool(counts_pads))
    window, along = slice_window(axes), depth_window(axes)
    boxes = emit_window_boxes(emitter, emit_depth_boxes(emitter, x, along, name), window, name)
    attributes: dict[str, int | Sequence[int]] = {**window_attributes(window)}
    if len(axes) == 3:
        attributes |= depth_attribute(along, axes[0].end)
    if node.op_type == "MaxPool":
        maps = [context.base_map(node, 0), emitter.base_map(node.outputs[0], x.layout)]
        values = emitter.emit("IncrementalMaxPool", [x.values, x.boxes, boxes, *maps], attributes, f"{name}.delta")
        return make_delta(node, values, boxes, x.layout, emitter.shrink(values, boxes, name))
    op, inputs = "IncrementalAveragePool", [x.values, x.boxes, boxes]
    if node.op_type == "LpPool":
        op = "IncrementalLpPool"
        inputs.append(context.base_map(node, 0))
        attributes["p"] = power
    else:
        # The divisor counts the pads that the node states, not those that ceil_mode adds.
        attributes["pads"] = [*window.pads, *end_pads(axes)]
        attributes["count_include_pad"] = counts_pads
    values = emitter.emit(op, inputs, attributes, f"{name}.delta")
    return make_delta(node, values, boxes, x.layout)


def _refuse_ceil_mode(axes: Sequence[Axis], *, counts_pads: bool) -> None:
    """Refuse windows over the padding's end that onnxruntime's versions disagree on (ceil_mode)."""
    for axis in axes:
        start = (axis.output - 1) * axis.stride
        if start >= axis.size + axis.pad:
            raise Refused(
                "its last window starts in the padding; whether there is one depends on onnxruntime's version"
            )
        if counts_pads and start + axis.reach > axis.size + axis.pad + axis.end:
            raise Refused(
                "its last window ends beyond the padding; what it divides by depends on onnxruntime's version"
            )
