"""Boxes come from callers: an op answers bad ones with an error that names the input, and never reads out of bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest

from krypton_compile.contract import geometry
from krypton_compile.contract.schemas import SCHEMAS
from tests.ops.bad_boxes import BAD_BOXES, BY_OP, box_inputs, pairs
from tests.ops.cases import Case, cases, make_boxes, make_model, make_values, make_window, window_attributes
from tests.ops.running import EMULATED, feeds, run_cpu, run_reference, session_options


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
        inputs[index] = array[None, None] if array.ndim == 3 else array[None]  # one slice more is a volume's map
        with pytest.raises(Exception, match=r"krypton|rank|Rank"):
            run_cpu(replace(case, inputs=inputs))


def by_name(name: str) -> Case:
    return next(case for case in cases() if case.name == name)


VOLUMES = {
    "conv of volumes 3 group 1": 2,
    "max pool of volumes 3": 1,
    "average pool of volumes 3 0": 1,
    "depth boxes 3": 0,
    "depth gather 3": 1,
    "relu of volumes": 1,
    "multiply of volumes": 6,
    "gap of volumes": 1,
    "gemm of volumes": 1,
    "densify NCDHW": 1,
    "occlusion of volumes 0 0": 4,
}
"""Cases, and which of their inputs are boxes that must be as many a position as the volume has slices."""


@pytest.mark.parametrize("name", VOLUMES)
def test_other_numbers_of_slices_are_refused(name: str) -> None:
    case, index = by_name(name), VOLUMES[name]
    inputs = list(case.inputs)
    inputs[index] = np.concatenate([inputs[index], np.zeros((1, 4), np.int32)])  # an empty box: no rows more
    with pytest.raises(Exception, match=r"krypton.*(slice|boxes)"):
        run_cpu(replace(case, inputs=inputs))
    with pytest.raises(ValueError, match=r"boxes|offsets"):
        run_reference(replace(case, inputs=inputs))


BAD_DEPTHS = [
    [3, 1, 1, 1, 1, 5],
    [0, 1, 1, 1, 1, 5, 5],
    [3, 1, 1, 1, 1, 0, 5],
    [3, 0, 1, 1, 1, 5, 5],
    [3, 1, 1, 1, 1, 5, 2],
]


@pytest.mark.parametrize("depth", BAD_DEPTHS)
def test_bad_depths_are_refused(depth: list[int]) -> None:
    """No window, or one after which there are other slices than the boxes are of."""
    for name in ("depth gather 3", "max pool of volumes 3", "average pool of volumes 3 0"):
        case = by_name(name)
        with pytest.raises(Exception, match=r"krypton"):
            run_cpu(replace(case, attributes={**case.attributes, "depth": depth}))


@pytest.mark.parametrize("shape", [[-(2**63), 8], [0, 8], [8, 2**31]])
@pytest.mark.parametrize("op", ["ResampleBoxes", "IncrementalResample"])
def test_bad_map_sizes_are_refused(op: str, shape: list[int]) -> None:
    with pytest.raises(Exception, match=r"krypton.*input_shape: expected the size of a map"):
        run_cpu(replace(BY_OP[op], attributes={"input_shape": shape}))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("op", ["SliceBoxes", "OcclusionChunks"])
def test_bad_boxes_of_any_rank_are_refused(op: str, axes: int) -> None:
    case = by_name(f"{'slices' if op == 'SliceBoxes' else 'chunks'} {axes} axes")
    boxes, huge = case.inputs[0], 2**31 - 1
    for axis in range(2 * axes):
        for value in (-1, 13, huge, -(2**31)):
            bad = boxes.copy()
            bad[1, axis] = value
            with pytest.raises(Exception, match=r"krypton.*does not lie inside"):
                run_cpu(replace(case, inputs=[bad, *case.inputs[1:]]))
            with pytest.raises(ValueError, match="not inside"):
                run_reference(replace(case, inputs=[bad, *case.inputs[1:]]))
    for wrong in (boxes[:, :-1], boxes[0]):
        with pytest.raises(Exception, match="krypton"):
            run_cpu(replace(case, inputs=[wrong, *case.inputs[1:]]))


def test_boxes_on_no_map_may_not_lie_anywhere() -> None:
    """Without X0 and Z0 nothing says how large the map is; an empty box may have any width."""
    case = by_name("concat conv two plain")
    _, _, weight, *optional, first, second = case.inputs
    apart = np.array([[0, 0, 1, 1], [2**30, 2**30, 1, 1]], np.int32)
    values = [np.ones((2, part.shape[1]), np.float32) for part in (first, second)]
    inputs = [apart, np.concatenate([apart, apart]), weight, *optional, *values]
    with pytest.raises(Exception, match=r"krypton.*y_boxes: expected boxes within .* pixels of each other"):
        run_cpu(replace(case, inputs=inputs))
    empty = np.array([[0, 0, 0, 2**31 - 1]], np.int32)
    none = [np.ones((0, part.shape[1]), np.float32) for part in (first, second)]
    boxes = [empty, np.concatenate([empty, empty])]
    for op, given in (
        ("IncrementalConcatConv", [*boxes, weight, *optional, *none]),
        ("IncrementalConcat", [*boxes, *none]),
    ):
        assert len(run_cpu(Case("empty", op, given))[0]) == 0


def test_depth_gather_refuses_more_than_its_slices_hold() -> None:
    case = by_name("depth gather 3")
    inputs = [array.copy() for array in case.inputs]
    inputs[2][:] = (0, 0, 1000, 1000)
    with pytest.raises(Exception, match=r"krypton.*y_boxes"):
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
        if not (EMULATED and name == "limit" and len(value) == 1):  # it lies on the device, where DeltaLimit made it
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


BAD_ADDENDS = {
    "b_boxes: expected the boxes of B": lambda b, boxes: (b, None),
    "b_boxes has [0-9]+ boxes": lambda b, boxes: (b, np.concatenate([boxes, boxes[:1] * 0])),
    "B: expected [0-9]+ channels": lambda b, boxes: (b[:, 1:], boxes),
    "b_boxes: box .* does not lie inside": lambda b, boxes: (b, boxes + np.array([0, 50, 0, 0], np.int32)),
    "B: expected": lambda b, boxes: (b[1:], boxes),
}


@pytest.mark.parametrize("message", BAD_ADDENDS)
def test_what_a_convolution_adds_is_checked(message: str) -> None:
    case = next(case for case in cases() if case.name.startswith("conv+add 3x3 "))
    b, b_boxes = BAD_ADDENDS[message](*case.inputs[5:7])
    bad = replace(case, inputs=[*case.inputs[:5], b, b_boxes])
    with pytest.raises(Exception, match=rf"krypton.*{message}"):
        run_cpu(bad)
    with pytest.raises(ValueError, match=r"b_boxes|B"):
        run_reference(bad)


BAD_ATTRIBUTES = [
    ("IncrementalPad", "shift", [2**62, 0], "shift: out of range"),
    ("TranslateBoxes", "output_shape", [2**31, 1], "output_shape: expected the size of a map"),
    ("IncrementalGemm", "input_shape", [2**30, 2**30], "input_shape: expected the size of a map"),
    ("IncrementalGlobalAveragePool", "input_shape", [0, 4], "input_shape: expected the size of a map"),
    ("IncrementalConv", "kernel_shape", [2**30, 2**30], "kernel_shape: expected the size of a map"),
    ("IncrementalConv", "strides", [1], "strides: expected 2 integers"),
    ("IncrementalConv", "pads", None, "pads: expected 4 integers"),
    ("IncrementalConv", "group", 2**62, "W: expected"),
    ("OcclusionChunks", "chunk", 2**62, "chunk: expected from 1 to"),
    ("OcclusionChunks", "channels", None, "channels: missing, or of another type"),
    ("BaseMap", "layout", 5, "layout: missing, or of another type"),
    ("IncrementalActivation", "function", "x" * 70_000, "function: 'xxx"),
]


@pytest.mark.parametrize(("op", "name", "value", "message"), BAD_ATTRIBUTES)
def test_bad_attributes_are_refused(op: str, name: str, value: object, message: str) -> None:
    case = BY_OP[op]
    attributes = {**case.attributes, name: value}
    bad = replace(case, attributes={key: one for key, one in attributes.items() if one is not None})
    with pytest.raises(Exception, match=f"krypton.*{message}") as found:
        run_cpu(bad)
    assert len(str(found.value)) < 2_000


WRONG_TYPES: list[tuple[str, str, object]] = [
    ("IncrementalConv", "precision", 32),
    ("IncrementalClip", "min", 0),
    ("IncrementalActivation", "alpha", 1),
    ("IncrementalActivation", "beta", [0.5, 0.5]),
    ("IncrementalAdd", "beta", -1),
    ("IncrementalBinary", "swapped", 1.0),
    ("IncrementalLRN", "alpha", "large"),
    ("IncrementalSoftmax", "logarithm", "no"),
    ("IncrementalMaxPool", "depth", 3),
    ("IncrementalLpPool", "p", 2.0),
    ("IncrementalAveragePool", "count_include_pad", 1.0),
    ("DepthGather", "group", [1]),
    ("WindowBoxes", "layer_group", 0.0),
    ("DeltaLimit", "layer_group", "all"),
    ("BaseMap", "tensor_name", 7),
    ("OcclusionChunks", "chunk", 4.0),
    ("OcclusionChunks", "layer_groups", [1]),
]
"""Attributes that an op can do without, with a value of a type that it does not take."""


@pytest.mark.parametrize(("op", "name", "value"), WRONG_TYPES)
def test_an_attribute_of_another_type_is_no_absent_one(op: str, name: str, value: object) -> None:
    case = BY_OP[op]
    with pytest.raises(Exception, match=f"krypton.{op}.*attribute {name}: expected"):
        run_cpu(replace(case, attributes={**case.attributes, name: value}))


def assert_close(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    scale = np.abs(expected[0]).max()
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-5 * scale)  # DESIGN section 10's bound


def test_weights_of_another_shape_at_the_same_place() -> None:
    """Given as an input they may change between two calls; what was packed of the smaller ones must not be read on."""
    case = BY_OP["IncrementalConv"]
    memory = np.random.default_rng(0).standard_normal(1 << 16).astype(np.float32)
    session = ort.InferenceSession(make_model(case).SerializeToString(), session_options(), ["CPUExecutionProvider"])
    given = case.inputs[3]
    for maps in (1, 300):
        weight = memory[: maps * given[0].size].reshape(maps, *given.shape[1:])
        changed = replace(case, inputs=[*case.inputs[:3], weight])
        assert_close(session.run(None, feeds(changed)), run_reference(changed))
        assert weight.base is memory


def test_a_kernel_too_large_for_a_table_of_its_tap_sets() -> None:
    """90 x 90: a table of all of them would take 260 MB, one of 300 x 300 30 GB."""
    rng = np.random.default_rng(0)
    window, ends = make_window((90, 90), (1, 1), (45, 45, 44, 44), (1, 1), (12, 10))
    boxes = make_boxes(rng, (12, 10))
    weight = rng.standard_normal((2, 3, 90, 90)).astype(np.float32) / 90
    inputs = [make_values(rng, boxes, 3), boxes, geometry.window_boxes(boxes, window), weight]
    case = Case("large kernel", "IncrementalConv", inputs, window_attributes(window, ends))
    assert_close(run_cpu(case), run_reference(case))
