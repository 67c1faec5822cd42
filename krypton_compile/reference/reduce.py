"""Ops that end the spatial part: the box alone contributes, so the result is one small dense row a position.

IncrementalGemm                 DY = flatten(D) W, the map flattened as (y, x, c); W is [H*W*C, N]
IncrementalGlobalAveragePool    DY = sum of D over the box / (H*W)
IncrementalGlobalMaxPool        DY = max of X0 + D over the map - max of X0
"""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun

from krypton_compile.geometry import Boxes
from krypton_compile.reference.ragged import Floats, check_map, delta_maps
from krypton_compile.schemas import DOMAIN


class IncrementalGemm(OpRun):
    """The first Gemm or MatMul after Flatten, without bias: [B, N]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, W: Floats, input_shape: list[int]) -> tuple[Floats]:
        height, width = input_shape
        deltas = list(delta_maps("X", X, boxes, (height, width)))
        check_map("W", W, (height * width * X.shape[1], -1))
        flat = np.zeros((len(boxes), len(W)))
        for row, delta in enumerate(deltas):
            flat[row] = delta.ravel()
        return ((flat @ W.astype(np.float64)).astype(np.float32),)


class IncrementalGlobalAveragePool(OpRun):
    """GlobalAveragePool, or ReduceMean over H and W: [B, C]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, input_shape: list[int]) -> tuple[Floats]:
        height, width = input_shape
        result = np.zeros((len(boxes), X.shape[1]), np.float32)
        for row, delta in enumerate(delta_maps("X", X, boxes, (height, width))):
            result[row] = delta.mean(axis=(0, 1), dtype=np.float64)
        return (result,)


class IncrementalGlobalMaxPool(OpRun):
    """GlobalMaxPool, or ReduceMax over H and W: [B, C]."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, X0: Floats) -> tuple[Floats]:
        check_map("X0", X0, (-1, -1, X.shape[1]))
        result = np.zeros((len(boxes), X.shape[1]), np.float32)
        for row, delta in enumerate(delta_maps("X", X, boxes, (X0.shape[0], X0.shape[1]))):
            result[row] = (X0 + delta).max(axis=(0, 1)) - X0.max(axis=(0, 1))
        return (result,)
