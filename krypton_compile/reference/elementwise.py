"""Ops that keep each pixel where it is, or move it without mixing: Pad, Scale, Add, Concat, LRN.

The linear ones apply to the delta alone; where boxes differ, a delta is zero outside its own box.

    IncrementalLRN    DY = lrn(Z0 + D) - lrn(Z0),    lrn(z)_c = z_c / (bias + alpha/size * sum of z_k^2)^beta,
                      k from c - floor((size-1)/2) to c + ceil((size-1)/2), inside the channels
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from krypton_compile.contract.geometry import Boxes, is_empty, union_boxes
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import Floats, base_rows, check_boxes, check_map, read_hull, split
from krypton_compile.reference.thresholds import flush


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


class IncrementalScale(OpRun):
    """BatchNormalization's slope, or a Mul with one constant a channel."""

    op_domain = DOMAIN

    def _run(self, X: Floats, scale: Floats, limit: Floats | None = None) -> tuple[Floats]:
        check_map("X", X, (-1, -1))
        check_map("scale", scale, (X.shape[1],))
        return (flush(X * scale, limit),)


class IncrementalAdd(OpRun):
    """A + beta * B on boxes inside the hull of both: Add (beta = 1) and Sub (beta = -1) of two maps."""

    op_domain = DOMAIN

    def _run(
        self,
        A: Floats,
        a_boxes: Boxes,
        B: Floats,
        b_boxes: Boxes,
        y_boxes: Boxes,
        limit: Floats | None = None,
        beta: float = 1.0,
    ) -> tuple[Floats]:
        check_inside(y_boxes, [a_boxes, b_boxes])
        left = read_hull("A", A, a_boxes, y_boxes)
        right = read_hull("B", B, b_boxes, y_boxes)
        check_map("B", right, left.shape)
        return (flush(left + np.float32(beta) * right, limit),)


class IncrementalConcat(OpRun):
    """Channels side by side, on boxes inside the hull of all; ``x_boxes`` are those of X1, then those of X2, ..."""

    op_domain = DOMAIN

    def _run(self, y_boxes: Boxes, x_boxes: Boxes, *X: Floats) -> tuple[Floats]:
        check_boxes("x_boxes", x_boxes)
        if not X or len(x_boxes) != len(X) * len(y_boxes):
            raise ValueError(f"x_boxes: expected {len(X)} times {len(y_boxes)} boxes, found {len(x_boxes)}")
        boxes = np.split(x_boxes, len(X))
        check_inside(y_boxes, boxes)
        parts = zip(X, boxes, strict=True)
        return (
            np.concatenate(
                [read_hull(f"X{i}", values, boxes, y_boxes) for i, (values, boxes) in enumerate(parts, 1)], 1
            ),
        )


class IncrementalLRN(OpRun):
    """Local response normalization over channels, on the pixel's row."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        boxes: Boxes,
        Z0: Floats,
        limit: Floats | None = None,
        *,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        bias: float = 1.0,
    ) -> tuple[Floats]:
        split("X", X, boxes)
        before = base_rows("Z0", Z0, boxes, X.shape[1]).astype(np.float64)
        after = before + X
        change = normalize(after, size, alpha, beta, bias) - normalize(before, size, alpha, beta, bias)
        return (flush(change.astype(np.float32), limit),)


class IncrementalLayerNorm(OpRun):
    """LayerNormalization over channels, on the pixel's row; its bias cancels."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        boxes: Boxes,
        Z0: Floats,
        scale: Floats,
        limit: Floats | None = None,
        *,
        epsilon: float = 1e-5,
    ) -> tuple[Floats]:
        split("X", X, boxes)
        check_map("scale", scale, (X.shape[1],))
        before = base_rows("Z0", Z0, boxes, X.shape[1]).astype(np.float64)
        change = scale * (standardize(before + X, epsilon) - standardize(before, epsilon))
        return (flush(change.astype(np.float32), limit),)


def check_inside(hull: Boxes, parts: Sequence[Boxes]) -> None:
    """Raise ValueError unless each box of ``hull`` lies inside the hull of its parts."""
    check_boxes("y_boxes", hull)
    for part in parts:
        check_boxes("an input's boxes", part)
        if len(part) != len(hull):
            raise ValueError(f"an input has {len(part)} boxes, y_boxes has {len(hull)}")
    expected = union_boxes(parts)
    corner, wide = hull[:, :2].astype(np.int64), expected.astype(np.int64)
    beyond = (corner < wide[:, :2]).any(axis=1) | (corner + hull[:, 2:] > wide[:, :2] + wide[:, 2:]).any(axis=1)
    wrong = beyond & ~is_empty(hull)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"y_boxes: box {row} is {hull[row].tolist()}, expected one inside {expected[row].tolist()}")


def standardize(rows: npt.NDArray[np.float64], epsilon: float) -> npt.NDArray[np.float64]:
    """Rows [R, C] less their mean, over their deviation."""
    return np.asarray((rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.var(axis=1, keepdims=True) + epsilon))


def normalize(
    rows: npt.NDArray[np.float64], size: int, alpha: float, beta: float, bias: float
) -> npt.NDArray[np.float64]:
    """LRN of rows [R, C]."""
    channels = rows.shape[1]
    energy = np.zeros_like(rows)
    for channel in range(channels):
        first, last = max(0, channel - (size - 1) // 2), min(channels, channel + size // 2 + 1)
        energy[:, channel] = (rows[:, first:last] ** 2).sum(axis=1)
    return rows / (bias + alpha / size * energy) ** beta
