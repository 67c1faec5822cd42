"""Ops between a caller's tensors and deltas.

OcclusionChunks and OcclusionDelta lead from what a caller gives to the first delta; at pixel p of a box whose rows of
``patches`` and ``mask`` begin at its offset

    d(p) = (patches or baseline)(p) - image(p)    where the mask holds (an empty mask holds everywhere), else 0

BaseMap lets a tensor of the base graph in, DeltaLimit says below what its delta counts as zero, and Densify lets full
maps out, T' = T0 + D as [B, C, H, W] or [B, H, W, C], for an op without a delta rule; signals and volumes alike.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from krypton_compile.contract.geometry import Boxes, areas, is_empty, row_offsets
from krypton_compile.contract.layouts import FULL_LAYOUTS, as_volume, axes_of, channel_axis
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import (
    Floats,
    Offsets,
    base_rows,
    check_boxes,
    check_map,
    check_offsets,
    check_regions,
    check_rows,
    check_slices,
    delta_maps,
    read_hull,
    slices_of,
)
from krypton_compile.reference.thresholds import flush, pick

Mask = npt.NDArray[np.bool_]


class OcclusionChunks(OpRun):
    """Checks the caller's inputs; cuts the boxes into chunks of equal length, the last padded with empty boxes.

    Without a length all are one chunk, of at least one box, and the outputs have no axis of chunks.
    """

    op_domain = DOMAIN

    def _run(
        self,
        boxes: Boxes,
        patches: Floats,
        mask: Mask,
        tau: Floats,
        eps: Floats,
        image_shape: list[int],
        channels: int,
        chunk: int = 0,
        layer_groups: int = 1,
    ) -> tuple[Boxes, Offsets]:
        check_regions("boxes", boxes, tuple(image_shape))
        total = int(areas(boxes).sum())
        check_map("patches", patches, (total, channels) if len(patches) else (0, -1))
        _check_mask(mask, total)
        for name, threshold in (("tau", tau), ("eps", eps)):
            check_map(name, threshold, (-1,))
            if len(threshold) not in (1, layer_groups):
                raise ValueError(f"{name}: expected 1 or {layer_groups} values, found {len(threshold)}")
        if not ((tau > 0) & (tau <= 1)).all():
            raise ValueError(f"tau: expected more than 0 and at most 1 (exact), found {tau.tolist()}")
        if not ((eps >= 0) & np.isfinite(eps)).all():
            raise ValueError(f"eps: expected 0 (exact) or more, found {eps.tolist()}")
        length = chunk or max(1, len(boxes))
        count = max(1, -(-len(boxes) // length))
        chunks = np.zeros((count * length, boxes.shape[1]), np.int32)
        chunks[: len(boxes)] = np.where(is_empty(boxes)[:, None], 0, boxes)
        if not chunk:
            return chunks, row_offsets(chunks)[:-1]
        return chunks.reshape(count, chunk, boxes.shape[1]), row_offsets(chunks)[:-1].reshape(count, chunk)


class OcclusionDelta(OpRun):
    """The delta of the image itself, for one chunk."""

    op_domain = DOMAIN

    def _run(
        self, image: Floats, baseline: Floats, patches: Floats, mask: Mask, boxes: Boxes, offsets: Offsets
    ) -> tuple[Floats]:
        channels = image.shape[-1]
        slices_of("image", image, channels)
        check_map("baseline", baseline, image.shape)
        check_map("patches", patches, (-1, channels) if len(patches) else (0, -1))
        _check_mask(mask, len(mask))
        check_offsets("offsets", offsets, boxes)
        before = base_rows("image", image, boxes, channels)
        after = base_rows("baseline", baseline, boxes, channels)
        if len(patches):
            after = patches[_caller_rows(boxes, offsets, len(patches))]
        if not len(mask):
            return (after - before,)
        return (np.where(mask[_caller_rows(boxes, offsets, len(mask))][:, None], after - before, np.float32(0)),)


class BaseMap(OpRun):
    """A tensor of the base graph as a map [H, W, C]; Inf - Inf would break the algebra, so NaN and Inf are refused.

    Of a volume [D, H, W, C]; a signal's has one row. ``finite`` 0 takes them: where the baseline's own map has one, the
    original model has it as well.
    """

    op_domain = DOMAIN

    def _run(self, tensor: Floats, layout: str, tensor_name: str, finite: int = 1) -> tuple[Floats]:
        _check_layout(layout)
        check_map("tensor", tensor, (1, *[-1] * (len(layout) - 1)))
        if finite and not np.isfinite(tensor).all():
            raise ValueError(f"{tensor_name}: holds NaN or Inf; delta inference needs finite base maps")
        pixels = np.moveaxis(tensor[0], channel_axis(layout) - 1, -1)
        return (np.ascontiguousarray(pixels[None] if axes_of(layout) == 1 else pixels),)


class DeltaLimit(OpRun):
    """Below what a tensor's delta counts as zero; it runs once an image."""

    op_domain = DOMAIN

    def _run(self, tensor: Floats, eps: Floats, layer_group: int = 0) -> tuple[Floats]:
        share = pick("eps", eps, layer_group)
        if not 0 <= share < math.inf:
            raise ValueError(f"eps: expected 0 (exact) or more, found {share}")
        largest = np.abs(tensor).max(initial=0) if share else np.float32(0)
        return (np.array([np.float32(share) * largest], np.float32),)


