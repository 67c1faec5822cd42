"""Sampled maps: a share of the windows is scored, the others are interpolated; how many it takes shows as they come in.

    groups g = 2, 4, 6, ... of the 160 (lattice.py) are scored and a map M_g made (interpolation.py)
    change   loss(M_g, M_{g/2}): how much the second half of the windows still changed, in the measure that is bounded
    about    of loss(M_g, exact) = floor + ratio[g] * change
    limit    of it               = floor + scale * ratio[g] * change
    stop where the limit is within the bound; else go to the first g at which it should be, by usual_loss; where that
    would take nearly all windows, take all

loss is 1 - SSIM and the like (bounds.py). Of a model that was never tuned, ratio and scale are those of calibration.py,
for each measure and overlap; krypton-tune fits ``scale`` and ``floor``. So an easy map takes a twentieth of its windows
and a hard one a third, at the same quality; and windows one pixel apart cost hardly more than windows four apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from krypton_compile.contract import validate
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.calibration import STAGES, calibrated
from krypton_compile.runtime.approximation.lattice import GROUPS

RATIOS = (1.15, 1.1, 1.02, 0.99, 0.86, 0.84, 0.79, 0.64, 0.67, 0.67, 0.91, 0.61, 0.3, 0.24, 0.15, 0.0)
"""Mean loss over mean change, by stage, of SSIM; tuned samplings have a scale that is fitted to these."""
NEARLY_ALL = 112
"""Where more groups than these seem to be needed, all are scored at once: the last ones cost less than judging maps."""
_EARLY = 0.16
"""Begin where the usual loss is at most this or what is allowed: some maps are easier than usual."""


@dataclass(frozen=True)
class Loss:
    """An estimated loss: ``about`` so much, and with few exceptions at most ``limit``."""

    about: float
    limit: float


@dataclass(frozen=True)
class Sampling:
    """The number of windows to score: a fixed ``share`` of them, or as many as the ``bounds`` seem to take.

    ``scale`` and ``floors`` (one a bound; none for 0) turn changes into estimates, see above; without a scale they are
    those of models that were never tuned. ``first`` is how many groups to begin with, 0 for what maps usually need.

    Raises:
        OcclusionError: if neither or both of ``share`` and ``bounds`` are given, ``share`` is not in (0, 1], ``first``
            is no number of groups, there are not as many ``floors`` as bounds, or a field is of another type.
    """

    share: float | None = None
    bounds: tuple[Bound, ...] = ()
    scale: float | None = None
    floors: tuple[float, ...] = ()
    first: int = 0

    def __post_init__(self) -> None:
        bounds: object = self.bounds
        several = isinstance(bounds, tuple) and all(isinstance(bound, Bound) for bound in bounds)
        validate.require("sampling: bounds", self.bounds, several, "a tuple of bounds (parse_bound)")
        if (self.share is None) == (not self.bounds):
            raise OcclusionError("sampling: expected a share of the windows or bounds on the quality, one of them")
        if self.share is not None and not (validate.is_share(self.share) and self.share > 0):
            found = validate.show(self.share)
            raise OcclusionError(f"sampling: expected a share above 0 and up to 1, found {found}")
        if not validate.is_count(self.first, 0) or self.first > GROUPS:
            found = validate.show(self.first)
            raise OcclusionError(f"sampling: expected to begin with 0 to {GROUPS} groups, found {found}")
        fits = self.scale is None or validate.is_number(self.scale)
        validate.require("sampling: scale", self.scale, fits, "a number or None")
        floors: object = self.floors
        numbers = isinstance(floors, tuple) and all(map(validate.is_number, floors))
        validate.require("sampling: floors", floors, numbers, "a tuple of numbers")
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

    def require_estimates(self, overlap: float) -> None:
        """Refuse a bound that nothing can be promised for.

        Raises:
            OcclusionError: if a bound has neither a scale nor a calibration for this overlap.
        """
        if self.scale is None:
            for bound in self.bounds:
                calibrated(bound.measure, overlap)

    def run(
        self, changes: Callable[[int], Sequence[float]], overlap: float, first_class: bool = True
    ) -> tuple[int, tuple[Loss, ...]]:
        """Walk the stages; ``changes(g)`` scores g groups and tells the change in each bound's measure.

        ``overlap`` is how many windows of the whole grid share a pixel; ``first_class`` whether the map is of the class
        with the largest score. Returns how many groups it takes, and the estimated losses; all groups are left to the
        caller to score.

        Raises:
            OcclusionError: if a bound has neither a scale nor a calibration for this overlap.
        """
        usual = [usual_loss(count / GROUPS, overlap) for count in STAGES]
        estimators = [self._estimator(bound, overlap, first_class) for bound in self.bounds]
        allowed = [bound.allowed for bound in self.bounds]
        floors = self.floors or (0.0,) * len(self.bounds)
        left = [limit - floor for limit, floor in zip(allowed, floors, strict=True)]
        if self.first:
            stage = next(i for i, count in enumerate(STAGES) if count >= self.first)
        else:
            stage = next(i for i, loss in enumerate(usual) if loss <= max(_EARLY, *left))
        while STAGES[stage] <= NEARLY_ALL and min(left) > 0:
            count = STAGES[stage]
            losses = [estimate(count, change) for estimate, change in zip(estimators, changes(count), strict=True)]
            # How much smaller than now they must become; up to 1 they need not.
            excess = max(loss.limit / limit for loss, limit in zip(losses, left, strict=True))
            if excess <= 1:
                pairs = zip(floors, losses, strict=True)
                return count, tuple(Loss(floor + loss.about, floor + loss.limit) for floor, loss in pairs)
            later = range(stage + 1, len(STAGES))
            stage = next((i for i in later if usual[i] * excess <= usual[stage]), len(STAGES) - 1)
        return GROUPS, self.of_every_window()

    def of_every_window(self) -> tuple[Loss, ...]:
        """The losses of a map whose windows are all scored: what the thresholds leave out."""
        return tuple(Loss(floor, floor) for floor in self.floors or (0.0,) * len(self.bounds))

    def _estimator(self, bound: Bound, overlap: float, first_class: bool) -> Callable[[int, float], Loss]:
        """From a stage and its change to the loss."""
        if self.scale is None:
            return partial(estimate_loss, bound.measure, overlap, first_class)
        scale = self.scale

        def tuned(count: int, change: float) -> Loss:
            about = RATIOS[STAGES.index(count)] * change
            return Loss(min(1.0, scale) * about, scale * about)

        return tuned


def estimate_loss(measure: str, overlap: float, first_class: bool, count: int, change: float) -> Loss:
    """Estimate the loss of a map from ``count`` groups, by how much their second half changed it, without tuning.

    Raises:
        OcclusionError: if the measure has no calibration for this overlap; the message says what to do.
    """
    if count == GROUPS:
        return Loss(0.0, 0.0)
    table = calibrated(measure, overlap)
    about = table.ratios[STAGES.index(count)] * change
    return Loss(about, about * (table.careful if first_class else table.careful_of_others))


def usual_loss(share: float, overlap: float) -> float:
    """Tell the usual loss (of SSIM) with this share of the windows; ``overlap`` of all windows share a pixel.

    What counts is how many scored windows share a pixel: a patch of 16 at stride 1 takes a sixteenth of the share that
    it takes at stride 4. Fitted to the three models of the docstring above.
    """
    return (1 - share) * min(0.45, 0.2 / math.pow(share * overlap, 0.65))
