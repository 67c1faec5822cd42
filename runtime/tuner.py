"""Finds the fastest approximation that keeps a bound on a sample of images, and checks it on others (DESIGN section 9).

    1 exact        exact maps of all images
    2 screen       on a few tuning images, every (tau, eps) on every other window along each axis; the deviation from
                   the exact scores is interpolated, and every drill-down is played through on it, which costs little
    3 confirm      candidates that kept the bound, fastest first, run for real on all tuning images; the first that
                   keeps it on every one is chosen. An image that breaks it joins the screening, and 3 begins again
    4 check        the chosen one, run for real on images that none of this has seen: k of n keep the bound, with the
                   Clopper-Pearson interval of the share

The paper fits a quadratic SSIM(tau) and reads tau off it (section 5.1); that candidate is run too, for comparison.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime import drilldown
from krypton_compile.runtime.approximation import EXACT, Approximation, DrillDown
from krypton_compile.runtime.explanation import Explanation
from krypton_compile.runtime.heatmap import accumulate
from krypton_compile.runtime.occlusion import as_pair
from krypton_compile.runtime.quality import Bound, Quality, compare, worst
from krypton_compile.runtime.session import OcclusionSession

Array = npt.NDArray[np.float32]
Say = Callable[[str], None]

TAUS = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)
EPSES = (0.0, 1e-3, 3e-3, 1e-2, 2e-2, 4e-2, 8e-2)
SHARES = (0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.0)
STEPS = (2, 3, 4, 6, 8)
TUNING_IMAGES = 30
_SCREENED = 4
_CONFIRMED = 16
_SPARSE = 2
# After a candidate that fails on a screened image, the next must have this much more slack there.
_MARGIN = 0.01


class UnreachableError(OcclusionError):
    """No candidate keeps the bound; ``best`` is the measure that came closest."""

    def __init__(self, message: str, best: Quality) -> None:
        super().__init__(message)
        self.best = best


@dataclass(frozen=True)
class Sample:
    """One image: the model's input, the occluder, and a name (a hash) to list it by."""

    name: str
    image: Array
    baseline: Array


@dataclass(frozen=True)
class Candidate:
    """One setting: its seconds for a map, and the worst quality; both of the screening, or of real runs."""

    approximation: Approximation
    seconds: float
    quality: Quality
    confirmed: bool = False


@dataclass(frozen=True)
class Tuning:
    """What was chosen, on what, and what it is worth."""

    chosen: Approximation
    bounds: tuple[Bound, ...]
    confidence: float
    patch_size: tuple[int, int]
    stride: tuple[int, int]
    tuning_images: tuple[str, ...]
    check_images: tuple[str, ...]
    kept: int
    interval: tuple[float, float]
    exact_seconds: float
    seconds: float
    tuning_quality: Quality
    check_quality: Quality | None
    curve: tuple[Candidate, ...]
    baseline: Candidate | None

    @property
    def speed_up(self) -> float:
        """Of exact maps over approximate ones, medians."""
        return self.exact_seconds / self.seconds


