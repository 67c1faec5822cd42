"""The cases of ops that take a limit, with one that makes about half of their results zero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from krypton_compile.passes.body.add_thresholds import LIMITED
from tests.ops.cases import Case
from tests.ops.running import run_reference

GAP = 1e-3
"""Of the limit: no result lies so close to it that rounding, of bfloat16x3 too, decides on which side."""
PER_OP = 6


def limited_cases(cases: list[Case]) -> Iterator[Case]:
    """A few cases of each op."""
    taken = dict.fromkeys(LIMITED, 0)
    for case in cases:
        if taken.get(case.op, PER_OP) >= PER_OP or case.attributes.get("precision") == "bfloat16":
            continue
        limit = find_gap(np.abs(run_reference(case)[0]).ravel())
        if limit is None:
            continue
        taken[case.op] += 1
        slot = LIMITED[case.op]
        padded = [*case.inputs, *[None] * (slot + 1 - len(case.inputs))]
        padded[slot] = np.array([limit], np.float32)
        yield replace(case, name=f"{case.name} limited", inputs=padded)
    assert min(taken.values()) > 0, f"no case has a gap: {taken}"


def find_gap(sizes: np.ndarray) -> float | None:
    """The middle of the widest gap among the middle third of the entries that are not zero."""
    found = np.sort(sizes[sizes > 0])
    found = found[len(found) // 3 : 2 * len(found) // 3]
    if len(found) < 2:
        return None
    gaps = np.diff(found) / found[1:]
    widest = int(gaps.argmax())
    return float(found[widest : widest + 2].mean()) if gaps[widest] > 2 * GAP else None
