"""Sampled maps: a share of the windows is scored, the others are interpolated; how many it takes shows as they come in.

    groups g = 2, 4, 6, ... of the 40 (lattice.py) are scored and a map M_g made (interpolation.py)
    change   loss(M_g, M_{g/2}): how much the second half of the windows still changed, in the measure that is bounded
    estimate of loss(M_g, exact) = floor + scale * RATIOS[g] * change
    stop where the estimate is within the bound; else go to the first g at which it should be, by LOSSES

loss is 1 - SSIM and the like (bounds.py). RATIOS and LOSSES are much the same for networks as different as a VGG16 on
MRIs, a SqueezeNet and an EfficientNet on photographs (docs/performance.md); ``scale`` and ``floor`` are what
krypton-tune fits. So an easy map takes a twentieth of its windows and a hard one a third, at the same quality.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.bounds import Bound
from krypton_compile.runtime.lattice import GROUPS

STAGES = (2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, GROUPS)
RATIOS = (1.02, 0.86, 0.80, 0.64, 0.66, 0.71, 0.77, 0.87, 0.66, 0.46, 0.38, 0.26, 0.14, 0.0)
"""Mean loss over mean change, by stage."""
LOSSES = (0.22, 0.13, 0.095, 0.059, 0.054, 0.048, 0.040, 0.032, 0.025, 0.017, 0.013, 0.007, 0.004, 0.0)
"""Mean loss (of SSIM), by stage."""
CAREFUL = 1.4
"""The scale of a model that was never tuned: nine in ten of the measured images and stages keep below it."""
_EARLY = 1.6
"""Begin where the usual loss is at most this many times what is allowed: some maps are easier than usual."""


@dataclass(frozen=True)
class Sampling:
    """How many windows to score: a fixed ``share`` of them, or as many as the ``bounds`` seem to take.

    ``scale`` and ``floors`` (one a bound; none for 0) turn changes into estimates, see above; ``first`` is how many
    groups to begin with, 0 for what maps usually need.

    Raises:
        OcclusionError: neither or both of share and bounds, a share not in (0, 1], or floors of another number.
    """

    share: float | None = None
    bounds: tuple[Bound, ...] = ()
    scale: float = CAREFUL
    floors: tuple[float, ...] = ()
    first: int = 0

    def __post_init__(self) -> None:
        if (self.share is None) == (not self.bounds):
            raise OcclusionError("sampling: expected a share of the windows or bounds on the quality, one of them")
        if self.share is not None and not 0 < self.share <= 1:
            raise OcclusionError(f"sampling: expected a share above 0 and up to 1, found {self.share}")
        if not 0 <= self.first <= GROUPS:
            raise OcclusionError(f"sampling: expected to begin with 0 to {GROUPS} groups, found {self.first}")
        if self.floors and len(self.floors) != len(self.bounds):
            raise OcclusionError(f"sampling: expected a floor for each of {len(self.bounds)} bounds")

    @property
    def exact(self) -> bool:
        """Whether every window is scored, whatever they show."""
        return self.share == 1

    def describe(self) -> str:
        """In a few words."""
        if self.share is not None:
            return f"{self.share:g} of the windows"
        return f"windows until {' and '.join(map(str, self.bounds))} (estimated)"

    def groups(self) -> int:
        """Of a fixed share, how many groups of windows."""
        assert self.share is not None
        return max(1, math.ceil(self.share * GROUPS - 1e-9))

    def run(self, changes: Callable[[int], Sequence[float]]) -> tuple[int, tuple[float, ...]]:
        """Walks the stages; ``changes(g)`` scores g groups and tells the change in each bound's measure.

        Returns how many groups it took, and the estimated losses.
        """
        allowed = [bound.allowed for bound in self.bounds]
        floors = self.floors or (0.0,) * len(self.bounds)
        left = [limit - floor for limit, floor in zip(allowed, floors, strict=True)]
        stage = self._begin(min(left))
        while True:
            losses = [self.scale * RATIOS[stage] * change for change in changes(STAGES[stage])]
            # How much smaller than now they must become; up to 1 they need not.
            excess = max(loss / limit if limit > 0 else math.inf for loss, limit in zip(losses, left, strict=True))
            if excess <= 1 or STAGES[stage] == GROUPS:
                return STAGES[stage], tuple(floor + loss for floor, loss in zip(floors, losses, strict=True))
            later = range(stage + 1, len(STAGES))
            stage = next((i for i in later if LOSSES[i] * excess <= LOSSES[stage]), len(STAGES) - 1)

    def _begin(self, tightest: float) -> int:
        if self.first:
            return next(i for i, count in enumerate(STAGES) if count >= self.first)
        return next(i for i, loss in enumerate(LOSSES) if loss <= max(0.0, _EARLY * tightest))
