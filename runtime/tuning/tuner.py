"""Find the fastest approximation that keeps a bound on a sample of images, and checks it on others (DESIGN section 9).

    1 exact     exact maps of the tuning images
    2 screen    on a few of them, every (tau, eps) that may keep the bound, on a part of the windows; every sampling and
                drill-down is played through on what that gives (screening.py)
    3 confirm   the fastest candidate is played on all tuning images, which may make another one the fastest; the
                fastest that was played on all is run for real, and chosen if enough of them keep the bound
    4 check     the chosen one, run for real on images that none of this has seen: k of n keep the bound, with the
                Clopper-Pearson interval of the share

The paper fits a quadratic SSIM(tau) and reads tau off it (section 5.1); that candidate is run too, for comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv

from krypton_compile.contract.geometry import Pair
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.bounds import Goal, Quality
from krypton_compile.runtime.approximation.settings import EXACT, Approximation
from krypton_compile.runtime.inputs.windows import as_pair
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.quality import compare, worst
from krypton_compile.runtime.session import OcclusionSession
from krypton_compile.runtime.tuning.replay import Explainer, Sample
from krypton_compile.runtime.tuning.screening import Candidate, Screening, thresholds_of

Say = Callable[[str], None]

TUNING_IMAGES = 30
_SCREENED = 8
_APART = 1.1
_HARDLY = 1.1
_CONFIRMED = 16
# What a sampling that was run and broke the bound is made more careful by.
_MORE_CAREFUL, _TIMES_MORE_CAREFUL = 1.1, 4


class UnreachableError(OcclusionError):
    """Raised where no candidate reaches the goal; ``best`` is the quality that came closest."""

    def __init__(self, message: str, best: Quality) -> None:
        super().__init__(message)
        self.best = best


@dataclass(frozen=True)
class Tuning:
    """The chosen setting, the images it was chosen on, and its worth; ``broken`` of the tuning images break a bound.

    Seconds are of a whole map, medians.
    """

    chosen: Approximation
    goal: Goal
    confidence: float
    patch_size: Pair
    stride: Pair
    tuning_images: tuple[str, ...]
    check_images: tuple[str, ...]
    kept: int
    interval: tuple[float, float]
    exact_seconds: float
    seconds: float
    broken: int
    tuning_quality: Quality
    check_quality: Quality | None
    curve: tuple[Candidate, ...]
    baseline: Candidate | None

    @property
    def speed_up(self) -> float:
        """The speed-up over exact maps, by medians."""
        return self.exact_seconds / self.seconds


def tune(
    session: OcclusionSession,
    samples: Sequence[Sample],
    goal: Goal,
    *,
    patch_size: int | Pair = 16,
    stride: int | Pair = 4,
    confidence: float = 0.95,
    target_speed_up: float = math.inf,
    say: Say = lambda _: None,
) -> Tuning:
    """Find the fastest setting that reaches the goal on the tuning part of the samples, and check it on the rest.

    Up to ``TUNING_IMAGES`` images, and at most half of them, are for tuning; a single one is not checked. With
    ``target_speed_up`` (over exact maps) the most faithful candidate of that speed is preferred to faster ones.

    Raises:
        OcclusionError: if there are no samples, or ``confidence`` is not between 0 and 1.
        UnreachableError: if nothing but exact maps reaches the goal.
    """
    if not samples:
        raise OcclusionError("tuning: expected at least one image")
    if not 0 < confidence < 1:
        raise OcclusionError(f"tuning: expected a confidence between 0 and 1, found {confidence}")
    explain = Explainer(session.scorer, as_pair(patch_size, "patch_size"), as_pair(stride, "stride"))
    tuning, rest = part(samples)
    say(f"{len(tuning)} images to tune on, {len(rest)} to check on; exact maps first")
    exact = {sample.name: explain(sample, EXACT) for sample in tuning}
    exact_seconds = float(np.median([explanation.seconds for explanation in exact.values()]))
    say(f"an exact map takes {exact_seconds:.2f} s; screening on {min(_SCREENED, len(tuning))} images")
    screening = Screening(explain, exact, goal)
    screening.screen(tuning[:_SCREENED], say)
    search = _Search(explain, screening, tuning, exact, exact_seconds, target_speed_up, say)
    chosen, qualities, seconds = search.confirm()
    check = [compare(explain(sample, EXACT).heatmap(), explain(sample, chosen).heatmap()) for sample in rest]
    kept = sum(map(goal.holds, check))
    return Tuning(
        chosen,
        goal,
        confidence,
        explain.patch,
        explain.stride,
        tuple(sample.name for sample in tuning),
        tuple(sample.name for sample in rest),
        kept,
        clopper_pearson(kept, len(rest), confidence),
        exact_seconds,
        seconds,
        len(qualities) - sum(map(goal.holds, qualities)),
        worst(qualities),
        worst(check) if check else None,
        (*_front(screening), *search.confirmed),
        search.quadratic(),
    )


def part(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Part the samples into those that tune and the rest, at random but always alike."""
    order = np.random.default_rng(0).permutation(len(samples))
    count = min(TUNING_IMAGES, (len(samples) + 1) // 2)
    return [samples[i] for i in sorted(order[:count])], [samples[i] for i in sorted(order[count:])]


def clopper_pearson(kept: int, count: int, confidence: float) -> tuple[float, float]:
    """Tell the exact two-sided interval of a share, ``kept`` of ``count`` seen (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    lower = 0.0 if kept == 0 else float(betaincinv(kept, count - kept + 1, tail))
    upper = 1.0 if kept == count else float(betaincinv(kept + 1, count - kept, 1 - tail))
    return lower, upper


@dataclass
class _Search:
    """Step 3: from what was played to what is chosen."""

    explain: Explainer
    screening: Screening
    samples: Sequence[Sample]
    exact: dict[str, Explanation]
    exact_seconds: float
    target_speed_up: float
    say: Say

    def __post_init__(self) -> None:
        self.confirmed: list[Candidate] = []

    def confirm(self) -> tuple[Approximation, list[Quality], float]:
        """The fastest candidate that keeps the goal; its quality on each tuning image, and its seconds."""
        failed: set[Approximation] = set()
        closest: list[Quality] = []
        while len(failed) < _CONFIRMED:
            candidates = [each for each in self.screening.candidates() if each.approximation not in failed]
            # Among those that fall short: what keeps the bound and is passed over is no faster than exact maps.
            short = [candidate for candidate in candidates if candidate.slack < 0] or candidates
            closest = [max(short, key=lambda candidate: candidate.slack).quality] if short else closest
            fastest = self._fastest(candidates)
            if fastest is None:
                break
            thresholds = thresholds_of(fastest.approximation)
            lacking = self.screening.lacking(thresholds, self.samples)
            if lacking:
                self.say(f"playing {thresholds.describe()} on {len(lacking)} more images")
                for sample in lacking:
                    self.screening.play(sample, thresholds)
                continue
            for setting in self._more_and_more_careful(fastest.approximation):
                self.say(f"confirming {setting.describe()}")
                qualities, seconds = self._run(setting)
                slack = self.screening.goal.slack(qualities)
                self.confirmed.append(Candidate(setting, seconds, worst(qualities), slack, confirmed=True))
                if len(qualities) == len(self.samples) and slack >= 0:
                    return setting, qualities, seconds
                self.say(f"too many images break the bound by number {len(qualities)} of {len(self.samples)}")
            failed.add(fastest.approximation)
        text = ", ".join(map(str, self.screening.goal.bounds))
        message = f"tuning: no setting found keeps {text} on enough of the {len(self.samples)} tuning images"
        raise UnreachableError(message, closest[0])

    def quadratic(self) -> Candidate | None:
        """The paper's way: SSIM(tau) fitted by a parabola, the smallest tau at which it keeps the bound, run."""
        wanted = next((bound.value for bound in self.screening.goal.bounds if bound.measure == "ssim"), None)
        alone = {1.0: 1.0}
        for candidate in self.screening.candidates():
            setting = candidate.approximation
            if setting == thresholds_of(setting) and setting.eps == 0 and isinstance(setting.tau, float):
                alone[setting.tau] = candidate.quality.ssim
        if wanted is None or len(alone) < 3:
            return None
        fit = np.polynomial.Polynomial.fit(list(alone), list(alone.values()), 2)
        taus = np.linspace(min(alone), 1, 200)
        fitting = taus[fit(taus) >= wanted]
        if not len(fitting):
            return None
        setting = Approximation(tau=float(np.float32(fitting[0])))
        qualities, seconds = self._run(setting, to_the_end=True)
        return Candidate(setting, seconds, worst(qualities), self.screening.goal.slack(qualities), confirmed=True)

    def _fastest(self, candidates: Sequence[Candidate]) -> Candidate | None:
        fit = [each for each in candidates if each.slack >= 0 and each.seconds < self.exact_seconds]
        fast = [each for each in fit if self.exact_seconds / each.seconds >= self.target_speed_up]
        if fast:
            return max(fast, key=lambda each: each.slack)
        # One that was played on all images is preferred to another that seems hardly faster.
        played = [each for each in fit if not self.screening.lacking(thresholds_of(each.approximation), self.samples)]
        first, known = (min(some, key=lambda each: each.seconds, default=None) for some in (fit, played))
        if first is not None and known is not None and known.seconds <= _HARDLY * first.seconds:
            return known
        return first

    def _run(self, setting: Approximation, to_the_end: bool = False) -> tuple[list[Quality], float]:
        """Real runs, until too many images break a bound; qualities, and the median of the seconds."""
        qualities: list[Quality] = []
        seconds: list[float] = []
        goal = self.screening.goal
        for sample in self.samples:
            exact = self.exact[sample.name]
            approximate = self.explain(sample, setting, exact.target)
            qualities.append(compare(exact.heatmap(), approximate.heatmap()))
            seconds.append(approximate.seconds)
            broken = len(qualities) - sum(map(goal.holds, qualities))
            if broken > goal.breakable(len(self.samples)) and not to_the_end:
                break
        return qualities, float(np.median(seconds))

    @staticmethod
    def _more_and_more_careful(setting: Approximation) -> Iterator[Approximation]:
        yield setting
        sampling = setting.sampling
        if sampling is not None and sampling.share is None:
            for power in range(1, _TIMES_MORE_CAREFUL + 1):
                yield replace(setting, sampling=replace(sampling, scale=_MORE_CAREFUL**power * sampling.scale))


def _front(screening: Screening) -> Iterator[Candidate]:
    """The curve to look at: nothing faster is as good as any of these; each is a tenth slower than the one before."""
    best, seconds = -math.inf, 0.0
    for candidate in sorted(screening.candidates(), key=lambda each: each.seconds):
        if candidate.slack > best and candidate.seconds > _APART * seconds:
            best, seconds = candidate.slack, candidate.seconds
            yield candidate
