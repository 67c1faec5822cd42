"""The worth of each setting, from a part of its windows: settings are played through, not run.

thresholds on the first groups of an image's windows    ->  the whole grid, the deviation from exact interpolated
every drill-down and share on that                      ->  quality, windows
sampling on that, stage by stage                        ->  the least scale at which enough images keep the bounds
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from krypton_compile import features
from krypton_compile.contract.geometry import Pair
from krypton_compile.ort.library import multiplies_bfloat16
from krypton_compile.runtime.approximation import interpolation, lattice
from krypton_compile.runtime.approximation.bounds import Goal, Quality
from krypton_compile.runtime.approximation.sampling import STAGES, Sampling
from krypton_compile.runtime.approximation.settings import EXACT, Approximation, DrillDown
from krypton_compile.runtime.approximation.thresholds import REDUCED, Thresholds
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.quality import worst
from krypton_compile.runtime.tuning.replay import Explainer, Play, Sample

TAUS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)
EPSES = (0.0, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 4e-2, 8e-2)
DRILL_SHARES = (0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.0)
DRILL_STEPS = (2, 3, 4, 6, 8)
SHARES = tuple(count / lattice.GROUPS for count in STAGES[:-1])
SCALES = tuple(np.arange(0.5, 3.01, 0.05).round(2).tolist())
# A scale is taken where it and the next ones keep the bounds: which image stops when is a matter of luck.
_SETTLED = 3
_PLAYED_GROUPS = 64
# Settings that do not look at the image must keep the goal with so many standard deviations over images to spare: the
# fastest of hundreds is one of those that the tuning images happened to flatter.
_SPARE = 0.5
# Bfloat16 is taken where windows take at most this share of the time.
_FASTER = 0.95
_TIMED_GROUPS = 8


@dataclass(frozen=True)
class Candidate:
    """One setting with its seconds for a map, the worst quality and the slack; all played, or of real runs."""

    approximation: Approximation
    seconds: float
    quality: Quality
    slack: float
    confirmed: bool = False


class Screening:
    """All that was played so far, by thresholds and image."""

    def __init__(self, explain: Explainer, exact: dict[str, Explanation], goal: Goal) -> None:
        self._explain, self._exact, self.goal = explain, exact, goal
        self._measures = frozenset({"ssim", *(bound.measure for bound in goal.bounds)})
        self.plays: dict[Approximation, dict[str, Play]] = {}
        self._screened = 0

    def screen(self, samples: Sequence[Sample], say: Callable[[str], None]) -> None:
        """Play all thresholds that may keep the bounds: where some break them, stronger ones are not tried."""
        self._screened = len(samples)
        broken: list[tuple[float, float]] = []
        precision = self._faster_precision(samples[0])
        for sample in samples:
            self.play(sample, EXACT)
        for tau, eps in ((tau, eps) for tau in TAUS for eps in EPSES):
            hopeless = any(tau <= t and eps >= e for t, e in broken)
            if hopeless and eps > 0:  # tau alone is for the comparison with the paper's way
                continue
            thresholds = Approximation(tau, eps, precision=precision)
            say(f"screening {thresholds.describe()}")
            for sample in samples:
                self.play(sample, thresholds)
            if self._breaks(thresholds):
                broken.append((tau, eps))

    def _faster_precision(self, sample: Sample) -> str | None:
        """Bfloat16 where the same windows take less time in it; else None."""
        if not multiplies_bfloat16():
            return None
        whole, scorer = self._exact[sample.name], self._explain.scorer
        prepared = scorer.prepare(sample.image, sample.baseline)
        some = Occlusion(whole.boxes[lattice.first(whole.windows.grid, _TIMED_GROUPS).ravel()])

        def seconds(precision: str | None) -> float:
            start = time.perf_counter()
            scorer.score(prepared, some, Thresholds(precision=precision), classes=[whole.target])
            return time.perf_counter() - start

        both = [(seconds(None), seconds(REDUCED)) for _ in range(3)]
        exact, reduced = (min(times) for times in zip(*both, strict=True))
        return REDUCED if reduced < _FASTER * exact else None

    def play(self, sample: Sample, thresholds: Approximation) -> None:
        """Play an image under some thresholds, once."""
        plays = self.plays.setdefault(thresholds, {})
        if sample.name in plays:
            return
        whole = self._exact[sample.name]
        scorer, shape = self._explain.scorer, whole.windows.grid
        start = time.perf_counter()
        prepared = scorer.prepare(sample.image, sample.baseline)
        base_seconds = time.perf_counter() - start
        unchanged = ~scorer.changes(prepared, whole.boxes).reshape(shape)
        drop = whole.base_scores[whole.target] - whole.scores[..., [whole.target]]
        seconds = (whole.seconds - base_seconds) / drop.size
        if not thresholds.exact:
            fill = interpolation.from_groups(shape, _PLAYED_GROUPS, self._explain.stride)
            some = Occlusion(whole.boxes[fill.known.ravel()])
            start = time.perf_counter()
            scores = scorer.score(prepared, some, thresholds.thresholds, classes=[whole.target]).scores
            seconds = (time.perf_counter() - start) / len(some.boxes)
            deviation = np.zeros_like(drop)
            deviation[fill.known] = whole.base_scores[whole.target] - scores - drop[fill.known]
            drop = drop + fill(deviation)
        plays[sample.name] = Play(whole, drop[..., 0], unchanged, base_seconds, seconds, self._measures)

    def lacking(self, thresholds: Approximation, samples: Sequence[Sample]) -> list[Sample]:
        """The samples on which these thresholds were not played."""
        return [sample for sample in samples if sample.name not in self.plays[thresholds]]

    def candidates(self) -> Iterator[Candidate]:
        """Yield every setting that was played: its worst quality, and its mean seconds on images that all had.

        A few images flatter a sampling: where another was fitted on more of them, its scale is the least.
        """
        most = max(map(len, self.plays.values()))
        fits = {
            thresholds: self.fit(list(plays.values()))
            for thresholds, plays in self.plays.items()
            if len(plays) == most and not self._breaks(thresholds)
        }
        least = min((fit.scale for fit in fits.values() if fit is not None), default=0.0)
        for thresholds, by_name in self.plays.items():
            plays = list(by_name.values())
            if not thresholds.exact:
                windows = [play.drop.size for play in plays]
                yield self._candidate(thresholds, plays, _whole(plays), windows)
            if self._breaks(thresholds):
                continue
            for drill in _drill_downs(self._explain.stride):
                drilled = [play.drilled(drill) for play in plays]
                yield self._candidate(replace(thresholds, drill_down=drill), plays, *zip(*drilled, strict=True))
            for count, share in zip(STAGES, SHARES, strict=False):
                stages = [play.sampled(count) for play in plays]
                qualities, windows = [stage[0] for stage in stages], [stage[2] for stage in stages]
                setting = replace(thresholds, sampling=Sampling(share=share))
                yield self._candidate(setting, plays, qualities, windows)
            sampling = fits[thresholds] if thresholds in fits else self.fit(plays, least)
            if sampling is not None:
                stages = [play.sampled(play.stops(sampling)) for play in plays]
                qualities, windows = [stage[0] for stage in stages], [stage[2] for stage in stages]
                yield self._candidate(replace(thresholds, sampling=sampling), plays, qualities, windows)

    def fit(self, plays: Sequence[Play], least: float = 0.0) -> Sampling | None:
        """Fit a sampling, that with the smallest scale from ``least`` on that keeps the goal; None if there is none."""
        bounds = self.goal.bounds
        floors = [float(np.mean([bound.loss(quality) for quality in _whole(plays)])) for bound in bounds]
        settled = 0
        for scale in (scale for scale in SCALES if scale >= least):
            sampling = Sampling(bounds=bounds, scale=scale, floors=tuple(floors))
            stops = [play.stops(sampling) for play in plays]
            qualities = [play.sampled(stop)[0] for play, stop in zip(plays, stops, strict=True)]
            settled = settled + 1 if self.goal.slack(qualities) >= 0 else 0
            if settled == 1:
                least_careful = replace(sampling, first=min(stops))
            if settled == _SETTLED:
                # Where every image takes all windows, nothing is sampled.
                return None if least_careful.first == lattice.GROUPS else least_careful
        return None

    def _breaks(self, thresholds: Approximation) -> bool:
        """Whether thresholds alone break the goal on the images that they were played on."""
        return self.goal.slack(_whole(list(self.plays[thresholds].values()))) < 0

    def _candidate(
        self, setting: Approximation, plays: Sequence[Play], qualities: Sequence[Quality], windows: Sequence[int]
    ) -> Candidate:
        seconds = [play.seconds(count) for play, count in zip(plays, windows, strict=True)][: self._screened]
        slack = self.goal.slack(qualities)
        if setting.sampling is None or setting.sampling.share is not None:
            slack -= _SPARE * self.goal.spread(qualities)
        return Candidate(setting, float(np.mean(seconds)), worst(qualities), slack)


def _whole(plays: Sequence[Play]) -> list[Quality]:
    """The quality of thresholds on each image, every window scored."""
    return [play.sampled(lattice.GROUPS)[0] for play in plays]


def _drill_downs(stride: Pair) -> Iterator[DrillDown]:
    for steps in DRILL_STEPS if features.DRILL_DOWN else ():
        for r in DRILL_SHARES:
            yield DrillDown(r, (steps * stride[0], steps * stride[1]))


def thresholds_of(setting: Approximation) -> Approximation:
    """The part of a setting that its windows are scored with."""
    return replace(setting, sampling=None, drill_down=None)
