"""Ops that bring pixel rows to other places: Pad, Transpose, Resample, Concat, DepthGather.

IncrementalResample makes output pixels that are weighted sums of a few input pixels, the weights separable:

    DY[p, q] = sum over s, t of y_weight[p, s] * x_weight[q, t] * DX[y_index[p, s], x_index[q, t]]

An index of -1 reads nothing. Linear Resize, Pad that mirrors, a Slice of pixels, and the zeros that
ConvTranspose puts between pixels are all tables of this kind.

DepthGather lays the slices that an output slice of a volume reads side by side as channels,
[.., group][tap][C / group]. W * D of a volume is then W' * DepthGather(D) of its slices, where
W' [M, kD * C/group, kH, kW] holds the same numbers in that order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from krypton_compile.contract.geometry import Boxes, depth_boxes, transpose_boxes
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import (
    Floats,
    Table,
    check_boxes,
    check_inside,
    check_table,
    cut_boxes,
    delta_maps,
    join,
    read_hull,
    split,
)
from krypton_compile.reference.thresholds import flush
from krypton_compile.reference.windows import check_depth, read_depth, take_slices


class IncrementalPad(OpRun):
    """Constant Pad: the pixel (y, x) of the output is the input's at (y, x) - shift; the pads have no delta."""

    op_domain = DOMAIN

    def _run(
        self, X: Floats, x_boxes: Boxes, y_boxes: Boxes, shift: list[int], output_shape: list[int]
    ) -> tuple[Floats]:
        check_boxes("x_boxes", x_boxes)
        check_boxes("y_boxes", y_boxes, (output_shape[0], output_shape[1]))
        targets = y_boxes.astype(np.int64) - [shift[0], shift[1], 0, 0]
        return (read_hull("X", X, x_boxes, targets),)


class IncrementalTranspose(OpRun):
    """Rows and columns change places: the pixel (y, x) of the output is the input's at (x, y)."""

    op_domain = DOMAIN

    def _run(self, X: Floats, x_boxes: Boxes, y_boxes: Boxes, input_shape: list[int]) -> tuple[Floats]:
        height, width = input_shape
        check_boxes("x_boxes", x_boxes, (height, width))
        check_boxes("y_boxes", y_boxes, (width, height))
        turned = transpose_boxes(y_boxes)
        pictures = split("X", read_hull("X", X, x_boxes, turned), turned)
        return (join((picture.swapaxes(0, 1) for picture in pictures), X.shape[1]),)


def concatenate(y_boxes: Boxes, x_boxes: Boxes, X: Sequence[Floats]) -> Floats:
    """Rows of ``y_boxes``, the channels of all parts side by side; ``x_boxes`` are X1's, then X2's, ..."""
    check_boxes("x_boxes", x_boxes)
    if not X or len(x_boxes) != len(X) * len(y_boxes):
        raise ValueError(f"x_boxes: expected {len(X)} times {len(y_boxes)} boxes, found {len(x_boxes)}")
    boxes = np.split(x_boxes, len(X))
    check_inside(y_boxes, boxes)
    parts = enumerate(zip(X, boxes, strict=True), 1)
    return np.concatenate([read_hull(f"X{index}", values, own, y_boxes) for index, (values, own) in parts], 1)


class IncrementalConcat(OpRun):
    """Channels side by side, on boxes inside the hull of all."""

    op_domain = DOMAIN

    def _run(self, y_boxes: Boxes, x_boxes: Boxes, *X: Floats) -> tuple[Floats]:
        return (concatenate(y_boxes, x_boxes, X),)


class DepthGather(OpRun):
    """The slices that each output slice reads, side by side."""

    op_domain = DOMAIN

    def _run(self, X: Floats, x_boxes: Boxes, y_boxes: Boxes, depth: list[int], group: int = 1) -> tuple[Floats]:
        window = read_depth(depth)
        check_depth(x_boxes, y_boxes, window)
        split("X", X, x_boxes)
        if X.shape[1] % group:
            raise ValueError(f"attribute group: expected a divisor of the channels {X.shape[1]}, found {group}")
        check_inside(y_boxes, [depth_boxes(x_boxes, window)])
        parts = [read_hull("X", *take_slices(X, x_boxes, window, tap), y_boxes) for tap in range(window.kernel)]
        gathered = np.stack([part.reshape(len(part), group, -1) for part in parts], axis=2)
        return (np.ascontiguousarray(gathered.reshape(len(gathered), window.kernel * X.shape[1])),)


class IncrementalResample(OpRun):
    """The sum above, in float64."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        x_boxes: Boxes,
        y_boxes: Boxes,
        y_index: Table,
        y_weight: Floats,
        x_index: Table,
        x_weight: Floats,
        limit: Floats | None = None,
        *,
        input_shape: list[int],
    ) -> tuple[Floats]:
        vertical = as_matrix(y_index, y_weight, input_shape[0])
        horizontal = as_matrix(x_index, x_weight, input_shape[1])
        check_boxes("y_boxes", y_boxes, (len(vertical), len(horizontal)))
        maps = (
            np.einsum("pi,qj,ijc->pqc", vertical, horizontal, delta).astype(np.float32)
            for delta in delta_maps("X", X, x_boxes, (input_shape[0], input_shape[1]))
        )
        return (flush(cut_boxes(maps, y_boxes, X.shape[1]), limit),)


def as_matrix(index: Table, weight: Floats, size: int) -> npt.NDArray[np.float64]:
    """The table of one axis as a matrix [outputs, inputs]."""
    check_table(index, size)
    if weight.shape != index.shape:
        raise ValueError(f"expected weights of the indices' shape {list(index.shape)}, found {list(weight.shape)}")
    matrix = np.zeros((len(index), size))
    for row, column in np.ndindex(*index.shape):
        if index[row, column] >= 0:
            matrix[row, index[row, column]] += weight[row, column]
    return matrix
