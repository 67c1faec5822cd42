"""The settings of approximate inference, as one value (DESIGN section 9). The default leaves out nothing.

    tau        propagation threshold: what a window changes is cut to this share of each map
    eps        value threshold: changes up to this share of a tensor's largest entry count as none
    precision  convolutions multiply in bfloat16 where the processor does so faster
    sampling   some windows, spread evenly, as many as a bound on the quality takes; the others are interpolated
    drill-down windows at the coarse stride S1 first, then those of the final stride S2 in the share r of the map
               where they had the largest effect; the others are interpolated (instead of sampling)

A drill-down scores P (S2/S1)^2 + r P windows of P (the paper's section 5.2), so a speed-up of s takes
S1 = sqrt(s / (1 - r s)) S2, and none reaches 1 / r.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from krypton_compile import features
from krypton_compile.contract import validate
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.bounds import Bound, parse_bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.thresholds import Thresholds, check_precision, check_shares
from krypton_compile.runtime.by_value import ByValue

Pair = tuple[int, int]


@dataclass(frozen=True)
class DrillDown:
    """Two stages: ``coarse_stride`` (h, w) pixels, rounded up to multiples of the final one, and the share ``r``.

    With ``coarse_patch`` (h, w) the first stage hides larger windows around the same centres; their scores only
    choose and interpolate.

    Raises:
        OcclusionError: if ``r`` is not in [0, 1], or a coarse stride or patch is no pair of integers from 1 on.
    """

    r: float = 0.25
    coarse_stride: Pair = (16, 16)
    coarse_patch: Pair | None = None

    def __post_init__(self) -> None:
        if not validate.is_share(self.r):
            raise OcclusionError(f"drill-down: expected a share r from 0 to 1, found {validate.show(self.r)}")
        first = (1, 1) if self.coarse_patch is None else self.coarse_patch
        pairs: tuple[tuple[str, object], ...] = (("stride", self.coarse_stride), ("patch", first))
        for name, pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(map(validate.is_count, pair)):
                found = validate.show(pair)
                raise OcclusionError(f"drill-down: expected a coarse {name} (h, w) of at least 1, found {found}")

    def steps(self, stride: Pair) -> Pair:
        """The number of windows at the final stride, along each axis, of which stage 1 scores one."""
        return -(-self.coarse_stride[0] // stride[0]), -(-self.coarse_stride[1] // stride[1])


@dataclass(frozen=True, eq=False)
class Approximation(ByValue):
    """All settings; ``tau`` and ``eps`` are one number, or one for each layer group of the model.

    Raises:
        OcclusionError: if both ``drill_down`` and ``sampling`` are given, ``precision`` is neither "bfloat16" nor None,
            a drill-down is given and this release has none, or a field is of another type.
    """

    tau: float | Sequence[float] = 1.0
    eps: float | Sequence[float] = 0.0
    drill_down: DrillDown | None = None
    sampling: Sampling | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        check_precision(self.precision)
        check_shares(self.tau, self.eps)
        for name, value, kind in (("drill_down", self.drill_down, DrillDown), ("sampling", self.sampling, Sampling)):
            validate.require(name, value, value is None or isinstance(value, kind), f"a {kind.__name__} or None")
        if self.drill_down is not None and not features.DRILL_DOWN:
            raise OcclusionError("approximation: this release has no drill-down; use sampling, or tune the model again")
        if self.drill_down is not None and self.sampling is not None:
            raise OcclusionError("approximation: expected a drill-down or sampling, found both")

    @property
    def thresholds(self) -> Thresholds:
        """The part of the settings that holds for every window that is scored."""
        return Thresholds(self.tau, self.eps, self.precision)

    @property
    def exact(self) -> bool:
        """Whether nothing is left out."""
        whole = self.drill_down is None or self.drill_down.r == 1
        every = self.sampling is None or self.sampling.exact
        return self.thresholds.exact and whole and every

    def describe(self) -> str:
        """The settings in a line."""
        if self.exact:
            return "exact"
        parts = [f"tau {_numbers(self.tau)}", f"eps {_numbers(self.eps)}"]
        if self.precision is not None:
            parts.append(self.precision)
        if self.sampling is not None:
            parts.append(self.sampling.describe())
        if self.drill_down is not None:
            drill = self.drill_down
            parts.append(f"drill-down r {drill.r:g}, S1 {drill.coarse_stride[0]} x {drill.coarse_stride[1]}")
            if drill.coarse_patch is not None:
                parts.append(f"first patch {drill.coarse_patch[0]} x {drill.coarse_patch[1]}")
        return ", ".join(parts)


EXACT = Approximation()
UNTUNED = Approximation(sampling=Sampling(bounds=(Bound("ssim", 0.9),)))
"""The settings of approximate mode for a file that was never tuned; docs/performance.md has their cost and gain."""


def write_settings(approximation: Approximation) -> dict[str, object]:
    """Write settings as fields that are ready for JSON."""
    drill = approximation.drill_down
    thresholds = {
        name: value if validate.is_number(value) else list(value)  # type: ignore[arg-type]
        for name, value in (("tau", approximation.tau), ("eps", approximation.eps))
    }
    fields: dict[str, object] = {**thresholds, "drill_down": None if drill is None else asdict(drill), "sampling": None}
    fields["precision"] = approximation.precision
    if approximation.sampling is not None:
        bounds = [str(bound) for bound in approximation.sampling.bounds]
        fields["sampling"] = {**asdict(approximation.sampling), "bounds": bounds}
    return fields


def read_settings(fields: Mapping[str, Any]) -> Approximation:
    """Read settings from the fields that :func:`write_settings` makes."""
    tau, eps = (tuple(value) if isinstance(value, list) else float(value) for value in (fields["tau"], fields["eps"]))
    drill, sampling = _read_drill_down(fields["drill_down"]), _read_sampling(fields["sampling"])
    return Approximation(tau, eps, drill, sampling, fields["precision"])


def _read_drill_down(fields: Mapping[str, Any] | None) -> DrillDown | None:
    if fields is None:
        return None
    patch, stride = fields["coarse_patch"], fields["coarse_stride"]
    first = None if patch is None else (int(patch[0]), int(patch[1]))
    return DrillDown(float(fields["r"]), (int(stride[0]), int(stride[1])), first)


def _read_sampling(fields: Mapping[str, Any] | None) -> Sampling | None:
    if fields is None:
        return None
    bounds, floors = tuple(map(parse_bound, fields["bounds"])), tuple(map(float, fields["floors"]))
    scale = None if fields["scale"] is None else float(fields["scale"])
    return Sampling(fields["share"], bounds, scale, floors, int(fields["first"]))


def settings_for(bound: Bound, tuned: Approximation | None, tuned_bounds: Sequence[str]) -> Approximation:
    """Choose the tuned settings if one of their bounds implies this one, else sampling until the bound seems kept."""
    if tuned is not None and any(parse_bound(text).implies(bound) for text in tuned_bounds):
        return tuned
    return Approximation(sampling=Sampling(bounds=(bound,)))


def choose_coarse_stride(stride: int, r: float, speed_up: float) -> int:
    """Choose the coarse stride with which a drill-down to the share ``r`` scores that many times fewer windows.

    Raises:
        OcclusionError: if ``r`` is not in [0, 1], or ``speed_up`` is below 1 or more than any stride reaches.
    """
    if not 0 <= r <= 1:
        raise OcclusionError(f"drill-down: expected a share r from 0 to 1, found {r}")
    if speed_up < 1 or r * speed_up >= 1:
        most = "any" if r == 0 else f"less than 1/r = {1 / r:g}"
        raise OcclusionError(f"drill-down: a speed-up of {speed_up:g} with r = {r:g}; expected at least 1 and {most}")
    exact = math.sqrt(speed_up / (1 - r * speed_up))
    return stride * math.ceil(exact - 1e-9)


def _numbers(value: float | Sequence[float]) -> str:
    return f"{value:g}" if validate.is_number(value) else "/".join(f"{number:g}" for number in value)  # type: ignore[union-attr]