class RowValues(OpRun):
    """T' itself on ``y_boxes``: the baseline's where that is known, else T0 + D, T0 beside ``x_boxes``.

    With ``of`` "values" X is T' already. ``changed`` tells the rows that are not the base's.
    """

    op_domain = DOMAIN

    def _run(
        self,
        y_boxes: Boxes,
        X0: Floats,
        X: Floats | None = None,
        x_boxes: Boxes | None = None,
        known: Mask | None = None,
        XB: Floats | None = None,
        of: str = "delta",
    ) -> tuple[Floats, Mask]:
        _check_of(of)
        channels = X0.shape[-1]
        base = base_rows("X0", X0, y_boxes, channels)
        values, changed = base.copy(), np.zeros(len(base), np.bool_)
        if X is not None and x_boxes is not None:
            check_map("X", X, (int(areas(x_boxes).sum()), channels))
            check_boxes("x_boxes", x_boxes, slices_of("X0", X0, channels).shape[1:3])
            moved = read_hull("X", X, x_boxes, y_boxes)
            inside = read_hull("X", np.ones((len(X), 1), np.float32), x_boxes, y_boxes)[:, 0] > 0
            values = np.where(inside[:, None], moved if of == "values" else base + moved, base)
            changed = ((values != base) if of == "values" else (moved != 0)).any(axis=1) & inside
        if known is not None and XB is not None:
            check_rows("known", known, len(base))
            baseline = base_rows("XB", XB, y_boxes, channels)
            values = np.where(known[:, None], baseline, values)
            changed = np.where(known, (baseline != base).any(axis=1), changed)
        return values.astype(np.float32), changed


class RowDelta(OpRun):
    """The delta of rows T', exactly 0 where they have not changed."""

    op_domain = DOMAIN

    def _run(self, V: Floats, boxes: Boxes, changed: Mask, Y0: Floats, limit: Floats | None = None) -> tuple[Floats]:
        check_map("V", V, (int(areas(boxes).sum()), -1))
        check_rows("changed", changed, len(V))
        base = base_rows("Y0", Y0, boxes, V.shape[1])
        return (flush(np.where(changed[:, None], V - base, np.float32(0)), limit),)


class Densify(OpRun):
    """T0 + D as full maps, one a position; with ``of`` "values" X is T' already."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, T0: Floats, layout: str, of: str = "delta") -> tuple[Floats]:
        _check_layout(layout)
        _check_of(of)
        slices = slices_of("T0", T0, X.shape[1])
        check_slices("boxes", boxes, len(slices))
        sizes, axes = slices.shape[:3], axes_of(layout)
        if as_volume(sizes[3 - axes :]) != sizes:
            raise ValueError(f"T0: {list(sizes)} pixels are no map of layout {layout}")
        result = np.empty((len(boxes), *slices.shape[1:]), np.float32)
        for row, delta in enumerate(delta_maps("X", X, boxes, slices.shape[1:3])):
            result[row] = slices[row % len(slices)] + delta
            if of == "values":
                y, x, h, w = (int(number) for number in boxes[row])
                result[row, y : y + h, x : x + w] = delta[y : y + h, x : x + w]
        full = result.reshape(-1, *sizes[3 - axes :], X.shape[1])
        return (np.ascontiguousarray(np.moveaxis(full, -1, channel_axis(layout))),)


def _check_mask(mask: Mask, rows: int) -> None:
    if mask.dtype != np.bool_ or mask.ndim != 1 or len(mask) not in (0, rows):
        raise ValueError(f"mask: expected bool [{rows}] or [0], found {mask.dtype} {list(mask.shape)}")


def _caller_rows(boxes: Boxes, offsets: Offsets, available: int) -> Offsets:
    """The row of ``patches`` or ``mask`` that belongs to each pixel of the chunk; int64 [R]."""
    rows = [offset + np.arange(area) for offset, area in zip(offsets, areas(boxes), strict=True)]
    flat = np.concatenate([np.zeros(0, np.int64), *rows])
    if len(flat) and (flat.min() < 0 or flat.max() >= available):
        raise ValueError(f"offsets: rows {flat.min()} to {flat.max()} are read of {available}")
    return flat


def _check_of(of: str) -> None:
    if of not in ("delta", "values"):
        raise ValueError(f"of: expected delta or values, found {of!r}")


def _check_layout(layout: str) -> None:
    if layout not in FULL_LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(FULL_LAYOUTS)}, found {layout!r}")
