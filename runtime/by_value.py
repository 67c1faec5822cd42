"""Values that hold arrays, and are equal where all they hold is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt


class ByValue:
    """A base of dataclasses (eq=False) that compare field by field, entry by entry; NaN is equal to NaN.

    Fields that are declared with ``compare=False``, such as the time that something took, do not count.
    """

    __array_ufunc__ = None
    """An array that is compared with one is no array of comparisons."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or equal(_fields(self), _fields(other))

    def __hash__(self) -> int:
        return hash((type(self).__name__, _digest(_fields(self))))


def equal(one: object, other: object) -> bool:
    """Tell whether two values are the same, whatever arrays there are in them; never raises."""
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and _same_arrays(np.asarray(one), np.asarray(other))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, float | np.floating) and isinstance(other, float | np.floating) and math.isnan(one):
        return math.isnan(other)
    try:
        return bool(one == other)
    except Exception:  # a tensor of another library, whose comparison is no truth
        return False


def _same_arrays(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def _fields(value: object) -> dict[str, object]:
    assert dataclasses.is_dataclass(value)
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.compare}


def _digest(value: object) -> int:
    """A hash that is the same of equal values: of an array, which is not hashed, by its shape."""
    if isinstance(value, np.ndarray):
        return hash(value.shape)
    if isinstance(value, list | tuple):
        return hash(tuple(map(_digest, value)))
    if isinstance(value, Mapping):
        return hash(frozenset((key, _digest(value[key])) for key in value))
    if isinstance(value, float | np.floating) and math.isnan(value):
        return 0
    try:
        return hash(value)
    except TypeError:
        return hash(type(value).__name__)
