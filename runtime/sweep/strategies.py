"""Occlusion sweeps: all windows at once, as many as a bound on the quality takes, or by drill-down.

    exact         every window of the grid
    sampled       groups of windows spread evenly, until the map hardly changes; the rest by kriging (sampled.py)
    drill-down    stage 1: coarse windows; stage 2: the windows that matter; the rest bilinear (drilldown.py)

An approximate map is checked: a few windows, drawn at random, are scored exactly and compared (check.py).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation import drilldown
from krypton_compile.runtime.approximation.settings import DrillDown
from krypton_compile.runtime.approximation.thresholds import Thresholds
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.sweep.check import check_windows
from krypton_compile.runtime.sweep.progress import progress_within
from krypton_compile.runtime.sweep.sampled import Sampled, sample
from krypton_compile.runtime.sweep.windows_scored import Progress, Sweep, explain_now, score


def sweep_once(scorer: Scorer, sweep: Sweep, check: bool, progress: Progress | None) -> Explanation:
    """Make the map of all windows, exact or approximate as the request has it.

    Raises:
        OcclusionError: if regions are to be sampled or drilled down, between which nothing can be interpolated, or a
            bound has no calibration for these windows.
    """
    approximation = sweep.resolved.request.settings
    drill, sampled = approximation.drill_down, approximation.sampling
    if sweep.windows.regions is not None and (drill is not None or sampled is not None):
        raise OcclusionError(
            f"{approximation.describe()}: regions of a label map are no grid, nothing can be interpolated; "
            "use exact mode, or tau and eps alone"
        )
    outcome = Sampled()
    if sampled is not None and not sampled.exact:
        outcome = sample(scorer, sweep, approximation.thresholds, sampled, progress)
    elif drill is not None and drill.r < 1:
        _drill_down(scorer, sweep, approximation.thresholds, drill, progress)
    else:
        score(scorer, sweep, np.ones(sweep.windows.shape, np.bool_), approximation.thresholds, progress)
    if outcome.every_window:  # nothing was sampled after all
        approximation = replace(approximation, sampling=None)
    explanation = explain_now(scorer, sweep, approximation, outcome.about)
    explanation = replace(explanation, estimated_limit=outcome.limit, every_window=outcome.every_window)
    if approximation.exact or not check:
        return explanation
    measured = check_windows(scorer, sweep, approximation.thresholds)
    return replace(explanation, check=measured, seconds=sweep.seconds())


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
