"""Read the sliding window of Conv and the pools off a node: kernel, strides, pads, dilations.

Begin pads of ``auto_pad``: with total = max(0, (out - 1) * S + k_eff - in), SAME_UPPER puts
floor(total / 2) first, SAME_LOWER ceil(total / 2), VALID 0. ``out`` is the shape inference's, so
ceil_mode needs no rule here. The window of a signal is one row high; that of a volume is a window on
its slices, and one along them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from krypton_compile.contract.geometry import DepthWindow, Pair, Window


@dataclass(frozen=True)
class Axis:
    """The window along one axis; ``end`` are the pads behind the map, as stated or as ``auto_pad`` leaves."""

    kernel: int
    stride: int
    pad: int
    end: int
    dilation: int
    size: int
    output: int

    @property
    def reach(self) -> int:
        """From the first tap to behind the last one."""
        return self.dilation * (self.kernel - 1) + 1


def read_axes(node: ir.Node, kernel: Sequence[int], sizes: Sequence[int], outputs: Sequence[int]) -> list[Axis]:
    """The node's window on a map of ``sizes``, axis by axis."""
    count = len(kernel)
    strides, dilations = _numbers(node, "strides", count), _numbers(node, "dilations", count)
    axes = []
    for axis in range(count):
        bare = Axis(int(kernel[axis]), strides[axis], 0, 0, dilations[axis], sizes[axis], outputs[axis])
        pad, end = _pads(node, axis, count, bare)
        axes.append(replace(bare, pad=pad, end=end))
    return axes


def slice_window(axes: Sequence[Axis]) -> Window:
    """The window on a picture, or on a volume's slices."""
    y, x = _height_and_width(axes)
    return Window(
        (y.kernel, x.kernel),
        (y.stride, x.stride),
        (y.pad, x.pad),
        (y.dilation, x.dilation),
        (y.size, x.size),
        (y.output, x.output),
    )


def end_pads(axes: Sequence[Axis]) -> Pair:
    """Pads below a picture or slice, and to its right."""
    y, x = _height_and_width(axes)
    return y.end, x.end


def depth_window(axes: Sequence[Axis]) -> DepthWindow:
    """The window along a volume's slices; of anything else, one slice."""
    if len(axes) < 3:
        return DepthWindow(1, 1, 0, 1, 1, 1)
    z = axes[0]
    return DepthWindow(z.kernel, z.stride, z.pad, z.dilation, z.size, z.output)


def _height_and_width(axes: Sequence[Axis]) -> tuple[Axis, Axis]:
    y, x = axes[-2:] if len(axes) > 1 else (Axis(1, 1, 0, 0, 1, 1, 1), axes[0])
    return y, x


def _pads(node: ir.Node, axis: int, count: int, window: Axis) -> Pair:
    """Pads before and after the axis."""
    auto_pad = node.attributes.get_string("auto_pad", "NOTSET")
    if auto_pad == "NOTSET":
        pads = node.attributes.get_ints("pads", (0,) * 2 * count)
        return int(pads[axis]), int(pads[count + axis])
    if auto_pad == "VALID":
        return 0, 0
    total = max(0, (window.output - 1) * window.stride + window.reach - window.size)
    begin = (total + (auto_pad == "SAME_LOWER")) // 2
    return begin, total - begin


def _numbers(node: ir.Node, name: str, count: int) -> tuple[int, ...]:
    return tuple(int(number) for number in node.attributes.get_ints(name, (1,) * count))
