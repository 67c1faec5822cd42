"""Pools: IncrementalMaxPool, IncrementalLpPool and IncrementalAveragePool, and those of the whole map.

    max:      DY = max over the taps inside the map of ((X0 - Y0) + DX): at most one rounding of a difference,
              and exactly 0 where an untouched winner still wins
    Lp:       DY = (sum over the taps inside the map of |X0 + DX|^p)^(1/p) - (the same of X0), in float64: a norm
              moves no further than what it is of
    average:  DY = sum over the taps of DX / n, n the taps of the absolute output window inside the map; with
              count_include_pad inside the padded map [-begin, size + end) instead, which a window of
              ceil_mode may leave

    global:   DY = sum of D over the box / (H*W);  max of X0 + D over the map - max of X0; one row [C] a position

A window without any tap to count has the delta 0. Of volumes the window has a ``depth`` too: taps are then those of
the slices that it reads.
"""

from __future__ import annotations

from typing import Unpack

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from krypton_compile.contract.geometry import Boxes, DepthWindow, Pair, Window, depth_sources
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import (
    Floats,
    check_boxes,
    check_map,
    cut_boxes,
    delta_maps,
    slices_of,
    volume_maps,
)
from krypton_compile.reference.thresholds import flush
from krypton_compile.reference.windows import (
    Real,
    WindowAttributes,
    check_depth,
    read_depth,
    read_window,
    tap_pictures,
    tap_positions,
)


class IncrementalMaxPool(OpRun):
    """Max over taps of (X0 - Y0) + D."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        x_boxes: Boxes,
        y_boxes: Boxes,
        X0: Floats,
        Y0: Floats,
        limit: Floats | None = None,
        depth: list[int] | None = None,
        **window: Unpack[WindowAttributes],
    ) -> tuple[Floats]:
        described, along, deltas = read_call(X, x_boxes, y_boxes, depth, window)
        before, after = slices_of("X0", X0, X.shape[1]), slices_of("Y0", Y0, X.shape[1])
        check_map("X0", before, (along.input_depth, *described.input_shape, X.shape[1]))
        check_map("Y0", after, (along.output_depth, *described.output_shape, X.shape[1]))
        maps = (
            max_delta([(deltas[at], before[at % len(before)]) for at in read], after[row % len(after)], described)
            for row, read in enumerate(sources(along, len(y_boxes)))
        )
        return (flush(cut_boxes(maps, y_boxes, X.shape[1]), limit),)


class IncrementalLpPool(OpRun):
    """The p-norm of X0 + D over taps, less that of X0."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        x_boxes: Boxes,
        y_boxes: Boxes,
        X0: Floats,
        limit: Floats | None = None,
        p: int = 2,
        depth: list[int] | None = None,
        **window: Unpack[WindowAttributes],
    ) -> tuple[Floats]:
        if p < 1:
            raise ValueError(f"p: expected at least 1, found {p}")
        described, along, deltas = read_call(X, x_boxes, y_boxes, depth, window)
        base = slices_of("X0", X0, X.shape[1])
        check_map("X0", base, (along.input_depth, *described.input_shape, X.shape[1]))
        before = base.astype(np.float64)
        maps = (
            norm([before[at % len(before)] + deltas[at] for at in read], described, p)
            - norm([before[at % len(before)] for at in read], described, p)
            for read in sources(along, len(y_boxes))
        )
        return (flush(cut_boxes((change.astype(np.float32) for change in maps), y_boxes, X.shape[1]), limit),)


class IncrementalAveragePool(OpRun):
    """Sum over taps / count of the absolute window."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        x_boxes: Boxes,
        y_boxes: Boxes,
        limit: Floats | None = None,
        count_include_pad: int = 0,
        depth: list[int] | None = None,
        **window: Unpack[WindowAttributes],
    ) -> tuple[Floats]:
        described, along, deltas = read_call(X, x_boxes, y_boxes, depth, window)
        pads = window["pads"] if count_include_pad else [0, 0, 0, 0]
        divisors = window_divisors(described, (pads[0], pads[1]), (pads[2], pads[3]))
        ends = (depth[2], depth[3]) if depth is not None and count_include_pad else (0, 0)
        slices = depth_divisors(along, *ends)
        averages = (
            sum((sum_taps(deltas[at], described) for at in read), np.zeros((*described.output_shape, X.shape[1])))
            / (divisors[..., None] * slices[row % len(slices)])
            for row, read in enumerate(sources(along, len(y_boxes)))
        )
        values = cut_boxes((average.astype(np.float32) for average in averages), y_boxes, X.shape[1])
        return (flush(values, limit),)


class IncrementalGlobalAveragePool(OpRun):
    """GlobalAveragePool, or ReduceMean over H and W: [B, C]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, input_shape: list[int]) -> tuple[Floats]:
        return (volume_maps(X, boxes, input_shape).mean(axis=(1, 2, 3)).astype(np.float32),)


