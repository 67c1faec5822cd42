"""Sampled maps: a share of the windows is scored, the others are interpolated; how many it takes shows as they come in.

    groups g = 2, 4, 6, ... of the 160 (lattice.py) are scored and a map M_g made (interpolation.py)
    change   loss(M_g, M_{g/2}): how much the second half of the windows still changed, in the measure that is bounded
    estimate of loss(M_g, exact) = floor + scale * RATIOS[g] * change
    stop where the estimate is within the bound; else go to the first g at which it should be, by usual_loss

loss is 1 - SSIM and the like (bounds.py). RATIOS are much the same for networks as different as a VGG16 on MRIs, a
SqueezeNet and an EfficientNet on photographs, and so is how fast the loss falls (docs/experiments.md); ``scale`` and
``floor`` are what krypton-tune fits. So an easy map takes a twentieth of its windows and a hard one a third, at the
same quality; and windows one pixel apart cost hardly more than windows four apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.lattice import GROUPS

STAGES = (2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, GROUPS)
RATIOS = (
    1.15,
    1.1,
    1.11,
    1.02,
    0.99,
    0.86,
    0.84,
    0.79,
    0.74,
    0.64,
    0.67,
    0.67,
    0.76,
    0.91,
    0.61,
    0.43,
    0.3,
    0.24,
    0.15,
    0.0,
)
"""Mean loss over mean change, by stage."""
CAREFUL = 1.4
"""The scale of a model that was never tuned: it kept SSIM >= 0.9 on 67 of the 68 images it was measured on."""
_EARLY = 0.16
"""Begin where the usual loss is at most this or what is allowed: some maps are easier than usual."""


@dataclass(frozen=True)
class Sampling:
    """The number of windows to score: a fixed ``share`` of them, or as many as the ``bounds`` seem to take.

    ``scale`` and ``floors`` (one a bound; none for 0) turn changes into estimates, see above; ``first`` is how many
    groups to begin with, 0 for what maps usually need.

    Raises:
        OcclusionError: if neither or both of ``share`` and ``bounds`` are given, ``share`` is not in (0, 1], ``first``
            is no number of groups, or there are not as many ``floors`` as bounds.
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
        """Whether every window is scored, whatever the scores are."""
        return self.share == 1

    def describe(self) -> str:
        """The sampling in a few words."""
        if self.share is not None:
            return f"{self.share:g} of the windows"
        return f"windows until {' and '.join(map(str, self.bounds))} (estimated)"

    def groups(self) -> int:
        """The number of groups of windows that a fixed share takes."""
        assert self.share is not None
        return max(1, math.ceil(self.share * GROUPS - 1e-9))

    def run(self, changes: Callable[[int], Sequence[float]], overlap: float) -> tuple[int, tuple[float, ...]]:
        """Walk the stages; ``changes(g)`` scores g groups and tells the change in each bound's measure.

        ``overlap`` is how many windows of the whole grid share a pixel. Returns how many groups it took, and the
        estimated losses.
        """
        usual = [usual_loss(count / GROUPS, overlap) for count in STAGES]
        allowed = [bound.allowed for bound in self.bounds]
        floors = self.floors or (0.0,) * len(self.bounds)
        left = [limit - floor for limit, floor in zip(allowed, floors, strict=True)]
        if self.first:
            stage = next(i for i, count in enumerate(STAGES) if count >= self.first)
        else:
            stage = next(i for i, loss in enumerate(usual) if loss <= max(_EARLY, *left))
        while True:
            count = STAGES[stage]
            losses = [estimate_loss(count, change, self.scale) for change in changes(count)]
            # How much smaller than now they must become; up to 1 they need not.
            excess = max(loss / limit if limit > 0 else math.inf for loss, limit in zip(losses, left, strict=True))
            if excess <= 1 or STAGES[stage] == GROUPS:
                return STAGES[stage], tuple(floor + loss for floor, loss in zip(floors, losses, strict=True))
            later = range(stage + 1, len(STAGES))
            stage = next((i for i in later if usual[i] * excess <= usual[stage]), len(STAGES) - 1)


def estimate_loss(count: int, change: float, scale: float = CAREFUL) -> float:
    """Estimate the loss of a map from ``count`` groups, without floor, by how much their second half changed it."""
    return scale * RATIOS[STAGES.index(count)] * change


def usual_loss(share: float, overlap: float) -> float:
    """Tell the usual loss (of SSIM) with this share of the windows; ``overlap`` of all windows share a pixel.

    What counts is how many scored windows share a pixel: a patch of 16 at stride 1 takes a sixteenth of the share that
    it takes at stride 4. Fitted to the three models of the docstring above.
    """
    return (1 - share) * min(0.45, 0.2 / math.pow(share * overlap, 0.65))
