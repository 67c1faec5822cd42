"""Box ops: integers only (geometry.py), except ShrinkBoxes, the one that looks at values.

SliceBoxes and DepthBoxes are of volumes, which are carried as slices: a delta of B positions on D slices has B * D
boxes, box b * D + z that of slice z.

ShrinkBoxes: the smallest box that still holds every entry that is not zero. The values stay where they are, on their
own box; the shrunk one is what later boxes grow from. NaN counts as not zero, so that it is never dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import (
    Floats,
    Offsets,
    Table,
    check_boxes,
    check_map,
    check_offsets,
    check_regions,
    check_slices,
    check_table,
    slices_of,
    split,
)
from krypton_compile.reference.thresholds import pick
from krypton_compile.reference.windows import WindowAttributes, read_depth, read_window


class WindowBoxes(OpRun):
    """Boxes after Conv, MaxPool or AveragePool, cut to the share tau of the map."""

    op_domain = DOMAIN

    def _run(
        self, boxes: Boxes, tau: Floats | None = None, layer_group: int = 0, **window: Unpack[WindowAttributes]
    ) -> tuple[Boxes]:
        described = read_window(window)
        check_boxes("boxes", boxes, described.input_shape)
        grown = geometry.window_boxes(boxes, described)
        if tau is None:
            return (grown,)
        share = pick("tau", tau, layer_group)
        if not 0 < share <= 1:
            raise ValueError(f"tau: expected more than 0 and at most 1 (exact), found {share}")
        return (geometry.crop_boxes(grown, described.output_shape, share),)


class UnionBoxes(OpRun):
    """The hull of several boxes per position."""

    op_domain = DOMAIN

    def _run(self, *boxes: Boxes) -> tuple[Boxes]:
        for each in boxes:
            check_boxes("boxes", each)
        return (geometry.union_boxes(boxes),)


class StackBoxes(OpRun):
    """The boxes of several tensors of the same positions, one list after another."""

    op_domain = DOMAIN

    def _run(self, *boxes: Boxes) -> tuple[Boxes]:
        for each in boxes:
            check_boxes("boxes", each)
        if len({len(each) for each in boxes}) > 1:
            raise ValueError(f"boxes: expected as many of each, found {[len(each) for each in boxes]}")
        return (np.concatenate(boxes),)


class TransposeBoxes(OpRun):
    """Boxes of a map whose rows and columns have changed places."""

    op_domain = DOMAIN

    def _run(self, boxes: Boxes) -> tuple[Boxes]:
        check_boxes("boxes", boxes)
        return (geometry.transpose_boxes(boxes),)


class TranslateBoxes(OpRun):
    """Boxes after a constant Pad."""

    op_domain = DOMAIN

    def _run(self, boxes: Boxes, shift: list[int], output_shape: list[int]) -> tuple[Boxes]:
        check_boxes("boxes", boxes)
        return (geometry.translate_boxes(boxes, (shift[0], shift[1]), (output_shape[0], output_shape[1])),)


class ResampleBoxes(OpRun):
    """The hull of the outputs that read anything of a box."""

    op_domain = DOMAIN

    def _run(self, boxes: Boxes, y_index: Table, x_index: Table, input_shape: list[int]) -> tuple[Boxes]:
        check_boxes("boxes", boxes, (input_shape[0], input_shape[1]))
        for index, size in ((y_index, input_shape[0]), (x_index, input_shape[1])):
            check_table(index, size)
        return (geometry.resample_boxes(boxes, y_index, x_index),)


class SliceBoxes(OpRun):
    """Boxes [B, 2n] and their first rows, as those of their slices."""

    op_domain = DOMAIN

    def _run(self, boxes: Boxes, offsets: Offsets, image_shape: list[int]) -> tuple[Boxes, Offsets]:
        check_regions("boxes", boxes, tuple(image_shape))
        check_offsets("offsets", offsets, boxes)
        return geometry.slice_boxes(boxes, offsets, tuple(image_shape))


class DepthBoxes(OpRun):
    """Boxes after a window along the slices."""

    op_domain = DOMAIN

    def _run(self, boxes: Boxes, depth: list[int]) -> tuple[Boxes]:
        window = read_depth(depth)
        check_boxes("boxes", boxes)
        check_slices("boxes", boxes, window.input_depth)
        return (geometry.depth_boxes(boxes, window),)


class ShrinkBoxes(OpRun):
    """Each box cut to the hull of its pixels that are not zero in all channels."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes) -> tuple[Boxes]:
        check_boxes("boxes", boxes)
        pictures = split("X", X, boxes)
        shrunk = np.zeros_like(boxes)
        for row, (picture, box) in enumerate(zip(pictures, boxes, strict=True)):
            ys, xs = np.nonzero((picture != 0).any(axis=2))
            if len(ys):
                y0, x0 = ys.min(), xs.min()
                shrunk[row] = (box[0] + y0, box[1] + x0, ys.max() + 1 - y0, xs.max() + 1 - x0)
        return (shrunk,)


