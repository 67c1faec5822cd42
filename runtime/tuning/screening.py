"""The worth of each setting, from a part of its windows: settings are played through, not run.

thresholds on the first groups of an image's windows    ->  the whole grid, the deviation from exact interpolated
thresholds on a few windows, counted                    ->  multiply-adds of a window, whatever the machine does
every drill-down and share on that                      ->  quality, windows
sampling on that, stage by stage                        ->  the least scale at which enough images keep the bounds
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from krypton_compile import features
from krypton_compile.contract.geometry import Pair
from krypton_compile.ort.library import multiplies_bfloat16
from krypton_compile.runtime.approximation import interpolation, lattice
from krypton_compile.runtime.approximation.bounds import Goal, Quality
from krypton_compile.runtime.approximation.calibration import STAGES
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import EXACT, Approximation, DrillDown
from krypton_compile.runtime.approximation.thresholds import REDUCED, Thresholds
from krypton_compile.runtime.engine.counted_work import WorkCounter
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.quality import worst
from krypton_compile.runtime.tuning.few_images import Margin
from krypton_compile.runtime.tuning.replay import Explainer, Play, Sample

TAUS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)
EPSES = (0.0, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 4e-2, 8e-2)
DRILL_SHARES = (0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.0)
DRILL_STEPS = (2, 3, 4, 6, 8)
SHARES = tuple(count / lattice.GROUPS for count in STAGES[:-1])
SCALES = tuple(np.arange(0.5, 4.01, 0.05).round(2).tolist())
# A scale is taken where it and the next ones keep the bounds: which image stops when is a matter of luck.
_SETTLED = 3
_PLAYED_GROUPS = 64
# Settings that do not look at the image must keep the goal with so many standard deviations over images to spare: the
# fastest of hundreds is one of those that the tuning images happened to flatter.
_SPARE = 0.5
# Bfloat16 halves the multiply-adds; it is taken where it saves at least a twentieth of the work.
_HALF, _FASTER = 0.5, 0.95
# Of the first images, the windows on which work is counted.
_COUNTED_IMAGES, _COUNTED_WINDOWS = 2, 12
# Multiply-adds that take as long as what a window costs whatever its size: calls, boxes, scores.
_WINDOW_WORK = 2.5e6


@dataclass(frozen=True)
class Candidate:
    """One setting with its cost, its seconds for a map, the worst quality and the slack; all played, or of real runs.

    ``cost`` is the counted work, 1 that of exact maps; ``seconds`` follow from it where nothing was run.
    """

    approximation: Approximation
    cost: float
    seconds: float
    quality: Quality
    slack: float
    confirmed: bool = False


class Screening:
    """All that was played so far, by thresholds and image."""

    def __init__(self, explain: Explainer, exact: dict[str, Explanation], goal: Goal, images: int = 0) -> None:
        """``images`` is how many tune in all; those of ``exact`` where not given."""
        self._explain, self._exact, self.goal = explain, exact, goal
        self.margin = Margin(goal, images or len(exact))
        self._measures = frozenset({"ssim", *(bound.measure for bound in goal.bounds)})
        self._counter = WorkCounter(explain.scorer)
        self._seconds = float(np.median([explanation.seconds for explanation in exact.values()]))
        self.plays: dict[Approximation, dict[str, Play]] = {}
        self._work: dict[Approximation, tuple[float, float]] = {}
        self._counted: Sequence[Sample] = ()
        self._screened = 0

    def screen(self, samples: Sequence[Sample], say: Callable[[str], None]) -> None:
        """Play all thresholds that may keep the bounds: where some break them, stronger ones are not tried."""
        self._screened, self._counted = len(samples), samples[:_COUNTED_IMAGES]
        broken: list[tuple[float, float]] = []
        precision = self._faster_precision()
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

    def _faster_precision(self) -> str | None:
        """Bfloat16 where the processor multiplies it and windows are work enough; else None."""
        exact, reduced = (self.work(Approximation(precision=precision))[1] for precision in (None, REDUCED))
        if not multiplies_bfloat16() or reduced > _FASTER * exact:
            return None
        # Layers that are too small for it multiply as ever.
        sample = self._counted[0]
        whole, scorer = self._exact[sample.name], self._explain.scorer
        prepared = scorer.prepare(sample.image, sample.baseline)
        some = Occlusion(whole.boxes[lattice.first(whole.windows.grid, 1).ravel()])
        exact_scores, reduced_scores = (
            scorer.score(prepared, some, Thresholds(precision=precision)).scores for precision in (None, REDUCED)
        )
        return None if np.array_equal(exact_scores, reduced_scores) else REDUCED

    def work(self, thresholds: Approximation) -> tuple[float, float]:
        """Multiply-adds of the base pass and of a window under some thresholds, counted on a few windows."""
        if thresholds not in self._work:
            scorer, reduced = self._explain.scorer, thresholds.precision == REDUCED
            bases, windows = [], []
            for sample in self._counted:
                prepared = scorer.prepare(sample.image, sample.baseline)
                boxes = self._exact[sample.name].boxes
                changing = np.flatnonzero(scorer.changes(prepared, boxes))
                some = np.random.default_rng(0).permutation(changing)[:_COUNTED_WINDOWS]
                layers = self._counter.count(prepared, Occlusion(boxes[some]), thresholds.thresholds)
                saved = (1 - _HALF) * sum(layer.on_nonzeros for layer in layers) if reduced else 0.0
                windows.append((sum(layer.cost for layer in layers) - saved) / max(1, len(some)) + _WINDOW_WORK)
                whole = np.array([[0, 0, *self._exact[sample.name].image_shape]], np.int32)
                bases.append(sum(layer.cost for layer in self._counter.count(prepared, Occlusion(whole))))
            self._work[thresholds] = float(np.mean(bases)), float(np.mean(windows))
        return self._work[thresholds]

    def play(self, sample: Sample, thresholds: Approximation) -> None:
        """Play an image under some thresholds, once."""
        plays = self.plays.setdefault(thresholds, {})
        if sample.name in plays:
            return
        whole = self._exact[sample.name]
        scorer, shape = self._explain.scorer, whole.windows.grid
        prepared = scorer.prepare(sample.image, sample.baseline)
        unchanged = ~scorer.changes(prepared, whole.boxes).reshape(shape)
        drop = whole.base_scores[whole.target] - whole.scores[..., [whole.target]]
        if not thresholds.exact:
            fill = interpolation.from_groups(shape, _PLAYED_GROUPS, self._explain.stride)
            some = Occlusion(whole.boxes[fill.known.ravel()])
            scores = scorer.score(prepared, some, thresholds.thresholds, classes=[whole.target]).scores
            deviation = np.zeros_like(drop)
            deviation[fill.known] = whole.base_scores[whole.target] - scores - drop[fill.known]
            drop = drop + fill(deviation)
        plays[sample.name] = Play(whole, drop[..., 0], unchanged, *self.work(thresholds), self._measures)

    def lacking(self, thresholds: Approximation, samples: Sequence[Sample]) -> list[Sample]:
        """The samples on which these thresholds were not played."""
        return [sample for sample in samples if sample.name not in self.plays[thresholds]]

    def candidates(self) -> Iterator[Candidate]:
        """Yield every setting that was played: its worst quality, and its cost on images that all had.

        A few images flatter a sampling: where another was fitted on more of them, its scale is the least.
        """
        most = max(map(len, self.plays.values()))
        fits = {
            thresholds: self.fit(list(plays.values()))
            for thresholds, plays in self.plays.items()
            if len(plays) == most and not self._breaks(thresholds)
        }
        scales = [fit.scale for fit in fits.values() if fit is not None and fit.scale is not None]
        least = min(scales, default=0.0)
        for thresholds, by_name in self.plays.items():
            plays = list(by_name.values())
            if not thresholds.exact:
                yield self._candidate(thresholds, plays, _whole(plays), [play.changing for play in plays])
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
                stops = [play.stops(sampling) for play in plays]
                stages = [play.sampled(count) for play, (count, _) in zip(plays, stops, strict=True)]
                qualities, windows = [stage[0] for stage in stages], [stage[2] for stage in stages]
                setting = replace(thresholds, sampling=sampling)
                yield self._candidate(setting, plays, qualities, windows, [judged for _, judged in stops])

    def fit(self, plays: Sequence[Play], least: float = 0.0) -> Sampling | None:
        """Fit a sampling, that with the smallest scale from ``least`` on that keeps the goal; None if there is none."""
        bounds = self.goal.bounds
        floors = [float(np.mean([bound.loss(quality) for quality in _whole(plays)])) for bound in bounds]
        settled = 0
        for scale in (scale for scale in SCALES if scale >= least):
            sampling = Sampling(bounds=bounds, scale=scale, floors=tuple(floors))
            stops = [play.stops(sampling)[0] for play in plays]
            qualities = [play.sampled(stop)[0] for play, stop in zip(plays, stops, strict=True)]
            settled = settled + 1 if self.margin.slack(qualities) >= 0 else 0
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
        self,
        setting: Approximation,
        plays: Sequence[Play],
        qualities: Sequence[Quality],
        windows: Sequence[int],
        judged: Sequence[int] = (),
    ) -> Candidate:
        all_had = list(zip(plays, windows, judged or [0] * len(plays), strict=True))[: self._screened]
        base, window = self.work(EXACT)
        whole = sum(base + play.changing * window for play, _, _ in all_had)
        cost = sum(play.cost(count, maps) for play, count, maps in all_had) / whole if whole else 1.0
        slack = self.margin.slack(qualities)
        if setting.sampling is None or setting.sampling.share is not None:
            slack = min(slack, self.goal.slack(qualities) - _SPARE * self.goal.spread(qualities))
        return Candidate(setting, cost, cost * self._seconds, worst(qualities), slack)


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
