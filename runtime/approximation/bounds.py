"""Bounds on the quality of an approximate map: "ssim>=0.9", "error<=0.1". What is measured: quality.py."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from krypton_compile.contract.validate import show
from krypton_compile.errors import OcclusionError

MEASURES = ("ssim", "color_ssim", "rank", "top10", "error")
LOWER_IS_BETTER = ("error",)


@dataclass(frozen=True)
class Quality:
    """All measures of one approximate map against the exact one; ``runtime/maps/quality.py`` takes them."""

    ssim: float
    color_ssim: float
    rank: float
    top10: float
    error: float


@dataclass(frozen=True)
class Bound:
    """``measure`` at least ``value``, or at most where lower is better."""

    measure: str
    value: float

    def holds(self, quality: Quality) -> bool:
        """Whether a map keeps the bound."""
        return self.slack(quality) >= 0

    def slack(self, quality: Quality) -> float:
        """The margin by which a map keeps the bound; negative where it does not."""
        return self.allowed - self.loss(quality)

    def loss(self, quality: Quality) -> float:
        """The distance of a map from the exact one in this measure; 0 where they are equal."""
        return _loss(self.measure, getattr(quality, self.measure))

    def measured(self, loss: float) -> float:
        """The value of the measure that an estimated loss stands for, between 0 and 1."""
        return min(1.0, max(0.0, _loss(self.measure, loss)))

    @property
    def allowed(self) -> float:
        """The largest loss that keeps the bound."""
        return _loss(self.measure, self.value)

    def implies(self, other: Bound) -> bool:
        """Whether every map that keeps this one keeps the other."""
        stricter = self.value <= other.value if self.measure in LOWER_IS_BETTER else self.value >= other.value
        return self.measure == other.measure and stricter

    def __str__(self) -> str:
        return f"{self.measure}{'<=' if self.measure in LOWER_IS_BETTER else '>='}{self.value:g}"


@dataclass(frozen=True)
class Goal:
    """Bounds, and the share of the images on which all of them should hold.

    Raises:
        OcclusionError: if there are no bounds, or ``keep`` is no share above 0.
    """

    bounds: tuple[Bound, ...]
    keep: float = 1.0

    def __post_init__(self) -> None:
        if not self.bounds:
            raise OcclusionError("tuning: expected at least one bound, such as ssim>=0.9")
        if not 0 < self.keep <= 1:
            raise OcclusionError(f"tuning: expected a share of images to keep above 0 and up to 1, found {self.keep}")

    def breakable(self, images: int) -> int:
        """The number of images, of so many, on which a bound may be broken."""
        return images - math.ceil(self.keep * images - 1e-9)

    def slack(self, qualities: Sequence[Quality]) -> float:
        """The margin of the tightest bound on the worst image that must keep it."""
        slacks = sorted(min(bound.slack(quality) for bound in self.bounds) for quality in qualities)
        return slacks[self.breakable(len(slacks))]

    def spread(self, qualities: Sequence[Quality]) -> float:
        """Standard deviation of the tightest bound's slack over images."""
        return float(np.std([min(bound.slack(quality) for bound in self.bounds) for quality in qualities]))

    def holds(self, quality: Quality) -> bool:
        """Whether one map keeps all bounds."""
        return all(bound.holds(quality) for bound in self.bounds)


def parse_bound(text: str) -> Bound:
    """Read a bound such as "ssim>=0.9" or "error<=0.1".

    Raises:
        ValueError: if ``text`` names no measure, has the wrong sign for it, or no value between 0 and 1.
    """
    given: object = text
    match = re.fullmatch(r"\s*(\w+)\s*(>=|<=)\s*([0-9.eE+-]+)\s*", given) if isinstance(given, str) else None
    if match is None or match[1] not in MEASURES:
        raise ValueError(
            f"quality {show(text)}: expected MEASURE>=VALUE with one of {', '.join(MEASURES)}, or error<=VALUE"
        )
    sign = "<=" if match[1] in LOWER_IS_BETTER else ">="
    if match[2] != sign:
        raise ValueError(f"quality {text!r}: {match[1]} is bounded with {sign}")
    try:
        value = float(match[3])
    except ValueError:
        raise ValueError(f"quality {text!r}: {match[3]!r} is no number") from None
    if not 0 < value < 1:
        raise ValueError(f"quality {text!r}: expected a value between 0 and 1")
    return Bound(match[1], value)


def _loss(measure: str, value: float) -> float:
    return value if measure in LOWER_IS_BETTER else 1 - value
