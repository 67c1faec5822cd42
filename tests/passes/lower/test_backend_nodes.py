"""onnx's own node tests, each op as a network of one layer: exact, and incremental but for what is named here.

The case's first input is the image (of a batch, the first one), its other inputs are constants; a product of
matrices behind it makes 5 scores. Boxes are random, and the values too: of a case only op, attributes, shapes
and constants are taken.
"""

from __future__ import annotations

import fnmatch
import functools
import warnings
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from krypton_compile import Report
from krypton_compile.contract.layouts import channels_first, channels_last
from krypton_compile.passes.lower.table import RULES
from tests.support.graphs import compile_and_check, ints, parse, reasons

OPSET = 21
"""The newest that is taken: the oldest supported onnxruntime knows it."""

DECOMPOSED = ("Mean", "Sum", "Swish", "Upsample")
OPS = sorted({*RULES, *DECOMPOSED})
POSITIVE = ("Log", "Pow", "Reciprocal", "Sqrt")
"""Ops of which the image is taken positive and away from 0."""

LAST = ("LayerNormalization", "LogSoftmax", "Softmax", *(op for op in OPS if op.startswith("Reduce")))
"""Ops that are also tried on an image whose channels come last: what they do to channels is then incremental."""

DENSE = {
    "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True": "its last window ends beyond the padd",
    "convtranspose_3d": "does not hold for a volume",
    "layer_normalization_4d_axis3_last": "",
    "layer_normalization_4d_axis_negative_1_last": "",
    "layer_normalization_3d_axis2_epsilon_last": "",
    "layer_normalization_3d_axis_negative_1_epsilon_last": "",
    "layer_normalization_default_axis_last": "",
    "layer_normalization_*_last": "not the channels alone",
    "layer_normalization_*": "not a spatial delta whose channels come last",
    "*softmax_axis_1": "",
    "*softmax_*axis_last": "",
    "*softmax_axis_2_last": "",
    "*softmax_*": "it is not over the channels",
    "matmul_*": "its input is not a flattened map",
    "reduce_sum_empty_axes_input_noop*": "",
    "reduce_*default_axes_*": "it reduces axes",
    "reduce_l[12]_*_last": "",
    "reduce_l[12]_*": "it reduces axes",
    "reduce_min_*_last": "it reduces axes",
    "reduce_sum_square_*_last": "it reduces axes",
    "reduce_*_last": "",
    "reduce_*_do_not_keepdims_*": "",
    "resize_*_not_larger": "its scales follow from a policy",
    "resize_*_not_smaller": "its scales follow from a policy",
}
"""Cases that are not incremental, and a part of the reason; "" is incremental. The first pattern that fits counts."""

LEAST = 345
"""Cases that run, at least: a rule of this test that skips more than it did is seen."""


@dataclass(frozen=True)
class Case:
    """A network of one op, the layout of its image, and why there is none."""

    name: str
    model: onnx.ModelProto | None = None
    layout: str = ""
    skipped: str = ""


