"""Valid calls of every op (tests/ops/cases) with one thing changed: an input, an attribute, an output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import onnx

from tests.fuzz.contract import EDGES, FLOATS
from tests.fuzz.mutations import INTEGERS, NUMBERS
from tests.ops.cases import Case, cases, make_model

_LARGEST = 1 << 16


@cache
def small_cases() -> tuple[Case, ...]:
    """The cases whose inputs are small: thousands are run."""
    return tuple(case for case in cases() if all(one is None or one.size <= _LARGEST for one in case.inputs))


def mutated_case(rng: np.random.Generator) -> tuple[onnx.ModelProto, dict[str, np.ndarray], str]:
    """A model of one node, its feeds, and what it is."""
    by_op: dict[str, list[Case]] = {}
    for case in small_cases():
        by_op.setdefault(case.op, []).append(case)
    chosen = by_op[list(by_op)[int(rng.integers(len(by_op)))]]
    case, done = chosen[int(rng.integers(len(chosen)))], []
    for _ in range(int(rng.integers(1, 3))):
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        try:
            case = mutation(rng, case)
        except (ValueError, IndexError):
            continue
        done.append(mutation.__name__)
    model = make_model(case)
    if rng.random() < 0.2 and len(model.graph.output) > 1:
        model.graph.node[0].output[0] = ""
        del model.graph.output[0]
        done.append("no output")
    feeds = {f"i{index}": array for index, array in enumerate(case.inputs) if array is not None}
    return model, feeds, f"{case.op} ({case.name}): {', '.join(done)}"


def _with_input(case: Case, index: int, array: np.ndarray | None) -> Case:
    return replace(case, inputs=[*case.inputs[:index], array, *case.inputs[index + 1 :]])


def _any_input(rng: np.random.Generator, case: Case) -> tuple[int, np.ndarray]:
    given = [index for index, array in enumerate(case.inputs) if array is not None]
    index = given[int(rng.integers(len(given)))]
    return index, case.inputs[index].copy()


def change_entry(rng: np.random.Generator, case: Case) -> Case:
    index, array = _any_input(rng, case)
    values = FLOATS if array.dtype.kind == "f" else EDGES if array.dtype == np.int32 else (0, 1, -1, 2**40)
    flat = array.reshape(-1)
    for _ in range(int(rng.integers(1, 4))):
        flat[int(rng.integers(array.size))] = rng.choice(values)
    return _with_input(case, index, array)


def change_boxes(rng: np.random.Generator, case: Case) -> Case:
    boxes = [i for i, a in enumerate(case.inputs) if a is not None and a.dtype == np.int32 and a.ndim == 2]
    index = boxes[int(rng.integers(len(boxes)))]
    array = case.inputs[index].copy()
    array[int(rng.integers(len(array)))] = rng.choice(EDGES, 4)
    return _with_input(case, index, array)


def resize_input(rng: np.random.Generator, case: Case) -> Case:
    index, array = _any_input(rng, case)
    axis = int(rng.integers(array.ndim))
    length = int(rng.choice([0, 1, max(0, array.shape[axis] - 1), array.shape[axis] + 1]))
    return _with_input(case, index, np.take(array, np.arange(length) % max(1, array.shape[axis]), axis))


def rerank_input(rng: np.random.Generator, case: Case) -> Case:
    index, array = _any_input(rng, case)
    return _with_input(case, index, [array[None], array.reshape(-1), array[..., None], array.T][int(rng.integers(4))])


def retype_input(rng: np.random.Generator, case: Case) -> Case:
    index, array = _any_input(rng, case)
    kinds = (np.float32, np.float64, np.int32, np.int64, np.bool_)
    with np.errstate(all="ignore"):
        return _with_input(case, index, array.astype(kinds[int(rng.integers(len(kinds)))]))


def drop_input(rng: np.random.Generator, case: Case) -> Case:
    index, _ = _any_input(rng, case)
    return _with_input(case, index, None)


def change_count(rng: np.random.Generator, case: Case) -> Case:
    _, array = _any_input(rng, case)
    return replace(case, inputs=case.inputs[:-1] if rng.random() < 0.5 else [*case.inputs, array])


def swap_inputs(rng: np.random.Generator, case: Case) -> Case:
    return replace(case, inputs=[case.inputs[index] for index in rng.permutation(len(case.inputs))])


def change_attribute(rng: np.random.Generator, case: Case) -> Case:
    names = sorted(case.attributes)
    name = names[int(rng.integers(len(names)))]
    value = case.attributes[name]
    if isinstance(value, (list, tuple)):
        changed = [int(number) for number in value]
        changed[int(rng.integers(len(changed)))] = int(INTEGERS[int(rng.integers(len(INTEGERS)))])
        value = changed[: int(rng.integers(1, len(changed) + 1))] if rng.random() < 0.2 else changed
    elif isinstance(value, str):
        value = ("", "NHWC", "NCHW", "Elu", "x" * 1000)[int(rng.integers(5))]
    elif isinstance(value, float):
        value = float(rng.choice(NUMBERS))
    else:
        value = int(INTEGERS[int(rng.integers(len(INTEGERS)))])
    return replace(case, attributes={**case.attributes, name: value})


def drop_attribute(rng: np.random.Generator, case: Case) -> Case:
    names = sorted(case.attributes)
    gone = names[int(rng.integers(len(names)))]
    return replace(case, attributes={name: value for name, value in case.attributes.items() if name != gone})


def retype_attribute(rng: np.random.Generator, case: Case) -> Case:
    names = sorted(case.attributes)
    value = (1, 1.5, "text", [1, 2], [1.5], ["a"])[int(rng.integers(6))]
    return replace(case, attributes={**case.attributes, names[int(rng.integers(len(names)))]: value})


MUTATIONS: tuple[Callable[[np.random.Generator, Case], Case], ...] = (
    *(change_entry, change_entry, change_boxes, change_boxes, resize_input, resize_input, rerank_input, retype_input),
    *(drop_input, change_count, swap_inputs, change_attribute, change_attribute, drop_attribute, retype_attribute),
)
