"""Thresholds: the part of every window's effect that approximate inference leaves out (DESIGN section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.contract.validate import as_array
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.by_value import ByValue

REDUCED = "bfloat16"

Array = npt.NDArray[np.float32]


def check_precision(precision: str | None) -> None:
    """Refuse a precision that approximate inference does not offer.

    Raises:
        OcclusionError: if ``precision`` is neither "bfloat16" nor None.
    """
    if precision is not None and not validate.is_one_of(precision, (REDUCED,)):
        raise OcclusionError(f"approximation: expected precision {REDUCED} or None, found {validate.show(precision)}")


def check_shares(tau: object, eps: object) -> None:
    """Refuse thresholds that are no numbers; which of them fit a model, :meth:`Thresholds.arrays` says.

    Raises:
        OcclusionError: if one of them is neither a number nor a list of some.
    """
    for name, value in (("tau", tau), ("eps", eps)):
        several = isinstance(value, list | tuple | np.ndarray) and np.ndim(as_array(name, value)) == 1
        numbers: list[object] = [*value] if several else [value]  # type: ignore[misc]
        fits = all(map(validate.is_number, numbers))
        validate.require(name, value, fits, "a number, or one for each layer group")


@dataclass(frozen=True, eq=False)
class Thresholds(ByValue):
    """The share of each window's effect that is computed; by default all of it.

    Attributes:
        tau: propagation threshold in (0, 1]: what a window changes is cut, layer by layer, to this share of the map;
            1 is exact. One number, or one for each layer group of the model.
        eps: value threshold in [0, 1): changes up to this share of a tensor's largest entry count as none; 0 is exact.
            Likewise.
        precision: "bfloat16" for products of reduced precision where the processor makes them faster, or None.

    Raises:
        OcclusionError: if ``precision`` is neither "bfloat16" nor None, or ``tau`` or ``eps`` no numbers.
    """

    tau: float | Sequence[float] = 1.0
    eps: float | Sequence[float] = 0.0
    precision: str | None = None

    def __post_init__(self) -> None:
        check_precision(self.precision)
        check_shares(self.tau, self.eps)

    @property
    def exact(self) -> bool:
        """Whether nothing is left out."""
        taus, epses = _each(self.tau), _each(self.eps)
        return all(tau == 1 for tau in taus) and all(eps == 0 for eps in epses) and self.precision is None

    def arrays(self, groups: Sequence[str]) -> tuple[Array, Array]:
        """Tau and eps of a model with these layer groups, float32 [1] or [G] each.

        Raises:
            OcclusionError: if there are neither one nor as many numbers as groups, or if one is out of range.
        """
        tau, eps = _per_group("tau", self.tau, groups), _per_group("eps", self.eps, groups)
        if not ((tau > 0) & (tau <= 1)).all():
            raise OcclusionError(f"tau: expected more than 0 and at most 1 (exact), found {self.tau!r}")
        if not ((eps >= 0) & (eps < 1)).all():
            raise OcclusionError(f"eps: expected 0 (exact) or more, and less than 1, found {self.eps!r}")
        return tau, eps


NOTHING_LEFT_OUT = Thresholds()


def _each(value: float | Sequence[float]) -> Sequence[float]:
    return (value,) if validate.is_number(value) else value  # type: ignore[return-value]


def _per_group(name: str, value: float | Sequence[float], groups: Sequence[str]) -> Array:
    try:
        array = np.atleast_1d(np.asarray(value, np.float32))
    except (TypeError, ValueError):
        array = np.zeros((0, 0), np.float32)
    if array.ndim != 1 or len(array) not in (1, len(groups)):
        raise OcclusionError(
            f"{name}: expected one number, or {len(groups)} for the layer groups {', '.join(groups)}; found {value!r}"
        )
    return array
