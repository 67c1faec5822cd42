"""Boxes that no op takes, and the cases of each op that they are put into."""

from __future__ import annotations

import numpy as np

from tests.ops.cases import Case, cases

BY_OP: dict[str, Case] = {}
for _case in cases():
    if all(array is not None and array.size for array in _case.inputs):
        BY_OP.setdefault(_case.op, _case)

BAD_BOXES = {
    "negative start": (-1, 0, 2, 2),
    "negative size": (0, 0, -1, 2),
    "outside": (0, 0, 10_000, 10_000),
    "overflowing": (2**31 - 1, 0, 2**31 - 1, 1),
    "huge area": (0, 0, 2**31 - 1, 2**31 - 1),
    "another row count": (0, 0, 1, 5),
}


def box_inputs(case: Case) -> list[int]:
    return [i for i, a in enumerate(case.inputs) if a.dtype == np.int32 and a.ndim == 2 and a.shape[1] == 4]


BOXES_ALONE = (
    "WindowBoxes",
    "UnionBoxes",
    "StackBoxes",
    "TransposeBoxes",
    "TranslateBoxes",
    "DepthBoxes",
    "ResampleBoxes",
    "OcclusionChunks",
)
NO_MAP = ("UnionBoxes", "StackBoxes", "TransposeBoxes", "TranslateBoxes", "DepthBoxes")
TARGETS = {
    *(
        ("IncrementalConv", 2),
        ("IncrementalMaxPool", 2),
        ("IncrementalLpPool", 2),
        ("IncrementalAveragePool", 2),
        ("IncrementalPad", 2),
        ("IncrementalTranspose", 2),
    ),
    ("DepthGather", 2),
    ("IncrementalResample", 2),
    ("RowValues", 0),
}


def is_bad(op: str, index: int, kind: str) -> bool:
    """An op may be asked for any box of its output; and where it sees boxes alone, or no map, less can be wrong."""
    if kind == "another row count":
        return op not in BOXES_ALONE and (op, index) not in TARGETS
    return op not in NO_MAP or kind in ("negative start", "negative size")


def pairs() -> list[tuple[str, int, str]]:
    every = [(op, index, kind) for op, case in BY_OP.items() for index in box_inputs(case) for kind in BAD_BOXES]
    return [pair for pair in every if is_bad(*pair)]
