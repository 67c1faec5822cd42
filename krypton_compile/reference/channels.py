"""IncrementalSoftmax and IncrementalReduceChannels, functions of a pixel's row: f(Z0 + D) - f(Z0) in float64."""

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
