"""The reference refuses what the kernels refuse, and nothing else: a box is legal in both or in neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.ops.bad_boxes import BAD_BOXES, BY_OP, box_inputs, pairs
from tests.ops.cases import Case
from tests.ops.running import run_cpu, run_reference


@pytest.mark.parametrize(("op", "index", "kind"), pairs())
def test_bad_boxes_are_value_errors(op: str, index: int, kind: str) -> None:
    case = BY_OP[op]
    inputs = [array.copy() for array in case.inputs]
    inputs[index][0] = BAD_BOXES[kind]
    with pytest.raises(ValueError, match=r"box|expected"):
        run_reference(replace(case, inputs=inputs))


@pytest.mark.parametrize("op", [op for op, case in BY_OP.items() if box_inputs(case)])
def test_slightly_moved_boxes_are_legal_in_both_or_in_neither(op: str) -> None:
    """One box input at a time, so that an output box that merely asks for other pixels stays legal."""
    rng = np.random.default_rng(11)
    case = BY_OP[op]
    for index in box_inputs(case):
        for _ in range(12):
            inputs = [array.copy() for array in case.inputs]
            row, column = int(rng.integers(0, len(inputs[index]))), int(rng.integers(0, 4))
            inputs[index][row, column] += int(rng.choice([-2, -1, 1, 2]))
            moved = replace(case, inputs=inputs)
            verdicts = [is_legal(run_reference, moved), is_legal(run_cpu, moved)]
            assert verdicts[0] == verdicts[1], (
                f"(reference, kernel) legal: {verdicts}; {op} input {index}: {inputs[index]}"
            )


def is_legal(run: Callable[[Case], list[np.ndarray]], case: Case) -> bool:
    try:
        run(case)
    except ValueError:
        return False
    except Exception as error:
        assert "krypton" in str(error)  # noqa: PT017 - a refusal by the op, not any other failure
        return False
    return True
