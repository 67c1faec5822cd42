"""ConvTranspose, DepthToSpace and SpaceToDepth, as convolutions; zeros stand between the pixels.

    Y = ConvTranspose(X, W)    ->    DS = IncrementalResample(DX), stride - 1 zeros between pixels
                                     DY = IncrementalConv(DS, W turned round), pads d (K - 1) - p
    Y = DepthToSpace(X, b)     ->    ConvTranspose of stride and kernel b, each weight 0 or 1
    Y = SpaceToDepth(X, b)     ->    Conv of stride and kernel b, each weight 0 or 1

The zeros cost nothing: convolutions skip them. A signal is a picture of one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract.geometry import Pair, Window
from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.emit import Emitter, emit_window_boxes, window_attributes
from krypton_compile.passes.lower.forms import Delta, Form, make_delta
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.axis_table import emit_resampled, spread
from krypton_compile.passes.shapes import static_shape

_STEPS = ("strides", "dilations")
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Geometry:
    """Kernel, strides, dilations, begin pads and groups of a ConvTranspose."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: Pair
    group: int


def lower(node: ir.Node, context: LoweringContext) -> Form:
    """The rules above."""
    x = context.delta_of_channels_first(node)
    if node.op_type == "ConvTranspose":
        weight = context.constant(node, 1, "weights").astype(np.float32)
        if context.depends_on_image(node, 2):
            raise Refused("its bias depends on the image")
        geometry = _read_geometry(node, weight.shape[2:], x)
        return _emit_transposed(context.emitter, node, x, weight.reshape(*weight.shape[:2], *geometry.kernel), geometry)
    if x.layout != "NCHW":
        raise Refused("it is of pictures")
    block = node.attributes["blocksize"].as_int()
    if node.op_type == "DepthToSpace":
        weight = _from_depth(x.channels, block, node.attributes.get_string("mode", "DCR"))
        geometry = _Geometry((block, block), (block, block), (1, 1), (0, 0), 1)
        return _emit_transposed(context.emitter, node, x, weight, geometry)
    output = static_shape(node.outputs[0])[2:]
    window = Window((block, block), (block, block), (0, 0), (1, 1), x.map_shape, (output[0], output[1]))
    return _emit_conv(context.emitter, node, x, _to_depth(x.channels, block), window, 1)


def _read_geometry(node: ir.Node, kernel: Sequence[int], x: Delta) -> _Geometry:
    sizes = _pair(kernel, 1)
    strides, dilations = (_pair(node.attributes.get_ints(name, (1, 1)[: len(kernel)]), 1) for name in _STEPS)
    auto_pad = node.attributes.get_string("auto_pad", "NOTSET")
    begins = node.attributes.get_ints("pads", (0,) * 2 * len(kernel))[: len(kernel)]
    pads = _pair(begins, 0) if auto_pad == "NOTSET" else (0, 0)
    if auto_pad.startswith("SAME") or "output_shape" in node.attributes:
        output = _output_of(node)
        extra = _pair(node.attributes.get_ints("output_padding", (0, 0)[: len(kernel)]), 0)
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
    return _Geometry(sizes, strides, dilations, pads, node.attributes.get_int("group", 1))


def _pair(numbers: Sequence[int], of_one_row: int) -> Pair:
    """Of height and width; a signal's is of its only row, and its own."""
    y, x = (of_one_row, *numbers)[-2:]
    return int(y), int(x)


def _output_of(node: ir.Node) -> Pair:
    return _pair(static_shape(node.outputs[0])[2:], 1)


def _emit_transposed(emitter: Emitter, node: ir.Node, x: Delta, weight: Floats, geometry: _Geometry) -> Delta:
    """Zeros between pixels, then the convolution with ``weight`` [C, M/g, kh, kw] turned round."""
    output = _output_of(node)
    tables, pads = [], []
    for axis in (0, 1):
        begin = geometry.dilations[axis] * (geometry.kernel[axis] - 1) - geometry.pads[axis]
        skip = max(0, -begin)  # pads beyond the kernel cut the spread map instead
        length = (x.map_shape[axis] - 1) * geometry.strides[axis] + 1 - skip
        tables.append(spread(x.map_shape[axis], geometry.strides[axis], skip, max(1, length)))
        pads.append(max(0, begin))
    between = x if geometry.strides == (1, 1) and all(
        len(table.index) == size for table, size in zip(tables, x.map_shape, strict=True)
    ) else emit_resampled(emitter, node, x, tables[0], tables[1], ".spread")  # fmt: skip
    window = Window(
        geometry.kernel, (1, 1), (pads[0], pads[1]), geometry.dilations, between.map_shape, (output[0], output[1])
    )
    depth, maps = weight.shape[0] // geometry.group, weight.shape[1]
    turned = weight[:, :, ::-1, ::-1].reshape(geometry.group, depth, maps, *geometry.kernel).swapaxes(1, 2)
    filters = np.ascontiguousarray(turned.reshape(geometry.group * maps, depth, *geometry.kernel))
    return _emit_conv(emitter, node, between, filters, window, geometry.group)


def _emit_conv(emitter: Emitter, node: ir.Node, x: Delta, filters: Floats, window: Window, group: int) -> Delta:
    name = str(node.outputs[0].name)
    boxes = emit_window_boxes(emitter, x.live, window, name)
    weight = emitter.initializer(f"{name}.filters", filters)
    attributes: dict[str, int | Sequence[int]] = {**window_attributes(window), "group": group}
    values = emitter.emit("IncrementalConv", [x.values, x.boxes, boxes, weight], attributes, f"{name}.delta")
    return make_delta(node, values, boxes, x.layout)


def _from_depth(channels: int, block: int, mode: str) -> Floats:
    """[C, C/b^2, b, b]: where DepthToSpace puts each channel.

    Mode DCR has the place in the block outermost, CRD innermost.
    """
    kept = channels // block**2
    weight = np.zeros((channels, kept, block, block), np.float32)
    for place, (row, column) in enumerate(np.ndindex(block, block)):
        for channel in range(kept):
            source = place * kept + channel if mode == "DCR" else channel * block**2 + place
            weight[source, channel, row, column] = 1
    return weight


def _to_depth(channels: int, block: int) -> Floats:
    """[b^2 C, C, b, b]: where SpaceToDepth takes each channel from, the place in the block outermost."""
    weight = np.zeros((block**2 * channels, channels, block, block), np.float32)
    for place, (row, column) in enumerate(np.ndindex(block, block)):
        for channel in range(channels):
            weight[place * channels + channel, channel, row, column] = 1
    return weight
