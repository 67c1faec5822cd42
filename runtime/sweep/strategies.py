"""Occlusion sweeps: all windows at once, as many as a bound on the quality takes, or by drill-down.

    exact         every window of the grid
    sampled       groups of windows spread evenly, until the map hardly changes; the rest by kriging (sampling.py)
    drill-down    stage 1: coarse windows; stage 2: the windows that matter; the rest bilinear (drilldown.py)

An approximate map is checked: a few windows, drawn at random, are scored exactly and compared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation import drilldown, interpolation, lattice
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import DrillDown
from krypton_compile.runtime.approximation.thresholds import NOTHING_LEFT_OUT, Thresholds
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.maps.explanation import Check, Explanation
from krypton_compile.runtime.maps.heatmap import make_map
from krypton_compile.runtime.sweep.progress import progress_within
from krypton_compile.runtime.sweep.windows_scored import Array, Progress, Sweep, explain_now, score, score_windows

CHECKED = 8
"""Windows scored again, exactly, to measure an approximate map's error."""


def sweep_once(scorer: Scorer, sweep: Sweep, check: bool, progress: Progress | None) -> Explanation:
    """Make the map of all windows, exact or approximate as the request has it.

    Raises:
        OcclusionError: if regions are to be sampled or drilled down, between which nothing can be interpolated.
    """
    approximation = sweep.resolved.request.approximation
    drill, sampled = approximation.drill_down, approximation.sampling
    if sweep.windows.regions is not None and (drill is not None or sampled is not None):
        raise OcclusionError(
            f"{approximation.describe()}: regions of a label map are no grid, nothing can be interpolated; "
            "use exact mode, or tau and eps alone"
        )
    estimated: dict[str, float] = {}
    if sampled is not None and not sampled.exact:
        estimated = _sample(scorer, sweep, approximation.thresholds, sampled, progress)
    elif drill is not None and drill.r < 1:
        _drill_down(scorer, sweep, approximation.thresholds, drill, progress)
    else:
        score(scorer, sweep, np.ones(sweep.windows.shape, np.bool_), approximation.thresholds, progress)
    explanation = explain_now(scorer, sweep, approximation, estimated)
    if approximation.exact or not check:
        return explanation
    measured = _check(scorer, sweep, approximation.thresholds)
    return replace(explanation, check=measured, seconds=sweep.seconds())


def map_change(sweep: Sweep, count: int, bounds: Sequence[Bound]) -> list[float]:
    """Loss, in each bound's measure, of the map of half the groups against that of all ``count``; the worst class's."""
    from krypton_compile.runtime.maps.quality import compare  # scikit-image: not for exact maps

    measures = {bound.measure for bound in bounds}
    now, before = (_maps(sweep, groups) for groups in (count, count // 2))
    qualities = [compare(one, other, measures) for one, other in zip(now, before, strict=True)]
    return [max(bound.loss(quality) for quality in qualities) for bound in bounds]


def fill_from_groups(sweep: Sweep, count: int) -> None:
    """Estimate the windows beside the first ``count`` groups."""
    estimates = _interpolation(sweep, count)
    sweep.fill(estimates.known, estimates.others)


def _sample(
    scorer: Scorer, sweep: Sweep, thresholds: Thresholds, sampled: Sampling, progress: Progress | None
) -> dict[str, float]:
    """Score what it takes, fill in the rest, and tell the quality that is estimated."""

    def take(count: int) -> None:
        chosen = lattice.first(sweep.windows.grid, count)
        done = int((sweep.scored & ~sweep.unchanged).sum())
        total = int((chosen & ~sweep.unchanged).sum())
        score(scorer, sweep, chosen, thresholds, progress_within(progress, done, total))

    def changes(count: int) -> list[float]:
        take(count)
        return map_change(sweep, count, sampled.bounds)

    if sampled.share is not None:
        take(sampled.groups())
        fill_from_groups(sweep, sampled.groups())
        return {}
    count, losses = sampled.run(changes, sweep.windows.overlap)
    fill_from_groups(sweep, count)
    return {bound.measure: bound.measured(loss) for bound, loss in zip(sampled.bounds, losses, strict=True)}


def _maps(sweep: Sweep, count: int) -> list[Array]:
    """Heat maps of the classes in focus from the first ``count`` groups alone."""
    filled = _interpolation(sweep, count)(sweep.scores[..., sweep.focus])
    drops = np.where(sweep.unchanged[..., None], 0, sweep.drops(filled))
    return [make_map(drop, sweep.windows) for drop in np.moveaxis(drops, 2, 0)]


def _interpolation(sweep: Sweep, count: int) -> interpolation.Interpolation:
    return interpolation.from_groups(sweep.windows.grid, count, sweep.windows.steps)


def _drill_down(
    scorer: Scorer, sweep: Sweep, thresholds: Thresholds, drill: DrillDown, progress: Progress | None
) -> None:
    shape = sweep.windows.grid
    steps = drill.steps(sweep.windows.steps)
    rows, columns = (drilldown.coarse(count, step) for count, step in zip(shape, steps, strict=True))
    at = np.ix_(rows, columns)
    first = np.zeros(shape, np.bool_)
    first[at] = True
    second = math.ceil(drill.r * first.size - 1e-9)
    total = int(first.sum()) + second
    score(scorer, sweep, first, thresholds, progress_within(progress, 0, total), drill.coarse_patch)
    sweep.fill(first, lambda values: drilldown.interpolate(values[at], rows, columns, shape)[~first])
    chosen = drilldown.largest(sweep.effect(), drill.r) & ~sweep.scored
    score(scorer, sweep, chosen, thresholds, progress_within(progress, total - int(chosen.sum()), total))


def _check(scorer: Scorer, sweep: Sweep, thresholds: Thresholds) -> Check:
    """A few random windows, exactly; and the time that the thresholds save on them, one after the other."""
    total, subject = len(sweep.windows.boxes), sweep.resolved.subject
    at = np.sort(np.random.default_rng(0).permutation(total)[: min(CHECKED, total)])

    def timed(some: Thresholds) -> tuple[float, Array]:
        start = time.perf_counter()
        all_scores = np.empty((total, len(subject.classes)), np.float32)
        for rows, scores in score_windows(scorer, sweep.resolved, sweep.windows, at, some):
            all_scores[rows] = scores
        return time.perf_counter() - start, all_scores[at]

    exact_seconds, exact = timed(NOTHING_LEFT_OUT)
    tau_seconds = both_seconds = exact_seconds
    if not replace(thresholds, precision=None).exact:
        tau_seconds = timed(Thresholds(tau=thresholds.tau))[0]
        both_seconds = timed(replace(thresholds, precision=None))[0]
    column = np.flatnonzero(subject.classes == subject.target)
    columns = column if len(column) else np.arange(len(subject.classes))
    difference = np.abs(exact - sweep.scores.reshape(total, -1)[at])[:, columns]
    return Check(
        windows=len(at),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        tau_saves=max(0.0, 1 - tau_seconds / exact_seconds),
        eps_saves=max(0.0, 1 - both_seconds / tau_seconds),
    )
