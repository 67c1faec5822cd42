"""Step 3 of a tuning: from what was played to what is chosen (tuner.py).

The fastest candidate is played on all tuning images, then run for real; where it breaks a bound or is no faster than
exact maps, the next one is. Fastest is what leaves the least work by count; processor and clock have a say in the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.bounds import Quality
from krypton_compile.runtime.approximation.settings import EXACT, Approximation
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.quality import compare, worst
from krypton_compile.runtime.tuning.replay import Explainer, Sample
from krypton_compile.runtime.tuning.screening import Candidate, Screening, thresholds_of

Say = Callable[[str], None]

_HARDLY = 1.1
# Work that a setting leaves at most, of exact maps': what saves less is not worth being approximate.
_WORTH = 0.8
# In the end maps of so many images are made in turn, so often; a setting that is clearly slower, by the processor's
# time and by the clock, is not stored. Settings that the count finds as fast as exact maps do not come so far.
_TIMED, _TIMES, _SLOWER = 3, 2, 1.1
_CONFIRMED = 16
# What a sampling that was run and broke the bound is made more careful by.
_MORE_CAREFUL, _TIMES_MORE_CAREFUL = 1.1, 4


class UnreachableError(OcclusionError):
    """Raised where no candidate reaches the goal; ``best`` is the quality that came closest."""

    def __init__(self, message: str, best: Quality) -> None:
        super().__init__(message)
        self.best = best


@dataclass
class Search:
    """The search on the images ``samples``, whose maps are ``exact``; ``confirmed`` are the settings that were run."""

    explain: Explainer
    screening: Screening
    samples: Sequence[Sample]
    exact: dict[str, Explanation]
    target_speed_up: float
    say: Say

    def __post_init__(self) -> None:
        self.confirmed: list[Candidate] = []

    def confirm(self) -> tuple[Approximation, list[Quality], tuple[float, float]]:
        """The fastest candidate that keeps the goal; its quality on each tuning image; exact maps' seconds and its own.

        Raises:
            UnreachableError: if there is none; the message says why.
        """
        failed: set[Approximation] = set()
        closest: list[Quality] = []
        slow = False
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
                slack = self.screening.margin.slack(qualities)
                ran = Candidate(setting, fastest.cost, seconds, worst(qualities), slack, confirmed=True)
                self.confirmed.append(ran)
                if len(qualities) == len(self.samples) and slack >= 0:
                    times, faster = self._in_turn(setting)
                    if faster:
                        return setting, qualities, times
                    self.say("it keeps the bound, and is no faster than exact maps")
                    slow = True
                    break
                self.say(f"too many images break the bound by number {len(qualities)} of {len(self.samples)}")
            failed.add(fastest.approximation)
        slow = slow or any(candidate.slack >= 0 for candidate in self.screening.candidates())
        raise UnreachableError(self._why_not(slow), closest[0])

    def _why_not(self, slow: bool) -> str:
        """Why no setting is chosen, and what to do."""
        text, margin = ", ".join(map(str, self.screening.goal.bounds)), self.screening.margin
        if slow:
            return f"tuning: no setting that keeps {text} is faster than exact maps, which keep any bound; use those"
        kept = [each for each in self.screening.candidates() if self.screening.goal.holds(each.quality)]
        if margin.deviations and any(each.cost <= _WORTH for each in kept):
            return (
                f"tuning: {text} is kept on the {len(self.samples)} tuning images, but not with the margin that so few "
                f"take; give {2 * margin.enough} images, of which half tune, or a weaker bound"
            )
        return f"tuning: no setting found keeps {text} on enough of the {len(self.samples)} tuning images"

    def _in_turn(self, setting: Approximation) -> tuple[tuple[float, float], bool]:
        """Exact and approximate maps of the same images in turn: medians of their seconds, and whether it is no slower.

        By the processor's time or by the clock: on a busy machine the clock tells of others.
        """
        rows, exact = [], True
        for sample in _TIMES * list(self.samples[:_TIMED]):
            for one in (EXACT, setting):
                processor, clock = time.process_time(), time.perf_counter()
                found = self.explain(sample, one, self.exact[sample.name].target)
                rows.append((time.process_time() - processor, time.perf_counter() - clock))
                exact = exact and found.exact
        times = np.array(rows).reshape(-1, 2, 2)
        # Where every map took all windows after all, no clock is asked.
        faster = not exact and bool((np.median(times[:, 1] / times[:, 0], axis=0) < _SLOWER).any())
        exact_seconds, seconds = np.median(times[:, :, 1], axis=0).tolist()
        return (exact_seconds, seconds), faster

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
        slack = self.screening.goal.slack(qualities)
        return Candidate(setting, math.nan, seconds, worst(qualities), slack, confirmed=True)

    def _fastest(self, candidates: Sequence[Candidate]) -> Candidate | None:
        fit = [each for each in candidates if each.slack >= 0 and each.cost <= _WORTH]
        fast = [each for each in fit if 1 / each.cost >= self.target_speed_up]
        if fast:
            return max(fast, key=lambda each: each.slack)
        # One that was played on all images is preferred to another that seems hardly faster.
        played = [each for each in fit if not self.screening.lacking(thresholds_of(each.approximation), self.samples)]
        first, known = (min(some, key=lambda each: each.cost, default=None) for some in (fit, played))
        if first is not None and known is not None and known.cost <= _HARDLY * first.cost:
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
        if sampling is not None and sampling.share is None and sampling.scale is not None:
            for power in range(1, _TIMES_MORE_CAREFUL + 1):
                yield replace(setting, sampling=replace(sampling, scale=_MORE_CAREFUL**power * sampling.scale))
