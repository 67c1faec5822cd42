"""What approximate inference leaves out, as one value (DESIGN section 9). The default leaves out nothing.

    tau        propagation threshold: what a window changes is cut to this share of each map
    eps        value threshold: changes up to this share of a tensor's largest entry count as none
    drill-down windows at the coarse stride S1 first, then those of the final stride S2 in the share r of the map
               where they had the largest effect; the others are interpolated

A drill-down scores P (S2/S1)^2 + r P windows of P (the paper's section 5.2), so a speed-up of s takes
S1 = sqrt(s / (1 - r s)) S2, and none reaches 1 / r.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from krypton_compile.errors import OcclusionError

Pair = tuple[int, int]


@dataclass(frozen=True)
class DrillDown:
    """Two stages: ``coarse_stride`` (h, w) pixels, rounded up to multiples of the final one, and the share ``r``.

    With ``coarse_patch`` (h, w) the first stage hides larger windows around the same centres; their scores only
    choose and interpolate.

    Raises:
        OcclusionError: r not in [0, 1], or a stride or patch below 1.
    """

    r: float = 0.25
    coarse_stride: Pair = (16, 16)
    coarse_patch: Pair | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.r <= 1:
            raise OcclusionError(f"drill-down: expected a share r from 0 to 1, found {self.r}")
        for name, pair in (("stride", self.coarse_stride), ("patch", self.coarse_patch or (1, 1))):
            if min(pair) < 1:
                raise OcclusionError(f"drill-down: expected a coarse {name} of at least 1, found {pair}")

    def steps(self, stride: Pair) -> Pair:
        """Of how many windows at the final stride, along each axis, stage 1 scores one."""
        return -(-self.coarse_stride[0] // stride[0]), -(-self.coarse_stride[1] // stride[1])


@dataclass(frozen=True)
class Approximation:
    """All settings; ``tau`` and ``eps`` are one number, or one for each layer group of the model."""

    tau: float | Sequence[float] = 1.0
    eps: float | Sequence[float] = 0.0
    drill_down: DrillDown | None = None

    @property
    def exact(self) -> bool:
        """Whether nothing is left out."""
        taus, epses = (value if isinstance(value, Sequence) else (value,) for value in (self.tau, self.eps))
        whole = self.drill_down is None or self.drill_down.r == 1
        return all(tau == 1 for tau in taus) and all(eps == 0 for eps in epses) and whole

    def describe(self) -> str:
        """The settings in a line."""
        if self.exact:
            return "exact"
        parts = [f"tau {_numbers(self.tau)}", f"eps {_numbers(self.eps)}"]
        if self.drill_down is not None:
            drill = self.drill_down
            parts.append(f"drill-down r {drill.r:g}, S1 {drill.coarse_stride[0]} x {drill.coarse_stride[1]}")
            if drill.coarse_patch is not None:
                parts.append(f"first patch {drill.coarse_patch[0]} x {drill.coarse_patch[1]}")
        return ", ".join(parts)


EXACT = Approximation()
UNTUNED = Approximation(tau=1.0, eps=1e-3, drill_down=DrillDown(r=0.25, coarse_stride=(8, 8)))
"""What approximate mode does with a file that was never tuned: docs/performance.md shows what that costs and gains."""


def write_settings(approximation: Approximation) -> dict[str, object]:
    """The settings as JSON-ready fields."""
    drill = approximation.drill_down
    thresholds = {
        name: list(value) if isinstance(value, Sequence) else value
        for name, value in (("tau", approximation.tau), ("eps", approximation.eps))
    }
    return {**thresholds, "drill_down": None if drill is None else asdict(drill)}


def read_settings(fields: Mapping[str, Any]) -> Approximation:
    """The inverse of :func:`write_settings`."""
    tau, eps = (tuple(value) if isinstance(value, list) else float(value) for value in (fields["tau"], fields["eps"]))
    drill = fields["drill_down"]
    if drill is None:
        return Approximation(tau, eps)
    patch = drill["coarse_patch"]
    stride = (int(drill["coarse_stride"][0]), int(drill["coarse_stride"][1]))
    first = None if patch is None else (int(patch[0]), int(patch[1]))
    return Approximation(tau, eps, DrillDown(float(drill["r"]), stride, first))


def choose_coarse_stride(stride: int, r: float, speed_up: float) -> int:
    """The coarse stride with which a drill-down to the share ``r`` scores that many times fewer windows.

    Raises:
        OcclusionError: a speed-up below 1, or one that no stride reaches.
    """
    if not 0 <= r <= 1:
        raise OcclusionError(f"drill-down: expected a share r from 0 to 1, found {r}")
    if speed_up < 1 or r * speed_up >= 1:
        most = "any" if r == 0 else f"less than 1/r = {1 / r:g}"
        raise OcclusionError(f"drill-down: a speed-up of {speed_up:g} with r = {r:g}; expected at least 1 and {most}")
    exact = math.sqrt(speed_up / (1 - r * speed_up))
    return stride * math.ceil(exact - 1e-9)


def _numbers(value: float | Sequence[float]) -> str:
    return "/".join(f"{number:g}" for number in value) if isinstance(value, Sequence) else f"{value:g}"
