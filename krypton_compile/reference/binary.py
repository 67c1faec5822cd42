"""IncrementalBinary: the delta of a function of two maps, f(A0 + DA, B0 + DB) - f(A0, B0), in float64.

    Mul    A0 DB + B0 DA + DA DB
    Div    (DA - A0 / B0 * DB) / (B0 + DB)
    Max    max(DA + (A0 - m), DB + (B0 - m)),  m = max(A0, B0);  Min alike

The kernels compute these in float32: a delta's rounding then scales with the delta. ONNX's broadcasting holds for
channels; a constant operand, which has no delta, may have one row or one column as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.elementwise import check_inside
from krypton_compile.reference.ragged import Floats, base_rows, check_boxes, check_map, read_hull, slices_of
from krypton_compile.reference.thresholds import flush

Rows = npt.NDArray[np.float64]

_FUNCTIONS: dict[str, Callable[[Rows, Rows], Rows]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
    "Pow": np.power,
}


class IncrementalBinary(OpRun):
    """The function of two maps, or of a map and a constant."""

    op_domain = DOMAIN

    def _run(
        self,
        A: Floats,
        a_boxes: Boxes,
        A0: Floats,
        B0: Floats,
        y_boxes: Boxes,
        B: Floats | None = None,
        b_boxes: Boxes | None = None,
        limit: Floats | None = None,
        *,
        function: str,
        swapped: int = 0,
    ) -> tuple[Floats]:
        shape = np.broadcast_shapes(A0.shape, B0.shape)[-3:]
        check_map("A0", slices_of("A0", A0, A.shape[1]), (-1, *shape[:2], A.shape[1]))
        check_boxes("a_boxes", a_boxes, (shape[0], shape[1]))
        parts = [a_boxes]
        if B is not None:
            if b_boxes is None:
                raise ValueError("b_boxes: expected the boxes of B")
            check_map(
                "B0", slices_of("B0", B0, B.shape[1]), (A0.shape[0] if A0.ndim == 4 else 1, *shape[:2], B.shape[1])
            )
            check_boxes("b_boxes", b_boxes, (shape[0], shape[1]))
            parts.append(b_boxes)
        check_inside(y_boxes, parts)
        moved, other = read_hull("A", A, a_boxes, y_boxes), np.zeros((1, 1), np.float32)
        if B is not None and b_boxes is not None:
            other = read_hull("B", B, b_boxes, y_boxes)
        wide = np.broadcast_to(B0, (*np.broadcast_shapes(A0.shape[:-1], B0.shape[:-1]), B0.shape[-1]))
        before = [base_rows("A0", A0, y_boxes, A0.shape[-1]), base_rows("B0", wide, y_boxes, B0.shape[-1])]
        after = [base.astype(np.float64) + delta for base, delta in zip(before, (moved, other), strict=True)]
        order = (1, 0) if swapped else (0, 1)
        compute = _FUNCTIONS[function]
        change = compute(*(after[i] for i in order)) - compute(*(before[i].astype(np.float64) for i in order))
        return (flush(np.asarray(change).astype(np.float32), limit),)