class IncrementalGlobalMaxPool(OpRun):
    """GlobalMaxPool, or ReduceMax over H and W: [B, C]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, X0: Floats) -> tuple[Floats]:
        base = slices_of("X0", X0, X.shape[1])
        moved = base + volume_maps(X, boxes, base.shape[:3])
        return ((moved.max(axis=(1, 2, 3)) - base.max(axis=(0, 1, 2))).astype(np.float32),)


def read_call(
    X: Floats, x_boxes: Boxes, y_boxes: Boxes, depth: list[int] | None, window: WindowAttributes
) -> tuple[Window, DepthWindow, list[Floats]]:
    """The window, that along the slices, and the deltas of all boxes as full maps."""
    described, along = read_window(window), read_depth(depth)
    check_depth(x_boxes, y_boxes, along)
    deltas = list(delta_maps("X", X, x_boxes, described.input_shape))
    check_boxes("y_boxes", y_boxes, described.output_shape)
    return described, along, deltas


def sources(window: DepthWindow, boxes: int) -> list[list[int]]:
    """For each of so many output boxes the input boxes whose slices it reads."""
    taps = [depth_sources(window, tap) for tap in range(window.kernel)]
    found = []
    for box in range(boxes):
        position, slice_ = divmod(box, window.output_depth)
        found.append([position * window.input_depth + int(source[slice_]) for source, inside in taps if inside[slice_]])
    return found


def max_delta(read: list[tuple[Floats, Floats]], base_out: Floats, window: Window) -> Floats:
    """The max rule on one full map, from the (delta, base) maps that it reads: one, or those of several slices."""
    best = np.full_like(base_out, -np.inf)
    for delta, base_in in read:
        deltas = tap_pictures(delta, window, 0.0)
        bases = tap_pictures(base_in, window, -np.inf)
        for (_, change), (_, before) in zip(deltas, bases, strict=True):
            best = np.maximum(best, (before - base_out) + change)
    return np.where(np.isneginf(best), np.float32(0), best)


def norm(read: list[npt.NDArray[np.float64]], window: Window, p: int) -> npt.NDArray[np.float64]:
    """The p-norm over each output's window of full maps: one, or those of several slices."""
    empty = np.zeros((*window.output_shape, read[0].shape[2] if read else 1))
    total = sum((sum_taps(np.abs(each) ** p, window) for each in read), empty)
    root: npt.NDArray[np.float64] = total ** (1 / p)
    return root


def sum_taps(delta: npt.NDArray[Real], window: Window) -> npt.NDArray[np.float64]:
    """The sum over each output's window of one full map, in float64."""
    result = np.zeros((*window.output_shape, delta.shape[2]))
    for _, picture in tap_pictures(delta, window, 0.0):
        result += picture
    return result


def depth_divisors(window: DepthWindow, before: int, after: int) -> npt.NDArray[np.int64]:
    """Taps along the depth of each output slice that fall into [-before, size + after); int64 [D_out], at least 1."""
    taps = np.arange(window.kernel)[:, None] * window.dilation
    places = np.arange(window.output_depth) * window.stride - window.pad + taps
    counted = (places >= -before) & (places < window.input_depth + after)
    divisors: npt.NDArray[np.int64] = np.maximum(counted.sum(axis=0, dtype=np.int64), 1)
    return divisors


def window_divisors(window: Window, before: Pair, after: Pair) -> npt.NDArray[np.int64]:
    """Taps of each output that fall into [-before, size + after); int64 [Ho, Wo], at least 1."""
    counts = []
    for axis in (0, 1):
        positions = np.stack([tap_positions(window, axis, tap) for tap in range(window.kernel[axis])])
        counted = (positions >= -before[axis]) & (positions < window.input_shape[axis] + after[axis])
        counts.append(counted.sum(axis=0, dtype=np.int64))
    divisors: npt.NDArray[np.int64] = np.maximum(counts[0][:, None] * counts[1][None, :], 1)
    return divisors
