"""Ops that end the spatial part: the box alone contributes, so the result is one small dense row a position.

IncrementalGemm                 DY = flatten(D) W, the map flattened as (y, x, c); W is [H*W*C, N]
IncrementalGlobalAveragePool    DY = sum of D over the box / (H*W)
IncrementalGlobalMaxPool        DY = max of X0 + D over the map - max of X0

Of volumes ``input_shape`` is [D, H, W], and the D boxes of a position make one row.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import as_volume
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import Floats, check_map, check_slices, delta_maps, slices_of


class IncrementalGemm(OpRun):
    """The first Gemm or MatMul after Flatten, without bias: [B, N]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, W: Floats, input_shape: list[int]) -> tuple[Floats]:
        volumes = _volumes(X, boxes, input_shape)
        check_map("W", W, (math.prod(input_shape) * X.shape[1], -1))
        return ((volumes.reshape(len(volumes), -1) @ W.astype(np.float64)).astype(np.float32),)


class IncrementalGlobalAveragePool(OpRun):
    """GlobalAveragePool, or ReduceMean over H and W: [B, C]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, input_shape: list[int]) -> tuple[Floats]:
        return (_volumes(X, boxes, input_shape).mean(axis=(1, 2, 3)).astype(np.float32),)


class IncrementalGlobalMaxPool(OpRun):
    """GlobalMaxPool, or ReduceMax over H and W: [B, C]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, X0: Floats) -> tuple[Floats]:
        base = slices_of("X0", X0, X.shape[1])
        moved = base + _volumes(X, boxes, list(base.shape[:3]))
        return ((moved.max(axis=(1, 2, 3)) - base.max(axis=(0, 1, 2))).astype(np.float32),)


def _volumes(values: Floats, boxes: Boxes, shape: list[int]) -> npt.NDArray[np.float64]:
    """One full map [D, H, W, C] a position."""
    depth, height, width = as_volume(shape)
    check_slices("boxes", boxes, depth)
    full = np.zeros((len(boxes), height, width, values.shape[1]))
    for row, delta in enumerate(delta_maps("X", values, boxes, (height, width))):
        full[row] = delta
    return full.reshape(-1, depth, height, width, values.shape[1])