@functools.cache
def node_tests() -> dict[str, list]:
    """Tests of one node that come with onnx, by op."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own cases overflow on purpose
        from onnx.backend.test.loader import load_model_tests

        found: dict[str, list] = {}
        for case in load_model_tests(kind="node"):
            if case.model is not None and len(case.model.graph.node) == 1:
                found.setdefault(case.model.graph.node[0].op_type, []).append(case)
    return found


@functools.cache
def networks(op: str) -> list[Case]:
    """Of every case of an op, in one layout or both."""
    return [
        network(case, last) for case in node_tests().get(op, ()) for last in ((False, True) if op in LAST else (False,))
    ]


def network(case, last: bool) -> Case:
    """Image -> op -> Flatten -> MatMul."""
    graph, name = case.model.graph, case.name.removeprefix("test_") + ("_last" if last else "")
    node = graph.node[0]
    if node.domain not in ("", "ai.onnx"):
        return Case(name, skipped=f"of the domain {node.domain}")
    values = dict(zip([value.name for value in graph.input], case.data_sets[0][0], strict=False))
    if not node.input or node.input[0] not in values or not case.data_sets:
        return Case(name, skipped="has no first input")
    image = values.pop(node.input[0])
    if not isinstance(image, np.ndarray) or image.dtype != np.float32 or image.ndim not in (3, 4, 5):
        return Case(name, skipped="its first input is no float32 image, signal or volume")
    if 0 in image.shape:
        return Case(name, skipped="its image is empty")
    if name.startswith("batchnorm") and name.endswith("training_mode"):
        return Case(name, skipped="refused: training mode")
    if name.startswith("training_dropout") and "zero_ratio" not in name:
        return Case(name, skipped="random")
    batch, shape = image.shape[0], (1, *image.shape[1:])
    rng = np.random.default_rng(len(name))
    for key, value in values.items():
        alike = isinstance(value, np.ndarray) and value.ndim == image.ndim and value.shape[0] == batch
        if alike and node.op_type not in ("Conv", "ConvTranspose"):
            values[key] = value[:1]
    first = helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, shape)
    constants = [numpy_helper.from_array(np.asarray(value), key) for key, value in values.items()]
    single = node_model([node], first, graph.output[0].name, constants)
    example = np.abs(rng.standard_normal(shape)).astype(np.float32) + 0.5
    try:
        output = session(single).run(None, {first.name: example})[0]
    except Exception as error:  # onnxruntime's errors have no common type of their own
        return Case(name, skipped=f"onnxruntime does not run it on one image: {str(error)[:120]}")
    if output.dtype != np.float32 or output.ndim < 2 or output.shape[0] != 1 or output.size == 0:
        return Case(name, skipped=f"its output {output.dtype} {output.shape} is not a map of one image")
    if not output.any():
        return Case(name, skipped="its output is 0 whatever the image")
    count = output.size
    weights = (rng.standard_normal((count, 5)) / np.sqrt(count)).astype(np.float32)
    nodes = [
        node,
        helper.make_node("Flatten", [graph.output[0].name], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
    ]
    constants.append(numpy_helper.from_array(weights, "weights"))
    axes = image.ndim - 2
    layout = channels_last(axes) if last else channels_first(axes)
    model = node_model(nodes, first, "scores", constants)
    try:
        session(model)
    except Exception as error:
        return Case(name, skipped=f"onnxruntime infers another shape than it computes: {str(error)[:120]}")
    return Case(name, model, layout)


def node_model(nodes, image, output: str, constants) -> onnx.ModelProto:
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    if output == "scores":
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 5])
    opset = 9 if nodes[0].op_type == "Upsample" else OPSET
    graph = helper.make_graph(nodes, "one_op", [image], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def check(case: Case, op: str) -> Report:
    assert case.model is not None
    shape = [dim.dim_value for dim in case.model.graph.input[0].type.tensor_type.shape.dim]
    sizes = shape[1:-1] if case.layout[1] != "C" else shape[2:]
    boxes = some_boxes(sizes, np.random.default_rng(5))
    return compile_and_check(case.model, case.layout, spread=False, boxes=boxes, positive=op in POSITIVE, told=True)


def some_boxes(sizes: list[int], rng: np.random.Generator) -> np.ndarray:
    """Of maps of any size, also of one pixel: nothing, all, both ends, random ones."""
    axes = len(sizes)
    rows = [[0] * 2 * axes, [0] * axes + sizes, [0] * axes + [1] * axes, [n - 1 for n in sizes] + [1] * axes]
    for _ in range(8):
        start = [int(rng.integers(0, n)) for n in sizes]
        rows.append(start + [int(rng.integers(1, n - at + 1)) for n, at in zip(sizes, start, strict=True)])
    return np.array(rows, np.int32)


def own(reason: str) -> bool:
    """Whether it is of the op itself, not of what follows it."""
    return reason != "its input is dense" and "class vector" not in reason


@pytest.mark.parametrize("op", OPS)
def test_cases_of(op: str) -> None:
    wrong = []
    for case in networks(op):
        if case.skipped:
            continue
        try:
            report = check(case, op)
        except Exception as error:
            wrong.append(f"{case.name}: {type(error).__name__}: {str(error)[:300]}")
            continue
        found = "; ".join(layer.reason for layer in report.layers if layer.became == "dense" and own(layer.reason))
        expected = next((DENSE[pattern] for pattern in DENSE if fnmatch.fnmatchcase(case.name, pattern)), "")
        if expected not in found or bool(expected) != bool(found):
            wrong.append(f"{case.name}: expected {expected or 'incremental'}, found {found or 'incremental'}")
    assert not wrong, "\n".join(wrong)


def test_cases_do_not_become_fewer() -> None:
    ran = [case for op in OPS for case in networks(op) if not case.skipped]
    assert len(ran) >= LEAST
    unused = [pattern for pattern in DENSE if not any(fnmatch.fnmatchcase(case.name, pattern) for case in ran)]
    assert not unused, "no case has such a name any more"


HEAD = "f = Flatten(h) y = Gemm(f, fw)"


def test_a_reduction_of_no_named_axes_is_of_all() -> None:
    # Also of the batch's: a chunk's positions are not to be added up.
    body = f"c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) s = ReduceSumSquare(r, a) q = Sqrt(s) h = Div(r, q) {HEAD}"
    model = parse(body, w=(4, 3, 3, 3), a=ints(), fw=(4 * 17 * 19, 5), opset=18)
    assert "more digits" in reasons(compile_and_check(model), "ReduceSumSquare")
    smooth = parse(
        body.replace("q = Sqrt(s) h = Div(r, q)", "h = Mul(r, s)"),
        w=(4, 3, 3, 3),
        a=ints(),
        fw=(4 * 17 * 19, 5),
        opset=18,
    )
    assert "has no rule" in reasons(compile_and_check(smooth), "ReduceSumSquare")


@pytest.mark.parametrize("axes", [(2, 3), (-1, -2), (3,)])
def test_pads_of_chosen_axes_are_incremental(axes: tuple[int, ...]) -> None:
    sizes = {2: 17, 3: 19}
    pads = ints(*range(1, len(axes) + 1), *range(-1, len(axes) - 1))
    for position, axis in enumerate(axes):
        sizes[axis % 4] += int(pads[position] + pads[position + len(axes)])
    weights = {"w": (4, 3, 3, 3), "p": pads, "v": np.float32(0.5), "a": ints(*axes)}
    body = f"c = Conv<pads=[1,1,1,1]>(x, w) h = Pad(c, p, v, a) {HEAD}"
    report = compile_and_check(parse(body, opset=18, fw=(4 * sizes[2] * sizes[3], 5), **weights))
    assert not reasons(report, "Pad")


def test_pads_with_a_value_of_the_image_are_dense() -> None:
    body = f"c = Conv<pads=[1,1,1,1]>(x, w) m = ReduceMax<keepdims=0>(c) h = Pad(c, p, m) {HEAD}"
    model = parse(body, w=(4, 3, 3, 3), p=ints(0, 0, 1, 1, 0, 0, 1, 1), fw=(4 * 19 * 21, 5), opset=18)
    assert "on the image" in reasons(compile_and_check(model), "Pad")