class DifferenceCounts(OpRun):
    """In how many pixels image and baseline differ, summed up to each corner; int32 [D + 1, H + 1, W + 1]."""

    op_domain = DOMAIN

    def _run(self, image: Floats, baseline: Floats) -> tuple[Boxes]:
        pixels = slices_of("image", image, image.shape[-1])
        check_map("baseline", baseline, image.shape)
        differs = (pixels != slices_of("baseline", baseline, image.shape[-1])).any(axis=-1)
        return (np.pad(differs.cumsum(0).cumsum(1).cumsum(2), ((1, 0),) * 3).astype(np.int32),)


class BaselineRows(OpRun):
    """Whether all pixels that a row depends on are the baseline's, once the window is hidden."""

    op_domain = DOMAIN

    def _run(
        self,
        windows: Boxes,
        offsets: Offsets,
        patches: Floats,
        mask: npt.NDArray[np.bool_],
        counts: Boxes,
        y_boxes: Boxes | None = None,
        fields: Table | None = None,
        map_shape: Sequence[int] = (1, 1, 1),
    ) -> tuple[npt.NDArray[np.bool_]]:
        if counts.ndim != 3:
            raise ValueError(f"counts: expected [D+1, H+1, W+1], found {list(counts.shape)}")
        differs = np.diff(np.diff(np.diff(counts, axis=0), axis=1), axis=2) > 0
        axes = windows.shape[1] // 2
        check_regions("windows", windows, differs.shape[3 - axes :])
        check_offsets("offsets", offsets, windows)
        occluded = []
        for window, offset in zip(windows, offsets, strict=True):
            inside = np.zeros(differs.shape, np.bool_)
            starts, sizes = [0] * (3 - axes) + [*window[:axes]], [1] * (3 - axes) + [*window[axes:]]
            inside[tuple(slice(a, a + n) for a, n in zip(starts, sizes, strict=True))] = True
            shows = not len(patches) and (not len(mask) or bool(mask[offset : offset + inside.sum()].all()))
            occluded.append(inside | differs if len(patches) else differs & ~inside if shows else differs)
        if y_boxes is None or fields is None:
            return (np.array([not each.any() for each in occluded], np.bool_),)
        depth, height, width = map_shape
        check_boxes("y_boxes", y_boxes, (height, width))
        check_map("fields", fields.astype(np.float32), (depth + height + width, 2))
        if len(y_boxes) != len(windows) * depth:
            raise ValueError(f"y_boxes: expected {depth} a window, found {len(y_boxes)} for {len(windows)}")
        ends = np.repeat(differs.shape, list(map_shape))
        if (fields[:, 0] < 0).any() or (fields[:, 1] < fields[:, 0]).any() or (fields[:, 1] > ends).any():
            raise ValueError("fields: outside the image")
        rows = []
        for b, (y0, x0, h, w) in enumerate(y_boxes.astype(np.int64)):
            for y in range(y0, y0 + h):
                for x in range(x0, x0 + w):
                    ranges = fields[b % depth], fields[depth + y], fields[depth + height + x]
                    block = tuple(slice(int(first), int(last)) for first, last in ranges)
                    rows.append(not occluded[b // depth][block].any())
        return (np.array(rows, np.bool_),)
