"""The class that is explained: the predicted one, one by its index or name, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.contract.labels import find_label
from krypton_compile.errors import OcclusionError

ARGMAX, ALL = "argmax", "all"
_DIGITS = 20


@dataclass(frozen=True)
class Target:
    """The class ``index`` that a map is of when nothing else is asked for; ``every`` when all classes are explained."""

    index: int
    every: bool = False


def resolve_target(
    target: int | str | None, base_scores: npt.NDArray[np.float32], labels: Sequence[str] | None
) -> Target:
    """Find the class that ``target`` means: None or "argmax", "all", an index (also as text), or a label.

    Raises:
        OcclusionError: if ``target`` is no index or label of a class, or that class's score is not finite.
    """
    count = len(base_scores)
    if target is None or validate.is_one_of(target, (ARGMAX, ALL)):
        finite = np.where(np.isnan(base_scores), -np.inf, base_scores)  # a class that is not trained wins nothing
        return Target(int(finite.argmax()), target == ALL)
    if isinstance(target, str) and not target.removeprefix("-").isdecimal():
        if labels is None:
            raise OcclusionError(f"target {target!r}: the model's classes have no names; give labels, or an index")
        try:
            named = find_label(labels, target)
        except ValueError as error:
            raise OcclusionError(f"target: {error}") from error
        return _finite(named, base_scores)
    text = isinstance(target, str) and len(target) <= _DIGITS
    validate.require("target", target, text or validate.is_integer(target), "'argmax', 'all', an index or a label")
    index = int(target)
    if not 0 <= index < count:
        single = "; the model has one output, so target 0 is its score" if count == 1 else ""
        raise OcclusionError(f"target {index}: expected a class from 0 to {count - 1}{single}")
    return _finite(index, base_scores)


def _finite(index: int, base_scores: npt.NDArray[np.float32]) -> Target:
    if not np.isfinite(base_scores[index]):
        raise OcclusionError(
            f"target {index}: its score for this image is {base_scores[index]}, as of a class that is masked or not "
            "trained; choose another class"
        )
    return Target(index)
