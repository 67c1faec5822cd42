"""Volumes as slices: a delta of B positions on D slices has B * D boxes, box b * D + z that of slice z.

SliceBoxes     a caller's boxes, [B, 2n], as boxes of slices; a signal is a picture of one row
DepthBoxes     geometry.depth_boxes: the hull of the slices that an output slice reads
DepthGather    those slices' channels side by side, [.., group][tap][C / group]: W * D of a volume is
               W' * DepthGather(D) of its slices, W' [M, kD * C/group, kH, kW] the same numbers in that order
"""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes, DepthWindow
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.elementwise import check_inside
from krypton_compile.reference.occlusion import Offsets
from krypton_compile.reference.ragged import Floats, check_boxes, check_regions, check_slices, read_hull, split
from krypton_compile.reference.windows import read_depth


class SliceBoxes(OpRun):
    """Boxes [B, 2n] and their first rows, as those of their slices."""

    op_domain = DOMAIN

    def _run(self, boxes: Boxes, offsets: Offsets, image_shape: list[int]) -> tuple[Boxes, Offsets]:
        check_regions("boxes", boxes, tuple(image_shape))
        if offsets.dtype != np.int64 or offsets.shape != (len(boxes),):
            raise ValueError(f"offsets: expected int64 [{len(boxes)}], found {offsets.dtype} {list(offsets.shape)}")
        return geometry.slice_boxes(boxes, offsets, tuple(image_shape))


class DepthBoxes(OpRun):
    """Boxes after a window along the slices."""

    op_domain = DOMAIN

    def _run(self, boxes: Boxes, depth: list[int]) -> tuple[Boxes]:
        window = read_depth(depth)
        check_boxes("boxes", boxes)
        check_slices("boxes", boxes, window.input_depth)
        return (geometry.depth_boxes(boxes, window),)


class DepthGather(OpRun):
    """The slices that each output slice reads, side by side."""

    op_domain = DOMAIN

    def _run(self, X: Floats, x_boxes: Boxes, y_boxes: Boxes, depth: list[int], group: int = 1) -> tuple[Floats]:
        window = read_depth(depth)
        check_depth(x_boxes, y_boxes, window)
        split("X", X, x_boxes)
        if X.shape[1] % group:
            raise ValueError(f"attribute group: expected a divisor of the channels {X.shape[1]}, found {group}")
        check_inside(y_boxes, [geometry.depth_boxes(x_boxes, window)])
        parts = [read_hull("X", *take_slices(X, x_boxes, window, tap), y_boxes) for tap in range(window.kernel)]
        gathered = np.stack([part.reshape(len(part), group, -1) for part in parts], axis=2)
        return (np.ascontiguousarray(gathered.reshape(len(gathered), window.kernel * X.shape[1])),)


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
    source, inside = geometry.depth_sources(window, tap)
    positions = len(boxes) // window.input_depth
    at = (np.arange(positions)[:, None] * window.input_depth + source).ravel()
    there = np.tile(inside, positions)
    offsets = geometry.row_offsets(boxes)
    rows = [np.arange(offsets[b], offsets[b + 1]) for b in at[there]]
    taken = np.concatenate([np.zeros(0, np.int64), *rows])
    return values[taken], np.where(there[:, None], boxes[at], 0).astype(np.int32)
