"""IncrementalResample: output pixels that are weighted sums of a few input pixels, the weights separable.

    DY[p, q] = sum over s, t of y_weight[p, s] * x_weight[q, t] * DX[y_index[p, s], x_index[q, t]]

An index of -1 reads nothing. Linear Resize, Pad that mirrors, a Slice of pixels, and the zeros that ConvTranspose puts
between pixels are all tables of this kind.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import Floats, check_boxes, cut_boxes, delta_maps
from krypton_compile.reference.thresholds import flush

Table = npt.NDArray[np.int64]


class ResampleBoxes(OpRun):
    """The hull of the outputs that read anything of a box."""

    op_domain = DOMAIN

    def _run(self, boxes: Boxes, y_index: Table, x_index: Table, input_shape: list[int]) -> tuple[Boxes]:
        check_boxes("boxes", boxes, (input_shape[0], input_shape[1]))
        for index, size in ((y_index, input_shape[0]), (x_index, input_shape[1])):
            check_table(index, size)
        return (geometry.resample_boxes(boxes, y_index, x_index),)


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


def check_table(index: Table, size: int) -> None:
    """Raise ValueError unless the indices are [outputs, taps] of positions below ``size``, or -1."""
    if index.ndim != 2 or index.dtype != np.int64 or (index < -1).any() or (index >= size).any():
        raise ValueError(f"expected int64 indices [outputs, taps] from -1 to {size - 1}, found {index}")
