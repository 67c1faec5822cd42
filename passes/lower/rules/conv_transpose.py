"""ConvTranspose, DepthToSpace: zeros between the pixels of the delta, then a convolution. SpaceToDepth: a convolution.

    Y = ConvTranspose(X, W)    ->    DS = IncrementalResample(DX), stride - 1 zeros between pixels
                                     DY = IncrementalConv(DS, W turned round), pads d (K - 1) - p
    Y = DepthToSpace(X, b)     ->    ConvTranspose of stride and kernel b, each weight 0 or 1
    Y = SpaceToDepth(X, b)     ->    Conv of stride and kernel b, each weight 0 or 1

The zeros cost nothing: convolutions skip them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.geometry import Pair, Window
from krypton_compile.passes.interface import static_shape
from krypton_compile.passes.lower.context import (
    Delta,
    Form,
    LoweringContext,
    emit_window_boxes,
    make_delta,
    window_attributes,
)
from krypton_compile.passes.lower.rules.axis_table import emit_resampled, spread

Floats = npt.NDArray[np.float32]


def check(node: ir.Node, context: LoweringContext) -> str | None:
    """Why this node cannot be incremental, or None."""
    x = context.forms.get(node.inputs[0]) if node.inputs[0] else None
    if not isinstance(x, Delta):
        return "its input is not a spatial delta"
    if x.layout != "NCHW":
        return f"its input is {x.layout}"
    if node.op_type != "ConvTranspose":
        return None
    if context.constant(node.inputs[1]) is None or (len(node.inputs) > 2 and node.inputs[2] in context.forms):
        return "its weights are not constant"
    if "output_shape" in node.attributes:
        return "its pads follow from an output shape"
    return None


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    x = context.delta(node.inputs[0])
    if node.op_type == "ConvTranspose":
        weight = context.constant(node.inputs[1])
        assert weight is not None
        return _transposed(node, context, x, weight.astype(np.float32), _Geometry.of(node, weight.shape[2:], x))
    block = node.attributes["blocksize"].as_int()
    if node.op_type == "DepthToSpace":
        mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "DCR"
        geometry = _Geometry((block, block), (block, block), (1, 1), (0, 0), 1)
        return _transposed(node, context, x, _from_depth(x.channels, block, mode), geometry)
    return _convolved(node, context, x, _to_depth(x.channels, block), block)


class _Geometry:
    """Kernel, strides, dilations, begin pads and groups of a ConvTranspose."""

    def __init__(self, kernel: Pair, strides: Pair, dilations: Pair, pads: Pair, group: int) -> None:
        self.kernel, self.strides, self.dilations, self.pads, self.group = kernel, strides, dilations, pads, group

    @classmethod
    def of(cls, node: ir.Node, kernel: Sequence[int], x: Delta) -> _Geometry:
        def pair(name: str, default: Pair) -> Pair:
            values = node.attributes[name].as_ints() if name in node.attributes else default
            return int(values[0]), int(values[1])

        sizes = int(kernel[0]), int(kernel[1])
        strides, dilations = pair("strides", (1, 1)), pair("dilations", (1, 1))
        auto_pad = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
        group = node.attributes["group"].as_int() if "group" in node.attributes else 1
        pads = pair("pads", (0, 0)) if auto_pad == "NOTSET" else (0, 0)
        if auto_pad.startswith("SAME"):
            output, extra = static_shape(node.outputs[0])[2:], pair("output_padding", (0, 0))
            totals = [
                strides[axis] * (x.map_shape[axis] - 1)
                + extra[axis]
                + dilations[axis] * (sizes[axis] - 1)
                + 1
                - output[axis]
                for axis in (0, 1)
            ]
            up = 0 if auto_pad == "SAME_UPPER" else 1
            pads = (totals[0] + up) // 2, (totals[1] + up) // 2
        return cls(sizes, strides, dilations, pads, group)


def _transposed(node: ir.Node, context: LoweringContext, x: Delta, weight: Floats, given: _Geometry) -> Delta:
    """Zeros between pixels, then the convolution with ``weight`` [C, M/g, kh, kw] turned round."""
    name, output = str(node.outputs[0].name), static_shape(node.outputs[0])[2:]
    tables, pads = [], []
    for axis in (0, 1):
        begin = given.dilations[axis] * (given.kernel[axis] - 1) - given.pads[axis]
        skip = max(0, -begin)  # pads beyond the kernel cut the spread map instead
        length = (x.map_shape[axis] - 1) * given.strides[axis] + 1 - skip
        tables.append(spread(x.map_shape[axis], given.strides[axis], skip, max(1, length)))
        pads.append(max(0, begin))
    between = x if given.strides == (1, 1) and all(
        len(table.index) == size for table, size in zip(tables, x.map_shape, strict=True)
    ) else emit_resampled(node, context, x, tables[0], tables[1], ".spread")  # fmt: skip
    window = Window(
        given.kernel, (1, 1), (pads[0], pads[1]), given.dilations, between.map_shape, (output[0], output[1])
    )
    depth, maps = weight.shape[0] // given.group, weight.shape[1]
    turned = weight[:, :, ::-1, ::-1].reshape(given.group, depth, maps, *given.kernel).swapaxes(1, 2)
    filters = np.ascontiguousarray(turned.reshape(given.group * maps, depth, *given.kernel))
    return _emit_conv(node, context, between, filters, window, given.group, name)


def _convolved(node: ir.Node, context: LoweringContext, x: Delta, filters: Floats, block: int) -> Delta:
    output = static_shape(node.outputs[0])[2:]
    window = Window((block, block), (block, block), (0, 0), (1, 1), x.map_shape, (output[0], output[1]))
    return _emit_conv(node, context, x, filters, window, 1, str(node.outputs[0].name))


def _emit_conv(
    node: ir.Node, context: LoweringContext, x: Delta, filters: Floats, window: Window, group: int, name: str
) -> Delta:
    boxes = emit_window_boxes(context, x.live, window, name)
    weight = context.initializer(f"{name}.filters", filters)
    attributes: dict[str, int | Sequence[int]] = {**window_attributes(window), "group": group}
    values = context.emit("IncrementalConv", [x.values, x.boxes, boxes, weight], attributes, f"{name}.delta")
    return make_delta(node, values, boxes, "NCHW")


def _from_depth(channels: int, block: int, mode: str) -> Floats:
    """[C, C/b^2, b, b]: where DepthToSpace puts each channel; DCR has the block's place outermost, CRD innermost."""
    kept = channels // block**2
    weight = np.zeros((channels, kept, block, block), np.float32)
    for place, (row, column) in enumerate(np.ndindex(block, block)):
        for channel in range(kept):
            source = place * kept + channel if mode == "DCR" else channel * block**2 + place
            weight[source, channel, row, column] = 1
    return weight


def _to_depth(channels: int, block: int) -> Floats:
    """[b^2 C, C, b, b]: where SpaceToDepth takes each channel from; the block's place is outermost."""
    weight = np.zeros((block**2 * channels, channels, block, block), np.float32)
    for place, (row, column) in enumerate(np.ndindex(block, block)):
        for channel in range(channels):
            weight[place * channels + channel, channel, row, column] = 1
    return weight
