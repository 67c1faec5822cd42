"""Taps of a sliding window, one picture a tap: the im2col that Conv and the pools share; and windows along slices.

Output o reads, by tap k of an axis, the input ``o*stride - pad + k*dilation`` (geometry.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.geometry import Boxes, DepthWindow, Pair, Window, depth_sources, row_offsets
from krypton_compile.reference.ragged import Floats, check_boxes, check_slices

Real = TypeVar("Real", np.float32, np.float64)


class WindowAttributes(TypedDict):
    """The attributes of every window op, as ONNX writes them."""

    kernel_shape: list[int]
    strides: list[int]
    pads: list[int]
    dilations: list[int]
    input_shape: list[int]
    output_shape: list[int]


def read_window(attributes: WindowAttributes) -> Window:
    """The window that the attributes describe; of the pads geometry needs only the two at the beginning."""
    if len(attributes["pads"]) != 4:
        raise ValueError(f"pads: expected [y0, x0, y1, x1], found {attributes['pads']}")
    return Window(
        kernel=_pair("kernel_shape", attributes["kernel_shape"]),
        strides=_pair("strides", attributes["strides"]),
        pads=_pair("pads", attributes["pads"][:2]),
        dilations=_pair("dilations", attributes["dilations"]),
        input_shape=_pair("input_shape", attributes["input_shape"]),
        output_shape=_pair("output_shape", attributes["output_shape"]),
    )


def read_depth(depth: list[int] | None, slices: int = 1) -> DepthWindow:
    """The window along slices that the attribute describes; without it, each of ``slices`` by itself."""
    if depth is None:
        return DepthWindow(1, 1, 0, 1, slices, slices)
    if len(depth) != 7:
        raise ValueError(f"depth: expected [kernel, stride, pad, end pad, dilation, before, after], found {depth}")
    kernel, stride, pad, _, dilation, before, after = depth
    return DepthWindow(kernel, stride, pad, dilation, before, after)


def check_depth(x_boxes: Boxes, y_boxes: Boxes, window: DepthWindow) -> None:
    """Raise ValueError unless there are as many boxes a position as slices before and after."""
    for name, boxes, depth in (
        ("x_boxes", x_boxes, window.input_depth),
        ("y_boxes", y_boxes, window.output_depth),
    ):
        check_boxes(name, boxes)
        check_slices(name, boxes, depth)
    if len(x_boxes) // window.input_depth != len(y_boxes) // window.output_depth:
        raise ValueError(f"x_boxes has {len(x_boxes)} boxes, y_boxes {len(y_boxes)}: not the same positions")


def take_slices(values: Floats, boxes: Boxes, window: DepthWindow, tap: int) -> tuple[Floats, Boxes]:
    """The delta of the slice that ``tap`` of each output slice reads; nothing where there is none."""
    source, inside = depth_sources(window, tap)
    positions = len(boxes) // window.input_depth
    at = (np.arange(positions)[:, None] * window.input_depth + source).ravel()
    there = np.tile(inside, positions)
    offsets = row_offsets(boxes)
    rows = [np.arange(offsets[b], offsets[b + 1]) for b in at[there]]
    taken = np.concatenate([np.zeros(0, np.int64), *rows])
    return values[taken], np.where(there[:, None], boxes[at], 0).astype(np.int32)


def tap_positions(window: Window, axis: int, tap: int) -> npt.NDArray[np.int64]:
    """The input position that ``tap`` reads on one axis, for each output; may lie outside the map."""
    outputs = np.arange(window.output_shape[axis], dtype=np.int64)
    return outputs * window.strides[axis] - window.pads[axis] + tap * window.dilations[axis]


def tap_pictures(full: npt.NDArray[Real], window: Window, outside: float) -> Iterator[tuple[Pair, npt.NDArray[Real]]]:
    """For each tap (ky, kx) what it reads at every output: [Ho, Wo, C], ``outside`` off the map."""
    height, width = window.input_shape
    for ky, kx in product(range(window.kernel[0]), range(window.kernel[1])):
        ys, xs = tap_positions(window, 0, ky), tap_positions(window, 1, kx)
        inside = ((ys >= 0) & (ys < height))[:, None] & ((xs >= 0) & (xs < width))[None, :]
        picture = full[np.clip(ys, 0, height - 1)][:, np.clip(xs, 0, width - 1)]
        yield (ky, kx), np.where(inside[..., None], picture, full.dtype.type(outside))


def _pair(name: str, numbers: list[int]) -> Pair:
    if len(numbers) != 2:
        raise ValueError(f"{name}: expected two numbers (y, x), found {numbers}")
    return numbers[0], numbers[1]
