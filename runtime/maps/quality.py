"""Measures of how close one heat map is to another; a bound on an approximate map is put on one of them.

    ssim        structural similarity of the raw maps (Wang et al. 2004) by scikit-image: uniform 7 x 7 windows, data
                range that of the exact map; 1 is equal. The measure of the KRYPTON paper.
    color_ssim  the same of the maps as they are drawn, each in its own colour range, 0..255 in three channels
    rank        Spearman's rank correlation over pixels
    top10       share of the exact map's highest tenth of pixels that is also the other map's
    error       largest absolute difference, in units of the exact map's range; 0 is equal

Pixels that no window covers are left out, or zero where a picture is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from krypton_compile.runtime.approximation.bounds import LOWER_IS_BETTER, MEASURES, Quality
from krypton_compile.runtime.maps.figure import colourise

Map = npt.NDArray[np.float32]

_WINDOW = 7
_TOP = 0.1


def compare(exact: Map, other: Map, measures: Collection[str] = MEASURES) -> Quality:
    """Measure ``other`` [H, W] against ``exact``; NaN where no window lies, in both.

    Of ``measures``, those left out are NaN: color_ssim takes most of the time.

    Raises:
        ValueError: if the maps have different shapes, or NaN at different pixels.
    """
    covered = np.isfinite(exact)
    if exact.shape != other.shape or not np.array_equal(covered, np.isfinite(other)):
        raise ValueError(f"maps of shapes {exact.shape} and {other.shape} that do not cover the same pixels")
    a, b = exact[covered].astype(np.float64), other[covered].astype(np.float64)
    spread = float(np.ptp(a)) if a.size else 0.0
    if spread == 0:
        # Nothing to see in the exact map: the other is as good only if it shows nothing either.
        same = float(np.array_equal(a, b))
        return Quality(same, same, same, same, 1 - same)
    known = _around(covered)  # beyond it both are zero, which would count as alike
    # In float64: the squares of a class of tiny probability are 0 in float32, and the similarity 0 / 0.
    pictures = [np.where(covered, values, 0)[known].astype(np.float64) for values in (exact, other)]
    window = min(_WINDOW, (min(pictures[0].shape) - 1) // 2 * 2 + 1)
    similarity: Any = structural_similarity  # it ships no types

    def color_ssim() -> float:
        drawn = [colourise(picture.astype(np.float32)) for picture in pictures]
        return float(similarity(*drawn, win_size=window, data_range=255, channel_axis=2))

    ways: dict[str, Callable[[], float]] = {
        "ssim": lambda: float(similarity(*pictures, win_size=window, data_range=spread)),
        "color_ssim": color_ssim,
        "rank": lambda: _correlation(_ranks(a), _ranks(b)),
        "top10": lambda: _overlap(a, b),
        "error": lambda: float(np.abs(a - b).max()) / spread,
    }
    return Quality(**{name: way() if name in measures else math.nan for name, way in ways.items()})


def worst(qualities: Sequence[Quality]) -> Quality:
    """Measure by measure, the worst of several maps."""
    columns = {name: [asdict(quality)[name] for quality in qualities] for name in MEASURES}
    return Quality(**{name: (max if name in LOWER_IS_BETTER else min)(values) for name, values in columns.items()})


def _around(covered: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    """Rows and columns that hold all covered pixels, at least as many as a window of the similarity where there are."""
    around = []
    for at, size in zip(np.nonzero(covered), covered.shape, strict=True):
        start = max(0, min(int(at.min()), size - _WINDOW))
        around.append(slice(start, max(int(at.max()) + 1, min(size, start + _WINDOW))))
    return tuple(around)


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 0, ties sharing the mean of theirs."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[where.ravel()])


def _correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _overlap(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    count = max(1, round(_TOP * a.size))
    highest = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (a, b)]
    return len(highest[0] & highest[1]) / count
