"""What a few tuning images tell of the next one, and the margin that settings take where they are too few.

Images that come as the tuning images did are exchangeable: the next one is worse than the worst of n with probability
1 / (n + 1), whatever the distribution. So all of 19 images tell of 95 % of the next ones; of fewer, a normal prediction
bound is taken of the slacks s of the bounds:

    mean(s) - t(c, n - 1) sqrt(1 + 1/n) std(s) >= 0        c the share to be kept, at most 95 %
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from krypton_compile.runtime.approximation.bounds import Goal, Quality

COVERED = 0.95
_FEWEST = 4
"""From fewer slacks no deviation is estimated: it is taken for that of so many, and at least ``_USUAL``."""
_USUAL, _LEAST = 0.15, 0.05
"""Deviations of slacks, in units of the loss that is allowed: of very few images, and of any."""


@dataclass(frozen=True)
class Margin:
    """How many ``deviations`` a goal's slack must keep from 0 where ``images`` tune; 0 where they are enough."""

    goal: Goal
    images: int

    @property
    def share(self) -> float:
        """The share of the next images that should keep the bounds."""
        return min(self.goal.keep, COVERED)

    @property
    def enough(self) -> int:
        """The least number of tuning images that takes no margin."""
        return math.ceil(self.share / (1 - self.share) - 1e-9)

    @property
    def deviations(self) -> float:
        """As the formula above has it."""
        if self.images >= self.enough:
            return 0.0
        count = max(self.images, _FEWEST)
        return float(stdtrit(count - 1, self.share)) * math.sqrt(1 + 1 / count)

    def slack(self, qualities: Sequence[Quality]) -> float:
        """The goal's slack on these images, less what the next ones may take of it."""
        slack = self.goal.slack(qualities)
        if not self.deviations:
            return slack
        slacks = [min(bound.slack(quality) for bound in self.goal.bounds) for quality in qualities]
        allowed = min(bound.allowed for bound in self.goal.bounds)
        deviation = float(np.std(slacks, ddof=1)) if len(slacks) > 1 else 0.0
        deviation = max(deviation, (_LEAST if len(slacks) >= _FEWEST else _USUAL) * allowed)
        return min(slack, float(np.mean(slacks)) - self.deviations * deviation)

    def describe(self) -> str:
        """What so many images can tell, before anything is tuned."""
        text = f"the worst of {self.images} is worse than the next one in {self.images} of {self.images + 1} cases"
        if not self.deviations:
            return text
        margin = f"a margin of {self.deviations:.1f} standard deviations is taken"
        return f"{text}; so {margin} ({self.enough} tuning images take none)"
