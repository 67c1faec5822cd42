"""What cases are made of: boxes, deltas, windows, slices of volumes, tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Window

MAP = (9, 8)
"""The size of most maps."""
CHANNELS = (1, 5, 16, 33)
"""Fewer than a vector, an odd number of them, full vectors, and more."""


def make_boxes(rng: np.random.Generator, shape: tuple[int, int], count: int = 5) -> geometry.Boxes:
    """Empty, full, border corner, one pixel, then random ones."""
    height, width = shape
    rows = [(0, 0, 0, 0), (0, 0, height, width), (height - 1, width - 1, 1, 1), (0, width // 2, 1, 1)]
    for _ in range(count):
        y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
        rows.append((y, x, int(rng.integers(1, height - y + 1)), int(rng.integers(1, width - x + 1))))
    return np.array(rows, np.int32)


def make_values(rng: np.random.Generator, boxes: geometry.Boxes, channels: int) -> np.ndarray:
    """Rows of a delta, half of whose entries are exact zeros, as after a Relu."""
    values = rng.standard_normal((int(geometry.areas(boxes).sum()), channels)).astype(np.float32)
    return np.where(rng.random(values.shape) < 0.5, 0, values).astype(np.float32)


def window_attributes(window: Window, ends: tuple[int, int]) -> dict[str, Any]:
    """The window as the ops take it."""
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.strides),
        "pads": [*window.pads, *ends],
        "dilations": list(window.dilations),
        "input_shape": list(window.input_shape),
        "output_shape": list(window.output_shape),
    }


def make_window(kernel, strides, pads, dilations, shape, ceil=False) -> tuple[Window, tuple[int, int]]:
    """ONNX's output sizes; pads are (y0, x0, y1, x1)."""
    sizes = []
    for axis in (0, 1):
        room = shape[axis] + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1
        sizes.append((-(-room // strides[axis]) if ceil else room // strides[axis]) + 1)
    window = Window(kernel, strides, (pads[0], pads[1]), dilations, shape, (sizes[0], sizes[1]))
    return window, (pads[2], pads[3])


WINDOWS = {
    "3x3": ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), (9, 8)),
    "1x1": ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1), (6, 7)),
    "1x1 stride 2": ((1, 1), (2, 2), (0, 0, 0, 0), (1, 1), (7, 6)),
    "1x7": ((1, 7), (1, 1), (0, 3, 0, 3), (1, 1), (5, 9)),
    "7x1": ((7, 1), (1, 1), (3, 0, 3, 0), (1, 1), (9, 5)),
    "5x5 asymmetric": ((5, 5), (2, 1), (2, 0, 1, 3), (1, 1), (11, 9)),
    "11x11 stride 4": ((11, 11), (4, 4), (2, 2, 2, 2), (1, 1), (31, 27)),
    "dilated": ((3, 3), (1, 2), (2, 3, 2, 3), (2, 3), (10, 12)),
    "stride over kernel": ((2, 2), (3, 3), (0, 0, 0, 0), (1, 1), (11, 10)),
}

DEPTHS = {
    "3": (3, 1, 1, 1, 1),
    "3 stride 2": (3, 2, 1, 0, 1),
    "2 stride 2": (2, 2, 0, 0, 1),
    "dilated": (3, 1, 2, 2, 2),
    "asymmetric": (4, 1, 0, 2, 1),
    "stride over kernel": (1, 2, 0, 0, 1),
    "padded beyond": (2, 3, 1, 3, 1),
}
"""(kernel, stride, pad, end pad, dilation) along 5 slices."""


def make_slices(rng: np.random.Generator, shape: tuple[int, int], depth: int, positions: int = 4) -> geometry.Boxes:
    """Boxes of ``positions`` on volumes of ``depth`` slices."""
    return make_boxes(rng, shape, positions * depth - 4)


def make_depth(spec: tuple[int, ...], slices: int = 5) -> tuple[geometry.DepthWindow, dict[str, Any]]:
    """The window along the slices, and as the ops take it."""
    kernel, stride, pad, end, dilation = spec
    after = (slices + pad + end - dilation * (kernel - 1) - 1) // stride + 1
    window = geometry.DepthWindow(kernel, stride, pad, dilation, slices, after)
    return window, {"depth": [kernel, stride, pad, end, dilation, slices, after]}


def make_tables(rng: np.random.Generator, shape: tuple[int, int], taps: int) -> list[np.ndarray]:
    """Random tables of both axes, [indices, weights] each; some of their outputs read nothing."""
    tables = []
    for size, out in zip(shape, (7, 13), strict=True):
        tables.append(rng.integers(-1, size, (out, taps)))
        tables.append(rng.standard_normal((out, taps)).astype(np.float32))
    return tables


RESAMPLED = ((1, 1, (9, 8)), (5, 2, (9, 8)), (16, 4, (4, 7)), (33, 3, (1, 12)))
"""Channels, taps and the map's size."""


def make_volume(rng: np.random.Generator, channels: int = 4) -> tuple[np.ndarray, geometry.Boxes, np.ndarray]:
    """A delta of volumes of three slices, its boxes and the base map."""
    depth, shape = 3, (7, 6)
    boxes = make_slices(rng, shape, depth)
    return make_values(rng, boxes, channels), boxes, rng.standard_normal((depth, *shape, channels)).astype(np.float32)


def make_signal(rng: np.random.Generator, channels: int = 4) -> tuple[np.ndarray, geometry.Boxes, np.ndarray]:
    """A delta of signals, its boxes and the base map: a picture of one row."""
    rows = make_boxes(rng, (1, 9))
    return make_values(rng, rows, channels), rows, rng.standard_normal((1, 9, channels)).astype(np.float32)


def make_regions(rng: np.random.Generator, shape: tuple[int, ...], count: int = 5) -> geometry.Boxes:
    """A caller's boxes, [P, 2n]: empty, full, a corner, one pixel, then random ones."""
    axes = len(shape)
    rows = [[0] * 2 * axes, [0] * axes + [*shape], [n - 1 for n in shape] + [1] * axes, [n // 2 for n in shape]]
    rows[3] += [1] * axes
    for _ in range(count):
        start = [int(rng.integers(0, n)) for n in shape]
        rows.append(start + [int(rng.integers(1, n - at + 1)) for n, at in zip(shape, start, strict=True)])
    return np.array(rows, np.int32)
