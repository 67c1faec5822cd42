"""Occlusion sweeps: all windows at once, as many as a bound on the quality takes, by drill-down, or ever finer.

    exact         every window of the grid
    sampled       groups of windows spread evenly, until the map hardly changes; the rest by kriging (sampling.py)
    drill-down    stage 1: coarse windows; stage 2: the windows that matter; the rest bilinear (drilldown.py)
    progressive   the groups one after the other, a map after each

An approximate map is checked: a few windows, drawn at random, are scored exactly and compared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation import drilldown, interpolation, lattice, sampling
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import EXACT, Approximation, DrillDown
from krypton_compile.runtime.maps.explanation import Check, Explanation
from krypton_compile.runtime.maps.heatmap import make_map
from krypton_compile.runtime.sweep.progress import progress_within
from krypton_compile.runtime.sweep.windows_scored import Array, Progress, Sweep, explanation, score, score_windows

if TYPE_CHECKING:
    from krypton_compile.runtime.engine.scorer import Scorer

CHECKED = 8
"""Windows scored again, exactly, to measure an approximate map's error."""
PROGRESSIVE_STAGES = (1, *sampling.STAGES)
_ESTIMATED = Bound("ssim", 0.9)
"""What a progressive map's quality is estimated in."""


def sweep_once(
    session: Scorer, sweep: Sweep, approximation: Approximation, check: bool, progress: Progress | None
) -> Explanation:
    """The map of all windows, exact or approximate.

    Raises:
        OcclusionError: sampling or a drill-down of regions, between which nothing can be interpolated.
    """
    drill, sampled = approximation.drill_down, approximation.sampling
    if sweep.windows.regions is not None and (drill is not None or sampled is not None):
        raise OcclusionError(
            f"{approximation.describe()}: regions of a label map are no grid, nothing can be interpolated; "
            "use exact mode, or tau and eps alone"
        )
    estimated: dict[str, float] = {}
    if sampled is not None:
        estimated = _sample(session, sweep, approximation, sampled, progress)
    elif drill is not None and drill.r < 1:
        _drill_down(session, sweep, approximation, drill, progress)
    else:
        score(session, sweep, np.ones(sweep.shape, np.bool_), approximation, progress)
    found = explanation(session, sweep, approximation, estimated)
    if approximation.exact or not check:
        return found
    measured = _check(session, sweep, approximation)
    seconds = sweep.question.seconds + time.perf_counter() - sweep.started
    return replace(found, check=measured, seconds=seconds)


def sweep_progressively(session: Scorer, sweep: Sweep) -> Iterator[Explanation]:
    """Ever finer maps; the last one is exact."""
    error = math.nan
    for count in PROGRESSIVE_STAGES:
        new = lattice.first(sweep.shape, count) & ~sweep.scored
        if not new.any() and count < lattice.GROUPS:
            continue
        guessed = sweep.scores[new][:, sweep.focus]
        score(session, sweep, new, EXACT, None)
        if count > 1:
            error = float(np.sqrt(np.mean((sweep.scores[new][:, sweep.focus] - guessed) ** 2))) if new.any() else 0.0
        _fill(sweep, count)
        estimated = {}
        if count in sampling.STAGES:
            loss = sampling.estimate_loss(count, _change(sweep, count, [_ESTIMATED])[0])
            estimated = {_ESTIMATED.measure: _ESTIMATED.measured(loss)}
        whole = bool(sweep.scored.all())
        found = explanation(session, sweep, EXACT, estimated)
        # A copy: the sweep goes on.
        yield replace(found, scores=found.scores.copy(), estimated_error=0.0 if whole else error)
        if whole:
            return


def _sample(
    session: Scorer,
    sweep: Sweep,
    approximation: Approximation,
    sampled: Sampling,
    progress: Progress | None,
) -> dict[str, float]:
    """Scores what it takes, fills in the rest, and tells the quality that is estimated."""

    def take(count: int) -> None:
        chosen = lattice.first(sweep.shape, count)
        done = int((sweep.scored & ~sweep.unchanged).sum())
        total = int((chosen & ~sweep.unchanged).sum())
        score(session, sweep, chosen, approximation, progress_within(progress, done, total))

    def changes(count: int) -> list[float]:
        take(count)
        return _change(sweep, count, sampled.bounds)

    if sampled.share is not None:
        take(sampled.groups())
        _fill(sweep, sampled.groups())
        return {}
    count, losses = sampled.run(changes, sweep.windows.overlap)
    _fill(sweep, count)
    return {bound.measure: bound.measured(loss) for bound, loss in zip(sampled.bounds, losses, strict=True)}


