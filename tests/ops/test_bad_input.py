"""Boxes come from callers: an op answers bad ones with an error that names the input, and never reads out of bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from krypton_compile.schemas import SCHEMAS
from tests.ops.cases import Case, cases
from tests.ops.running import run_cpu, run_reference

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


BOXES_ALONE = ("WindowBoxes", "UnionBoxes", "TranslateBoxes", "ResampleBoxes", "OcclusionChunks")
NO_MAP = ("UnionBoxes", "TranslateBoxes")
TARGETS = {
    *(
        ("IncrementalConv", 2),
        ("IncrementalMaxPool", 2),
        ("IncrementalAveragePool", 2),
        ("IncrementalPad", 2),
        ("IncrementalResample", 2),
    ),
}


def is_bad(op: str, index: int, kind: str) -> bool:
    """An op may be asked for any box of its output; and where it sees boxes alone, or no map, less can be wrong."""
    if kind == "another row count":
        return op not in BOXES_ALONE and (op, index) not in TARGETS
    return op not in NO_MAP or kind in ("negative start", "negative size")


def pairs() -> list[tuple[str, int, str]]:
    every = [(op, index, kind) for op, case in BY_OP.items() for index in box_inputs(case) for kind in BAD_BOXES]
    return [pair for pair in every if is_bad(*pair)]


@pytest.mark.parametrize(("op", "index", "kind"), pairs())
def test_bad_boxes_are_refused(op: str, index: int, kind: str) -> None:
    case = BY_OP[op]
    inputs = [array.copy() for array in case.inputs]
    boxes = inputs[index]
    # Moved in beside a good box; where an op sees boxes alone, a small one is no error.
    boxes[0] = BAD_BOXES[kind]
    with pytest.raises(Exception, match="krypton"):
        run_cpu(replace(case, inputs=inputs))


@pytest.mark.parametrize("op", BY_OP)
def test_wrong_shapes_are_refused(op: str) -> None:
    case = BY_OP[op]
    for index, array in enumerate(case.inputs):
        if (op, index) == ("DeltaLimit", 0):
            continue  # a tensor of any shape
        inputs = list(case.inputs)
        inputs[index] = array[None]
        with pytest.raises(Exception, match=r"krypton|rank|Rank"):
            run_cpu(replace(case, inputs=inputs))


@pytest.mark.parametrize("op", [op for op, case in BY_OP.items() if box_inputs(case)])
def test_fuzzed_boxes_give_a_result_or_an_error(op: str) -> None:
    rng = np.random.default_rng(7)
    case = BY_OP[op]
    survived = 0
    for _ in range(40):
        inputs = [array.copy() for array in case.inputs]
        for index in box_inputs(case):
            rows = int(rng.integers(0, len(inputs[index])))
            column = int(rng.integers(0, 4))
            inputs[index][rows, column] += int(rng.choice([-1, 1, 2, 7, 2**30, -(2**31)]))
        try:
            run_cpu(replace(case, inputs=inputs))
            survived += 1
        except Exception as error:
            assert "krypton" in str(error)  # noqa: PT017 - either outcome is right, but not every error
    assert survived < 40


BAD_THRESHOLDS = {
    "tau": [[0.0], [-0.5], [1.5], [np.nan], [], [1.0, 1.0]],
    "eps": [[-0.1], [np.nan], [np.inf], [], [0.0, 0.0]],
    "limit": [[-1.0], [np.nan], [np.inf], [], [0.0, 0.0]],
}


def thresholds() -> list[tuple[str, int, str]]:
    """Ops that take one: which input it is, and its name."""
    found = []
    for schema in SCHEMAS:
        names = [spec.split(":")[0] for spec in schema.inputs]
        found += [(schema.name, names.index(name), name) for name in BAD_THRESHOLDS if name in names]
    return found


@pytest.mark.parametrize(("op", "index", "name"), thresholds())
def test_bad_thresholds_are_refused(op: str, index: int, name: str) -> None:
    case = BY_OP[op]
    good = {"tau": [0.5], "eps": [0.25], "limit": [0.1]}[name]
    for value in (good, *BAD_THRESHOLDS[name]):
        inputs = [*case.inputs[:index], *[None] * (index - len(case.inputs)), np.array(value, np.float32)]
        inputs += case.inputs[index + 1 :]
        attributes = {**case.attributes, "layer_group": 2} if op in ("WindowBoxes", "DeltaLimit") else case.attributes
        bad = replace(case, inputs=inputs, attributes=attributes)
        if value is good:
            run_cpu(bad)
            run_reference(bad)
            continue
        with pytest.raises(Exception, match=f"krypton.*{name}"):
            run_cpu(bad)
        with pytest.raises(ValueError, match=name):
            run_reference(bad)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_base_maps_are_finite(value: float) -> None:
    case = BY_OP["BaseMap"]
    tensor = case.inputs[0].copy()
    tensor.reshape(-1)[-1] = value
    with pytest.raises(Exception, match="NaN or an infinity"):
        run_cpu(replace(case, inputs=[tensor]))


def test_an_unknown_precision_is_refused() -> None:
    case = BY_OP["IncrementalConv"]
    unknown = replace(case, attributes={**case.attributes, "precision": "float16"})
    with pytest.raises(Exception, match="expected float32, bfloat16x3 or bfloat16, found 'float16'"):
        run_cpu(unknown)
    with pytest.raises(ValueError, match="found 'float16'"):
        run_reference(unknown)
