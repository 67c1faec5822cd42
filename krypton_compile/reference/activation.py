"""IncrementalClip: Relu, Relu6 and every other Clip, by branch.

With c = clip(z0, min, max) and z1 = z0 + d, clip(z1) - c = clip(d + (z0 - c), min - c, max - c). Where z0 and
z1 lie in the linear piece, c = z0 and the result is d itself: rounding scales with the delta.
"""

from __future__ import annotations

import math

import numpy as np
from onnx.reference.op_run import OpRun

from krypton_compile.geometry import Boxes
from krypton_compile.reference.ragged import Floats, base_rows, split
from krypton_compile.reference.thresholds import flush
from krypton_compile.schemas import DOMAIN


class IncrementalClip(OpRun):
    """clip(Z0 + D) - clip(Z0); the defaults are Relu's."""

    op_domain = DOMAIN

    def _run(
        self,
        X: Floats,
        boxes: Boxes,
        Z0: Floats,
        limit: Floats | None = None,
        min: float = 0.0,
        max: float = math.inf,
    ) -> tuple[Floats]:
        split("X", X, boxes)
        return (flush(clip_delta(X, base_rows("Z0", Z0, boxes, X.shape[1]), min, max), limit),)


def clip_delta(delta: Floats, base: Floats, low: float, high: float) -> Floats:
    """The clip rule, row by row, in the order of operations that the kernels follow."""
    lower, upper = np.float32(low), np.float32(high)
    clipped = np.minimum(np.maximum(base, lower), upper)
    moved: Floats = np.minimum(np.maximum(delta + (base - clipped), lower - clipped), upper - clipped)
    return moved
