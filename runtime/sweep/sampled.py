"""Sampled maps of one image: windows are scored group by group until the map is good enough, the others interpolated.

Every window is scored, and nothing estimated, where that is faster than to judge maps, or where nearly all of them
would be needed; and where nothing can be estimated: scores are no numbers, or maps do not change at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from krypton_compile.runtime.approximation import interpolation, lattice
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.thresholds import Thresholds
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.maps.heatmap import make_map
from krypton_compile.runtime.sweep.progress import progress_within
from krypton_compile.runtime.sweep.windows_scored import Array, Progress, Sweep, score

_WINDOW_PIXELS = 2000
"""A window of a small network takes as long as it takes to make a map of so many pixels and to compare it."""
_MAP_PIXELS = 8000
"""Pixels that would take as long as what each map costs whatever its size."""
_JUDGED = 6
"""Maps that are made and compared until sampling stops."""
_SAVED = 0.7
"""The share of the windows that sampling saves at most, as a rule."""


@dataclass(frozen=True)
class Sampled:
    """What became of sampling: estimates of the measures (``limit``: the worst that they may be, with few exceptions).

    ``every_window`` is the reason why every window was scored, empty where not.
    """

    about: Mapping[str, float] = field(default_factory=dict)
    limit: Mapping[str, float] = field(default_factory=dict)
    every_window: str = ""


def sample(
    scorer: Scorer, sweep: Sweep, thresholds: Thresholds, sampling: Sampling, progress: Progress | None
) -> Sampled:
    """Score what it takes, fill in the rest, and tell the quality that is estimated.

    Raises:
        OcclusionError: if a bound has no calibration for these windows.
    """

    def take(count: int) -> None:
        chosen = lattice.first(sweep.windows.grid, count)
        done = int((sweep.scored & ~sweep.unchanged).sum())
        total = int((chosen & ~sweep.unchanged).sum())
        score(scorer, sweep, chosen, thresholds, progress_within(progress, done, total))

    def changes(count: int) -> list[float]:
        take(count)
        return map_change(sweep, count, sampling.bounds)

    if sampling.share is not None:
        take(sampling.groups())
        fill_from_groups(sweep, sampling.groups())
        return Sampled()
    bounds = " and ".join(map(str, sampling.bounds))
    changing = int((~sweep.unchanged).sum())
    pixels = (int(np.prod(sweep.windows.image_shape)) + _MAP_PIXELS) * len(sweep.focus)
    reason = ""
    if 0 < _SAVED * _WINDOW_PIXELS * changing <= _JUDGED * pixels:
        reason = f"{bounds}: to score all {changing} windows is faster than to estimate some"
        count, losses = lattice.GROUPS, sampling.of_every_window()
    else:
        sampling.require_estimates(sweep.windows.overlap)
        count, losses = sampling.run(changes, sweep.windows.overlap, first_class(sweep))
        if count == lattice.GROUPS:
            reason = f"{bounds}: nearly every window is needed, as far as maps of some of them tell"
    take(count)
    fill_from_groups(sweep, count)
    pairs = list(zip(sampling.bounds, losses, strict=True))
    return Sampled(
        {bound.measure: bound.measured(loss.about) for bound, loss in pairs},
        {bound.measure: bound.measured(loss.limit) for bound, loss in pairs},
        reason,
    )


def first_class(sweep: Sweep) -> bool:
    """Whether the class in focus is the one with the largest score, and the only one."""
    subject = sweep.resolved.subject
    chosen: list[int] = subject.classes[sweep.focus].tolist()
    return chosen == [int(subject.base_scores.argmax())]


def map_change(sweep: Sweep, count: int, bounds: Sequence[Bound]) -> list[float]:
    """Loss, in each bound's measure, of the map of half the groups against that of all ``count``; the worst class's.

    Infinite where it tells nothing: where a score is no number, or the maps are the same though windows may change
    them, as where a score is saturated beside a small object that no scored window hides.
    """
    from krypton_compile.runtime.maps.quality import compare  # scikit-image: not for exact maps

    measures = {bound.measure for bound in bounds}
    if not np.isfinite(sweep.scores[sweep.scored][:, sweep.focus]).all():
        return [np.inf] * len(bounds)
    now, before = (_maps(sweep, groups) for groups in (count, count // 2))
    same = any(np.array_equal(one, other, equal_nan=True) for one, other in zip(now, before, strict=True))
    if same and not sweep.unchanged.all():
        return [np.inf] * len(bounds)
    qualities = [compare(one, other, measures) for one, other in zip(now, before, strict=True)]
    return [max(bound.loss(quality) for quality in qualities) for bound in bounds]


def fill_from_groups(sweep: Sweep, count: int) -> None:
    """Estimate the windows beside the first ``count`` groups."""
    estimates = _interpolation(sweep, count)
    sweep.fill(estimates.known, estimates.others)


def _maps(sweep: Sweep, count: int) -> list[Array]:
    """Heat maps of the classes in focus from the first ``count`` groups alone."""
    filled = _interpolation(sweep, count)(sweep.scores[..., sweep.focus])
    drops = np.where(sweep.unchanged[..., None], 0, sweep.drops(filled))
    return [make_map(drop, sweep.windows) for drop in np.moveaxis(drops, 2, 0)]


def _interpolation(sweep: Sweep, count: int) -> interpolation.Interpolation:
    return interpolation.from_groups(sweep.windows.grid, count, sweep.windows.steps)
