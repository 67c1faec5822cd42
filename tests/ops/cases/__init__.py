"""Cases of every op: random, empty, full, border and one-pixel boxes, odd channel counts, all window attributes.

One file a family, as of the kernels (custom_ops/ops.def).
"""

from __future__ import annotations

import numpy as np

from tests.ops.cases.boundary import boundary_cases
from tests.ops.cases.boxes import box_cases
from tests.ops.cases.case import Case, make_model
from tests.ops.cases.conv import conv_cases
from tests.ops.cases.inputs import make_boxes, make_values, make_window, window_attributes
from tests.ops.cases.moves import move_cases
from tests.ops.cases.pointwise import pointwise_cases
from tests.ops.cases.pool import pool_cases
from tests.ops.cases.rows import row_cases

FAMILIES = {
    "conv": conv_cases,
    "pool": pool_cases,
    "pointwise": pointwise_cases,
    "rows": row_cases,
    "moves": move_cases,
    "boxes": box_cases,
    "boundary": boundary_cases,
}
"""What makes the cases of each family."""


def cases() -> list[Case]:
    """All of them; those of a family stay the same whatever is added to others."""
    return [
        case for index, make in enumerate(FAMILIES.values()) for case in make(np.random.default_rng([20240731, index]))
    ]


__all__ = [
    "FAMILIES",
    "Case",
    "cases",
    "make_boxes",
    "make_model",
    "make_values",
    "make_window",
    "window_attributes",
]