def _change(sweep: Sweep, count: int, bounds: Sequence[Bound]) -> list[float]:
    """Loss, in each bound's measure, of the map of half the groups against that of all ``count``; the worst class's."""
    from krypton_compile.runtime.maps.quality import compare  # scikit-image: not for exact maps

    measures = {bound.measure for bound in bounds}
    now, before = (_maps(sweep, groups) for groups in (count, count // 2))
    found = [compare(one, other, measures) for one, other in zip(now, before, strict=True)]
    return [max(bound.loss(quality) for quality in found) for bound in bounds]


def _maps(sweep: Sweep, count: int) -> list[Array]:
    """Heat maps of the classes in focus from the first ``count`` groups alone."""
    filled = _interpolation(sweep, count)(sweep.scores[..., sweep.focus])
    drops = np.where(sweep.unchanged[..., None], 0, sweep.drops(filled))
    return [make_map(drop, sweep.windows) for drop in np.moveaxis(drops, 2, 0)]


def _fill(sweep: Sweep, count: int) -> None:
    """The windows beside the first groups become estimates."""
    found = _interpolation(sweep, count)
    sweep.fill(found.known, found.others)


def _interpolation(sweep: Sweep, count: int) -> interpolation.Interpolation:
    return interpolation.from_groups(sweep.shape, count, sweep.stride)


def _drill_down(
    session: Scorer,
    sweep: Sweep,
    approximation: Approximation,
    drill: DrillDown,
    progress: Progress | None,
) -> None:
    steps = drill.steps(sweep.stride)
    rows, columns = (drilldown.coarse(count, step) for count, step in zip(sweep.shape, steps, strict=True))
    at = np.ix_(rows, columns)
    first = np.zeros(sweep.shape, np.bool_)
    first[at] = True
    second = math.ceil(drill.r * first.size - 1e-9)
    total = int(first.sum()) + second
    score(session, sweep, first, approximation, progress_within(progress, 0, total), drill.coarse_patch)
    sweep.fill(first, lambda values: drilldown.interpolate(values[at], rows, columns, sweep.shape)[~first])
    chosen = drilldown.largest(sweep.effect(), drill.r) & ~sweep.scored
    score(session, sweep, chosen, approximation, progress_within(progress, total - int(chosen.sum()), total))


def _check(session: Scorer, sweep: Sweep, approximation: Approximation) -> Check:
    """A few random windows, exactly; and the time that the thresholds save on them, one after the other."""
    total, question = len(sweep.windows.boxes), sweep.question
    at = np.sort(np.random.default_rng(0).permutation(total)[: min(CHECKED, total)])

    def timed(tau: float | Sequence[float], eps: float | Sequence[float]) -> tuple[float, Array]:
        start = time.perf_counter()
        found = np.empty((total, len(question.classes)), np.float32)
        for rows, scores in score_windows(session, question, sweep.windows, at, Approximation(tau, eps)):
            found[rows] = scores
        return time.perf_counter() - start, found[at]

    exact_seconds, exact = timed(1.0, 0.0)
    tau_seconds = both_seconds = exact_seconds
    if not replace(approximation, drill_down=None, sampling=None, precision=None).exact:
        tau_seconds = timed(approximation.tau, 0.0)[0]
        both_seconds = timed(approximation.tau, approximation.eps)[0]
    column = np.flatnonzero(question.classes == question.target.index)
    columns = column if len(column) else np.arange(len(question.classes))
    difference = np.abs(exact - sweep.scores.reshape(total, -1)[at])[:, columns]
    return Check(
        windows=len(at),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        tau_saves=max(0.0, 1 - tau_seconds / exact_seconds),
        eps_saves=max(0.0, 1 - both_seconds / tau_seconds),
    )
