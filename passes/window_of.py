"""Reads the sliding window of Conv and the pools off a node: kernel, strides, pads, dilations, auto_pad.

Begin pads of ``auto_pad``: with total = max(0, (out - 1) * S + k_eff - in), SAME_UPPER puts
floor(total / 2) first, SAME_LOWER ceil(total / 2), VALID 0. ``out`` is the shape inference's, so
ceil_mode needs no rule here. The window of a signal is one row high; that of a volume is a window on its slices, and
one along them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from krypton_compile.contract.geometry import DepthWindow, Pair, Window


@dataclass(frozen=True)
class Axis:
    """The window along one axis; ``end`` are the pads after the map as the node states them, or ``auto_pad`` leaves."""

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
        found = Axis(int(kernel[axis]), strides[axis], 0, 0, dilations[axis], sizes[axis], outputs[axis])
        pad, end = _pads(node, axis, count, found)
        axes.append(Axis(found.kernel, found.stride, pad, end, found.dilation, found.size, found.output))
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
    """Pads below and to the right of it."""
    y, x = _height_and_width(axes)
    return y.end, x.end


def depth_window(axes: Sequence[Axis]) -> DepthWindow:
    """The window along a volume's slices; one slice, of anything else."""
    if len(axes) < 3:
        return DepthWindow(1, 1, 0, 1, 1, 1)
    z = axes[0]
    return DepthWindow(z.kernel, z.stride, z.pad, z.dilation, z.size, z.output)


def _height_and_width(axes: Sequence[Axis]) -> tuple[Axis, Axis]:
    y, x = axes[-2:] if len(axes) > 1 else (Axis(1, 1, 0, 0, 1, 1, 1), axes[0])
    return y, x


def _pads(node: ir.Node, axis: int, count: int, window: Axis) -> Pair:
    """Before and after."""
    auto_pad = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    if auto_pad == "NOTSET":
        pads = node.attributes["pads"].as_ints() if "pads" in node.attributes else (0,) * 2 * count
        return int(pads[axis]), int(pads[count + axis])
    if auto_pad == "VALID":
        return 0, 0
    total = max(0, (window.output - 1) * window.stride + window.reach - window.size)
    begin = (total + (auto_pad == "SAME_LOWER")) // 2
    return begin, total - begin


def _numbers(node: ir.Node, name: str, count: int) -> tuple[int, ...]:
    return tuple(int(one) for one in node.attributes[name].as_ints()) if name in node.attributes else (1,) * count