def tune(
    session: OcclusionSession,
    samples: Sequence[Sample],
    bounds: Sequence[Bound],
    *,
    patch_size: int | tuple[int, int] = 16,
    stride: int | tuple[int, int] = 4,
    confidence: float = 0.95,
    target_speed_up: float = math.inf,
    say: Say = lambda _: None,
) -> Tuning:
    """The fastest setting found that keeps all bounds on the tuning part, checked on the rest.

    Up to ``TUNING_IMAGES`` images, and at most half of them, are for tuning; a single one is not checked. With
    ``target_speed_up`` (over exact maps) the most faithful candidate of that speed is preferred to faster ones.

    Raises:
        OcclusionError: no images, no bounds, or a confidence that is not between 0 and 1.
        UnreachableError: nothing but exact maps keeps the bounds.
    """
    if not samples:
        raise OcclusionError("tuning: expected at least one image")
    if not bounds:
        raise OcclusionError("tuning: expected at least one bound, such as ssim>=0.9")
    if not 0 < confidence < 1:
        raise OcclusionError(f"tuning: expected a confidence between 0 and 1, found {confidence}")
    patch, step = as_pair(patch_size, "patch_size"), as_pair(stride, "stride")
    order = np.random.default_rng(0).permutation(len(samples))
    count = min(TUNING_IMAGES, (len(samples) + 1) // 2)
    tuning, rest = ([samples[i] for i in sorted(part)] for part in (order[:count], order[count:]))
    say(f"{len(tuning)} images to tune on, {len(rest)} to check on; exact maps first")
    explain = _Explainer(session, patch, step)
    exact = {sample.name: explain(sample, EXACT) for sample in tuning}
    exact_seconds = float(np.median([found.seconds for found in exact.values()]))
    say(f"an exact map takes {exact_seconds:.2f} s; screening on {min(_SCREENED, len(tuning))} images")
    screening = _Screening(explain, exact, bounds)
    for sample in tuning[:_SCREENED]:
        screening.add(sample)
    confirmed: list[Candidate] = []
    chosen, qualities, seconds = _confirm(
        explain, screening, tuning, exact, bounds, exact_seconds, target_speed_up, confirmed, say
    )
    curve = [*_front(screening.candidates(), bounds), *confirmed]
    baseline = _quadratic(explain, screening.candidates(), tuning, exact, bounds)
    check = [compare(explain(sample, EXACT).heatmap(), explain(sample, chosen).heatmap()) for sample in rest]
    kept = sum(all(bound.holds(quality) for bound in bounds) for quality in check)
    return Tuning(
        chosen,
        tuple(bounds),
        confidence,
        patch,
        step,
        tuple(sample.name for sample in tuning),
        tuple(sample.name for sample in rest),
        kept,
        clopper_pearson(kept, len(rest), confidence),
        exact_seconds,
        seconds,
        worst(qualities),
        worst(check) if check else None,
        tuple(curve),
        baseline,
    )


def clopper_pearson(kept: int, count: int, confidence: float) -> tuple[float, float]:
    """The exact two-sided interval of a share of which ``kept`` of ``count`` were seen (Clopper and Pearson 1934)."""

    def tail(share: float, at_least: int) -> float:
        terms = (math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(at_least, count + 1))
        return math.fsum(terms)

    def solve(function: Callable[[float], float], wanted: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if function(middle) < wanted else (low, middle)
        return (low + high) / 2

    alpha = (1 - confidence) / 2
    lower = 0.0 if kept == 0 else solve(lambda share: tail(share, kept), alpha)
    upper = 1.0 if kept == count else solve(lambda share: tail(share, kept + 1), 1 - alpha)
    return lower, upper


@dataclass(frozen=True)
class _Explainer:
    session: OcclusionSession
    patch: tuple[int, int]
    stride: tuple[int, int]

    def __call__(self, sample: Sample, approximation: Approximation, target: int | None = None) -> Explanation:
        return self.session.explain(
            sample.image, self.patch, self.stride, sample.baseline, target, approximation=approximation, check=False
        )


class _Screening:
    """Estimates of every candidate on some images."""

    def __init__(self, explain: _Explainer, exact: dict[str, Explanation], bounds: Sequence[Bound]) -> None:
        self._explain, self._exact = explain, exact
        self._measures = {"ssim", *(bound.measure for bound in bounds)}
        self._found: dict[Approximation, list[tuple[Quality, float]]] = {}
        self.names: set[str] = set()

    def add(self, sample: Sample) -> None:
        """One more image: every (tau, eps) is run on it, every drill-down played through."""
        self.names.add(sample.name)
        for thresholds in (Approximation(tau, eps) for tau in TAUS for eps in EPSES):
            drop, base_seconds, window_seconds = self._sparse(sample, thresholds)
            for drill in (None, *_drill_downs(self._explain.stride)):
                setting = replace(thresholds, drill_down=drill)
                if not setting.exact:
                    quality, windows = self._play(sample, drop, setting)
                    seconds = base_seconds + windows * window_seconds
                    self._found.setdefault(setting, []).append((quality, seconds))

    def candidates(self) -> list[Candidate]:
        """The worst quality and the mean time of each over the images so far."""
        return [
            Candidate(setting, float(np.mean([seconds for _, seconds in found])), worst([one for one, _ in found]))
            for setting, found in self._found.items()
        ]

    def _sparse(self, sample: Sample, thresholds: Approximation) -> tuple[Array, float, float]:
        """Score drops of the whole grid, estimated from every other window; seconds of the base pass and a window."""
        whole = self._exact[sample.name]
        shape = (whole.scores.shape[0], whole.scores.shape[1])
        rows, columns = (drilldown.coarse(count, _SPARSE) for count in shape)
        at = np.ix_(rows, columns)
        grid = whole.boxes.reshape(*shape, 4)[at].reshape(-1, 4)
        start = time.perf_counter()
        prepared = self._explain.session.prepare(sample.image, sample.baseline)
        ready = time.perf_counter()
        found = self._explain.session.score(
            prepared, grid, tau=thresholds.tau, eps=thresholds.eps, classes=[whole.target]
        ).scores
        window_seconds = (time.perf_counter() - ready) / len(grid)
        truth = whole.scores[..., [whole.target]]
        deviation = found.reshape(len(rows), len(columns), 1) - truth[at]
        estimate = truth + drilldown.interpolate(deviation, rows, columns, shape)
        return whole.base_scores[whole.target] - estimate[..., 0], ready - start, window_seconds

    def _play(self, sample: Sample, drop: Array, setting: Approximation) -> tuple[Quality, int]:
        """What a drill-down would make of known score drops: the quality, and the windows that it scores."""
        whole, found, windows = self._exact[sample.name], drop, drop.size
        if setting.drill_down is not None:
            shape = (drop.shape[0], drop.shape[1])
            steps = setting.drill_down.steps(self._explain.stride)
            rows, columns = (drilldown.coarse(count, step) for count, step in zip(shape, steps, strict=True))
            at = np.ix_(rows, columns)
            guessed = drilldown.interpolate(drop[at][..., None], rows, columns, shape)[..., 0]
            scored = drilldown.largest(np.abs(guessed), setting.drill_down.r)
            scored[at] = True
            found, windows = np.where(scored, drop, guessed), int(scored.sum())
        heatmap = accumulate(found.ravel(), whole.boxes, whole.image_shape)
        return compare(whole.heatmap(), heatmap, self._measures), windows


def _drill_downs(stride: tuple[int, int]) -> Iterator[DrillDown]:
    for steps in STEPS:
        for r in SHARES:
            yield DrillDown(r, (steps * stride[0], steps * stride[1]))


def _slack(quality: Quality, bounds: Sequence[Bound]) -> float:
    return min(bound.slack(quality) for bound in bounds)


def _front(candidates: Sequence[Candidate], bounds: Sequence[Bound]) -> Iterator[Candidate]:
    """Those that nothing faster beats in quality: the curve to look at."""
    best = -math.inf
    for candidate in sorted(candidates, key=lambda one: one.seconds):
        slack = _slack(candidate.quality, bounds)
        if slack > best:
            best = slack
            yield candidate


def _confirm(
    explain: _Explainer,
    screening: _Screening,
    samples: Sequence[Sample],
    exact: dict[str, Explanation],
    bounds: Sequence[Bound],
    exact_seconds: float,
    target_speed_up: float,
    confirmed: list[Candidate],
    say: Say,
) -> tuple[Approximation, list[Quality], float]:
    """The first candidate, fastest first, that keeps the bounds on every tuning image."""
    margin = 0.0
    for _ in range(_CONFIRMED):
        fit = [one for one in screening.candidates() if _slack(one.quality, bounds) >= margin]
        fit = sorted((one for one in fit if one.seconds < exact_seconds), key=lambda one: one.seconds)
        if not fit:
            break
        fast = [one for one in fit if exact_seconds / one.seconds >= target_speed_up]
        one = max(fast, key=lambda one: _slack(one.quality, bounds)) if fast else fit[0]
        say(f"confirming {one.approximation.describe()}")
        qualities, seconds = _run(explain, one.approximation, samples, exact, bounds)
        median = float(np.median(seconds))
        confirmed.append(Candidate(one.approximation, median, worst(qualities), confirmed=True))
        if len(qualities) == len(samples) and _slack(worst(qualities), bounds) >= 0:
            return one.approximation, qualities, median
        breaker = samples[len(qualities) - 1]
        say(f"it breaks the bound on image {len(qualities)} of {len(samples)}")
        if breaker.name in screening.names:
            margin = _slack(one.quality, bounds) + _MARGIN  # the screening was too kind
        else:
            screening.add(breaker)
    text = ", ".join(map(str, bounds))
    best = max(screening.candidates(), key=lambda one: _slack(one.quality, bounds)).quality
    raise UnreachableError(f"tuning: no setting found keeps {text} on all {len(samples)} tuning images", best)


def _run(
    explain: _Explainer,
    setting: Approximation,
    samples: Sequence[Sample],
    exact: dict[str, Explanation],
    bounds: Sequence[Bound],
) -> tuple[list[Quality], list[float]]:
    """Real runs, up to the first image on which a bound is broken."""
    qualities, seconds = [], []
    for sample in samples:
        found = explain(sample, setting, exact[sample.name].target)
        qualities.append(compare(exact[sample.name].heatmap(), found.heatmap()))
        seconds.append(found.seconds)
        if _slack(qualities[-1], bounds) < 0:
            break
    return qualities, seconds


def _quadratic(
    explain: _Explainer,
    screened: Sequence[Candidate],
    samples: Sequence[Sample],
    exact: dict[str, Explanation],
    bounds: Sequence[Bound],
) -> Candidate | None:
    """The paper's way: SSIM(tau) fitted by a parabola, the smallest tau at which it keeps the bound, run for real."""
    wanted = next((bound.value for bound in bounds if bound.measure == "ssim"), None)
    settings = [(one.approximation, one.quality.ssim) for one in screened if one.approximation.drill_down is None]
    alone = {1.0: 1.0} | {one.tau: ssim for one, ssim in settings if one.eps == 0 and isinstance(one.tau, float)}
    if wanted is None or len(alone) < 3:
        return None
    fit = np.polynomial.Polynomial.fit(list(alone), list(alone.values()), 2)
    taus = np.linspace(min(alone), 1, 200)
    fitting = taus[fit(taus) >= wanted]
    if not len(fitting):
        return None
    setting = Approximation(tau=float(np.float32(fitting[0])))
    found = [explain(sample, setting, exact[sample.name].target) for sample in samples]
    qualities = [
        compare(exact[sample.name].heatmap(), one.heatmap()) for sample, one in zip(samples, found, strict=True)
    ]
    seconds = float(np.median([one.seconds for one in found]))
    return Candidate(setting, seconds, worst(qualities), confirmed=True)
