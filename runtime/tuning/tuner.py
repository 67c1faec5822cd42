"""Find the fastest approximation that keeps a bound on a sample of images, and checks it on others (DESIGN section 9).

    1 exact     exact maps of the tuning images
    2 screen    on a few of them, every (tau, eps) that may keep the bound, on a part of the windows; every sampling and
                drill-down is played through on what that gives (screening.py)
    3 confirm   the fastest candidate is played on all tuning images, which may make another one the fastest; the
                fastest that was played on all is run for real, and chosen if enough of them keep the bound, with a
                margin where they are few (few_images.py)
    4 check     the chosen one, run for real on images that none of this has seen: k of n keep the bound, with the
                Clopper-Pearson interval of the share

Fastest is what leaves the least work, which is counted (replay.py): no clock chooses. One is looked at in the end, to
tell seconds and to see that the chosen setting is faster than exact maps: of both on the same images, in turn.

The paper fits a quadratic SSIM(tau) and reads tau off it (section 5.1); that candidate is run too, for comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from krypton_compile.contract.geometry import Pair
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.bounds import Goal, Quality
from krypton_compile.runtime.approximation.settings import EXACT, Approximation
from krypton_compile.runtime.inputs.windows import as_pair
from krypton_compile.runtime.maps.quality import compare, worst
from krypton_compile.runtime.session import OcclusionSession
from krypton_compile.runtime.tuning.few_images import Margin
from krypton_compile.runtime.tuning.replay import Explainer, Sample
from krypton_compile.runtime.tuning.screening import Candidate, Screening
from krypton_compile.runtime.tuning.search import Search, UnreachableError

__all__ = ["TUNING_IMAGES", "Tuning", "UnreachableError", "clopper_pearson", "part", "tune"]

Say = Callable[[str], None]

TUNING_IMAGES = 30
_SCREENED = 8
_APART = 1.1


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
        UnreachableError: if nothing that is faster than exact maps reaches the goal.
    """
    if not samples:
        raise OcclusionError("tuning: expected at least one image")
    if not 0 < confidence < 1:
        raise OcclusionError(f"tuning: expected a confidence between 0 and 1, found {confidence}")
    explain = Explainer(session.scorer, as_pair(patch_size, "patch_size"), as_pair(stride, "stride"))
    tuning, rest = part(samples)
    say(f"{len(tuning)} images to tune on, {len(rest)} to check on; exact maps first")
    say(Margin(goal, len(tuning)).describe())
    exact = {sample.name: explain(sample, EXACT) for sample in tuning}
    exact_seconds = float(np.median([explanation.seconds for explanation in exact.values()]))
    say(f"an exact map takes {exact_seconds:.2f} s; screening on {min(_SCREENED, len(tuning))} images")
    screening = Screening(explain, exact, goal)
    screening.screen(tuning[:_SCREENED], say)
    search = Search(explain, screening, tuning, exact, target_speed_up, say)
    chosen, qualities, (exact_seconds, seconds) = search.confirm()
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


def _front(screening: Screening) -> Iterator[Candidate]:
    """The curve to look at: nothing faster is as good as any of these; each is a tenth slower than the one before."""
    best, cost = -math.inf, 0.0
    for candidate in sorted(screening.candidates(), key=lambda each: each.cost):
        if candidate.slack > best and candidate.cost > _APART * cost:
            best, cost = candidate.slack, candidate.cost
            yield candidate
