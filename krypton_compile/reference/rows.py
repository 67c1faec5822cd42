"""Functions of a pixel's whole row of channels: LRN, Softmax, ReduceChannels.

Each is f(Z0 + D) - f(Z0) in float64. Of IncrementalLRN

    lrn(z)_c = z_c / (bias + alpha/size * sum of z_k^2)^beta,
               k from c - floor((size-1)/2) to c + ceil((size-1)/2), inside the channels
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun
from scipy.special import log_softmax, logsumexp, softmax

from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import Floats, base_rows, split
from krypton_compile.reference.thresholds import flush

Rows = npt.NDArray[np.float64]

_REDUCTIONS: dict[str, Callable[[Rows], Rows]] = {
    "L1": lambda rows: np.abs(rows).sum(axis=1),
    "L2": lambda rows: np.sqrt((rows**2).sum(axis=1)),
    "LogSumExp": lambda rows: logsumexp(rows, axis=1),
    "Max": lambda rows: rows.max(axis=1),
    "Mean": lambda rows: rows.mean(axis=1),
    "Min": lambda rows: rows.min(axis=1),
    "Sum": lambda rows: rows.sum(axis=1),
    "SumSquare": lambda rows: (rows**2).sum(axis=1),
}


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


class IncrementalSoftmax(OpRun):
    """Softmax over channels, or its logarithm."""

    op_domain = DOMAIN

    def _run(
        self, X: Floats, boxes: Boxes, Z0: Floats, limit: Floats | None = None, *, logarithm: int = 0
    ) -> tuple[Floats]:
        function = log_softmax if logarithm else softmax
        change = _change(X, boxes, Z0, lambda rows: function(rows, axis=1))
        return (flush(change, limit),)


class IncrementalReduceChannels(OpRun):
    """One number a pixel: ReduceMax and its like over channels."""

    op_domain = DOMAIN

    def _run(self, X: Floats, boxes: Boxes, Z0: Floats, limit: Floats | None = None, *, function: str) -> tuple[Floats]:
        return (flush(_change(X, boxes, Z0, lambda rows: _REDUCTIONS[function](rows)[:, None]), limit),)


def _change(X: Floats, boxes: Boxes, Z0: Floats, function: Callable[[Rows], Rows]) -> Floats:
    split("X", X, boxes)
    before = base_rows("Z0", Z0, boxes, X.shape[1]).astype(np.float64)
    return (function(before + X) - function(before)).astype(np.float32)


def normalize(rows: Rows, size: int, alpha: float, beta: float, bias: float) -> Rows:
    """LRN of rows [R, C]."""
    channels = rows.shape[1]
    energy = np.zeros_like(rows)
    for channel in range(channels):
        first, last = max(0, channel - (size - 1) // 2), min(channels, channel + size // 2 + 1)
        energy[:, channel] = (rows[:, first:last] ** 2).sum(axis=1)
    return rows / (bias + alpha / size * energy) ** beta
