"""How far two computations of one score may lie apart: the bounds of all parts (DESIGN section 10).

Bounds are relative to the largest logit, or to 1 where probabilities are compared. They follow from what onnxruntime
differs by from itself: 3e-7 to 5e-6 of the largest logit between its optimisation levels, on the networks of the tests.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LOGIT_BOUND = 1e-5
"""Of a compiled file against its original, at every position: of the largest logit."""

PROBABILITY_BOUND = 1e-5
"""Of a compiled file against its original where only probabilities can be compared: absolute."""

NOISE_FACTOR = 8
"""How many times onnxruntime's difference from itself a compiled file may differ by, where that is more than the bounds
above: a base map and a delta were rounded for a result, each in another order. A fault in a rule moves results by a
thousand times as much."""

LARGEST_NOISE = 1e-3
"""The most that NOISE_FACTOR may allow: of the largest logit."""

BATCH_BOUND = 1e-5
"""Of a model of several images at once against the same model for one image: of the largest score."""

SELF_CHECK_BOUND = 2e-5
"""Of a session's first windows against the base graph on really occluded images: of the largest logit. Processors round
in different orders, and matrix tiles multiply in pieces of bfloat16, so a session measures on its own machine."""

PIECES_BOUND = SELF_CHECK_BOUND / 4
"""Of such windows where they were multiplied in pieces of bfloat16, or float32 takes over: on six real networks the
largest error of a map was up to four times that of the windows of a check that found more than 2e-6."""

ROUNDING = 1e-5
"""By how much two exact computations of one score differ: of the largest logit, or of probability 1. Smaller
differences between windows mean nothing."""

SAME_MODEL = 1e-3
"""Base scores that differ by more than this share of the largest one are those of another model."""

SAME_HALF_MODEL = 2e-2
"""SAME_MODEL for a model that rounds every result to 16 bits."""

EXPORT_BOUND = 1e-3
"""Of a torch module against its own ONNX export: of the largest score. torch and onnxruntime differ by some 1e-6 in
rounding, a wrong export by far more."""


def largest_difference(rows: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> float:
    """Find the largest difference of two entries; entries that are infinite or NaN alike differ by nothing.

    Classes that are masked or not trained are such. Where one alone is not finite, the difference is infinite.
    """
    with np.errstate(invalid="ignore"):
        apart = np.abs(rows.astype(np.float64) - others)
    apart[(rows == others) | (np.isnan(rows) & np.isnan(others))] = 0
    apart[np.isnan(apart)] = np.inf
    return float(apart.max(initial=0))
