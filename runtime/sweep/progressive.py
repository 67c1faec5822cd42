"""Ever finer maps of one image, each usable; no window is scored twice, and the last map is exact.

pictures           groups of windows spread evenly, the rest kriged (lattice.py)
signals, volumes   coarse to fine, the rest linear between the scored windows (refining.py)
regions            one map alone, the exact one: there is no grid between whose scores one could interpolate
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from krypton_compile.runtime.approximation import calibration, lattice, refining, sampling
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.settings import EXACT
from krypton_compile.runtime.approximation.thresholds import NOTHING_LEFT_OUT
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.sweep.sampled import fill_from_groups, first_class, map_change
from krypton_compile.runtime.sweep.windows_scored import Mask, Sweep, explain_now, score

STAGES = (1, *calibration.STAGES)
_ESTIMATED = Bound("ssim", 0.9)
"""The measure that a progressive map's quality is estimated in."""


def sweep_progressively(scorer: Scorer, sweep: Sweep) -> Iterator[Explanation]:
    """Yield ever finer maps; the last one is exact."""
    if sweep.windows.regions is not None:
        return _all_at_once(scorer, sweep)
    if len(sweep.windows.shape) == 2:
        return _by_groups(scorer, sweep)
    return _coarse_to_fine(scorer, sweep)


def _all_at_once(scorer: Scorer, sweep: Sweep) -> Iterator[Explanation]:
    _score_new(scorer, sweep, ~sweep.scored)
    yield _map_now(scorer, sweep, 0.0, {})


def _by_groups(scorer: Scorer, sweep: Sweep) -> Iterator[Explanation]:
    error = math.nan
    for count in STAGES:
        new = lattice.first(sweep.windows.grid, count) & ~sweep.scored
        if not new.any() and count < lattice.GROUPS:
            continue
        off = _score_new(scorer, sweep, new)
        error = off if count > 1 else error
        fill_from_groups(sweep, count)
        yield _map_now(scorer, sweep, error, _estimate(sweep, count))
        if sweep.scored.all():
            return


def _estimate(sweep: Sweep, count: int) -> dict[str, float]:
    """What a map of so many groups is about worth; empty where that is not known."""
    measure, overlap = _ESTIMATED.measure, sweep.windows.overlap
    if count not in calibration.STAGES or calibration.find(measure, overlap) is None:
        return {}
    change = map_change(sweep, count, [_ESTIMATED])[0]
    if math.isinf(change):
        return {}
    loss = sampling.estimate_loss(measure, overlap, first_class(sweep), count, change)
    return {measure: _ESTIMATED.measured(loss.about)}


def _coarse_to_fine(scorer: Scorer, sweep: Sweep) -> Iterator[Explanation]:
    error = math.nan
    for number, places in enumerate(refining.stages(sweep.windows.shape)):
        known = np.zeros(sweep.windows.shape, np.bool_)
        known[np.ix_(*places)] = True
        new = known & ~sweep.scored
        if not new.any() and not known.all():
            continue
        off = _score_new(scorer, sweep, new)
        error = off if number else error
        _fill_between(sweep, known, places)
        yield _map_now(scorer, sweep, error, {})
        if sweep.scored.all():
            return


def _fill_between(sweep: Sweep, known: Mask, places: Sequence[refining.Indices]) -> None:
    """Estimate the windows beside the ``known`` ones, which lie at these places along each axis."""
    at, shape = np.ix_(*places), sweep.windows.shape
    sweep.fill(known, lambda scores: refining.between(scores[at], places, shape)[~known])


def _score_new(scorer: Scorer, sweep: Sweep, new: Mask) -> float:
    """Score some windows; the root of the mean square by which they differ from what they were taken to be."""
    guessed = sweep.scores[new][:, sweep.focus]
    score(scorer, sweep, new, NOTHING_LEFT_OUT, None)
    return float(np.sqrt(np.mean((sweep.scores[new][:, sweep.focus] - guessed) ** 2))) if new.any() else 0.0


def _map_now(scorer: Scorer, sweep: Sweep, error: float, estimated: dict[str, float]) -> Explanation:
    """Make a map of what is known now, with scores of its own: the sweep goes on."""
    explanation = explain_now(scorer, sweep, EXACT, estimated)
    whole = bool(sweep.scored.all())
    return replace(explanation, scores=explanation.scores.copy(), estimated_error=0.0 if whole else error)
