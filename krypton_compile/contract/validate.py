"""Arguments of the public functions, validated before anything is done with them.

A predicate tells whether a value is of a kind, whatever the value is, and never raises; :func:`require` refuses.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import KryptonError, OcclusionError

MOST = 2**31 - 1
"""The largest count that there is room for in a compiled file, in onnxruntime and in a box."""
_SHOWN = 100


def require(name: str, value: object, fits: bool, expected: str, error: type[KryptonError] = OcclusionError) -> None:
    """Refuse the argument ``name`` where it does not fit what is expected.

    Raises:
        KryptonError: if not ``fits``; of the type ``error``.
    """
    if not fits:
        raise error(f"{name} {show(value)}: expected {expected}")


def require_one_of(
    name: str, value: object, known: Collection[str], error: type[KryptonError] = OcclusionError
) -> None:
    """Refuse an argument that is none of some words.

    Raises:
        KryptonError: if ``value`` is no text, or none of ``known``; of the type ``error``.
    """
    if not is_one_of(value, known):
        raise error(f"{name} {show(value)}; expected one of {', '.join(known)}")


def is_one_of(value: object, known: Collection[str]) -> bool:
    """Whether it is one of some words."""
    return isinstance(value, str) and value in known


def is_integer(value: object) -> bool:
    """Whether it is a whole number: of Python, NumPy or another library, but no truth value."""
    if isinstance(value, bool | np.bool_ | np.ndarray):
        return False
    try:
        operator.index(value)  # type: ignore[arg-type]
    except Exception:  # tensors of other libraries raise their own
        return False
    return True


def is_count(value: object, least: int = 1) -> bool:
    """Whether it is a whole number from ``least`` on that there is room for."""
    return is_integer(value) and least <= operator.index(value) <= MOST  # type: ignore[arg-type]


def is_number(value: object) -> bool:
    """Whether it is one finite number."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def is_share(value: object) -> bool:
    """Whether it is a number from 0 to 1."""
    return is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def is_truth(value: object) -> bool:
    """Whether it is True or False."""
    return isinstance(value, bool | np.bool_)


def is_path(value: object) -> bool:
    """Whether it names a file: text or a path, without a zero byte, which no system takes."""
    return isinstance(value, str | os.PathLike) and "\0" not in str(value)


def are_texts(value: object) -> bool:
    """Whether it is a list of texts, or another collection of them in an order; one text is none."""
    if isinstance(value, str | bytes | Mapping | set | frozenset):
        return False
    try:
        return all(isinstance(each, str) for each in value)  # type: ignore[attr-defined]
    except Exception:
        return False


def as_array(name: str, value: object) -> npt.NDArray[np.generic]:
    """Make an array of what may be one.

    Raises:
        OcclusionError: if NumPy makes none of it, as of lists of different lengths.
    """
    try:
        return np.asarray(value)
    except Exception as error:  # NumPy's own, and what a foreign __array__ raises
        raise OcclusionError(
            f"{name}: expected an array, or numbers in lists of the same length; found {show(value)}"
        ) from error


def show(value: object) -> str:
    """A value as messages show it: short, of an array its kind."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {list(value.shape)}"
    try:
        text = repr(value)
    except Exception:  # integers of thousands of digits, and what foreign types raise
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
