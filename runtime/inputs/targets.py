"""The class that is explained: the predicted one, one by its index or name, or all of them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.labels import find_label
from krypton_compile.errors import OcclusionError

ARGMAX, ALL = "argmax", "all"


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
        OcclusionError: if ``target`` is no index or label of a class.
    """
    count = len(base_scores)
    if target is None or target in (ARGMAX, ALL):
        return Target(int(base_scores.argmax()), target == ALL)
    if isinstance(target, str) and not target.removeprefix("-").isdecimal():
        if labels is None:
            raise OcclusionError(f"target {target!r}: the model's classes have no names; give labels, or an index")
        try:
            return Target(find_label(labels, target))
        except ValueError as error:
            raise OcclusionError(f"target: {error}") from error
    try:
        index = int(target) if isinstance(target, str) else operator.index(target)
    except TypeError:
        raise OcclusionError(f"target {target!r}: expected 'argmax', 'all', an index or a label") from None
    if not 0 <= index < count:
        single = "; the model has one output, so target 0 is its score" if count == 1 else ""
        raise OcclusionError(f"target {index}: expected a class from 0 to {count - 1}{single}")
    return Target(index)
