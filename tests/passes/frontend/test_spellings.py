"""What onnxruntime takes and onnx's checker refuses compiles to the same answers; so do the ops that ONNX retired."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from krypton_compile import compile
from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend import SourceModel
from krypton_compile.passes.frontend.accept_spellings import accept_spellings, find_spelling
from tests.support.graphs import compile_and_check, floats, ints, parse

HEAD = "g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, fw)"
BODY = f"c = Conv(x, w) r = Relu(c) {HEAD}"
WEIGHTS = {"w": (8, 3, 3, 3), "fw": (8, 5)}


def small(opset: int = 13) -> onnx.ModelProto:
    return parse(BODY, opset=opset, **WEIGHTS)


def alias_everywhere(model: onnx.ModelProto) -> None:
    model.opset_import[0].domain = "ai.onnx"
    for node in model.graph.node:
        node.domain = "ai.onnx"


def alias_of_the_import(model: onnx.ModelProto) -> None:
    model.opset_import[0].domain = "ai.onnx"


def alias_of_some_nodes(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "ai.onnx"


def two_imports(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9
    model.opset_import.add(domain="ai.onnx", version=13)


def old_without_inputs(model: onnx.ModelProto) -> None:
    model.ir_version = 3


def old_with_inputs(model: onnx.ModelProto) -> None:
    model.ir_version = 3
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, 1, list(tensor.dims))
        model.graph.input.insert(0, value)


def old_with_shapeless_inputs(model: onnx.ModelProto) -> None:
    old_with_inputs(model)
    model.graph.input[0].type.tensor_type.ClearField("shape")


def contrib_without_import(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type, model.graph.node[1].domain = "Gelu", "com.microsoft"


def two_initializers(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "w"))


def nameless_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), ""))


def numbers_twice(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].float_data.extend([0.0] * 216)


def output_twice(model: onnx.ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def output_without_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.ClearField("shape")


def output_without_type(model: onnx.ModelProto) -> None:
    model.graph.output[0].ClearField("type")


def function_of_another_opset(model: onnx.ModelProto) -> None:
    relu = helper.make_node("Relu", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 14)]
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [relu], opsets))
    model.opset_import.add(domain="own", version=1)
    model.graph.node[1].op_type, model.graph.node[1].domain = "F", "own"


def contradicting_shapes(model: onnx.ModelProto) -> None:
    model.graph.value_info.append(helper.make_tensor_value_info("c", 1, [1, 99, 15, 17]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, [1, 77]))


SPELLINGS: list[Callable[[onnx.ModelProto], None]] = [
    alias_everywhere,
    alias_of_the_import,
    alias_of_some_nodes,
    two_imports,
    old_without_inputs,
    old_with_inputs,
    old_with_shapeless_inputs,
    contrib_without_import,
    two_initializers,
    nameless_initializer,
    numbers_twice,
    output_twice,
    output_without_shape,
    output_without_type,
    function_of_another_opset,
    contradicting_shapes,
]


@pytest.mark.parametrize("spell", SPELLINGS, ids=[spell.__name__ for spell in SPELLINGS])
def test_a_spelling_that_onnxruntime_takes(spell) -> None:
    model = small()
    spell(model)
    ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    report = compile_and_check(model)
    assert report.layers[0].became == "incremental"


TOGETHER = [spell for spell in SPELLINGS if spell not in (contrib_without_import, function_of_another_opset)]
"""Those that do not make two things of one node."""


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(TOGETHER), unique=True).map(lambda spells: sorted(spells, key=TOGETHER.index)))
def test_spellings_together_become_the_usual_one(spells) -> None:
    """In any company; what remains is one import a domain and one initializer a name."""
    model = small()
    for spell in spells:
        spell(model)
    source = SourceModel(model)
    accept_spellings(source)
    assert find_spelling(model) is None
    content = model.SerializeToString(deterministic=True)
    assert accept_spellings(source) == 0
    assert model.SerializeToString(deterministic=True) == content
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert len(session.run(None, {"x": np.ones((1, 3, 17, 19), np.float32)})[0][0]) == 5


def test_what_neither_knows_is_refused_by_the_name_of_the_op() -> None:
    model = small()
    model.graph.node[1].op_type = "Nonsense"
    with pytest.raises(ModelError, match=r"not valid ONNX: .*Nonsense"):
        compile(model)


RETIRED = {
    "image scaler": "s = ImageScaler<bias = [0.5, 1.0, -1.0], scale = 0.25>(x)",
    "image scaler without a scale": "s = ImageScaler<bias = [0.5, 1.0, -1.0]>(x)",
    "affine": "s = Affine<alpha = 0.5, beta = 0.25>(x)",
    "affine without numbers": "s = Affine(x)",
    "scale": "s = Scale<scale = 0.5>(x)",
    "crop": "s = Crop<border = [1, 2, 3, 0]>(x)",
    "crop to a size": "s = Crop<border = [1, 2, 3, 4], scale = [9, 8]>(x)",
    "scaled tanh": "s = ScaledTanh<alpha = 0.5, beta = 2.0>(x)",
    "parametric softplus": "s = ParametricSoftplus<alpha = 0.5, beta = 2.0>(x)",
    "thresholded relu": "s = ThresholdedRelu<alpha = 0.25>(x)",
}


@pytest.mark.parametrize("kind", RETIRED)
def test_an_op_that_onnx_has_retired(kind: str) -> None:
    text = f"{RETIRED[kind]} {BODY.replace('(x,', '(s,')}"
    report = compile_and_check(parse(text, opset=9, **WEIGHTS))
    assert {layer.op for layer in report.layers}.isdisjoint({"ImageScaler", "Affine", "Crop", "Scale"})


@pytest.mark.parametrize("attributes", ["", "<across_channels = 1>", "<normalize_variance = 0>"])
def test_mean_variance_normalization_of_opset_7(attributes: str) -> None:
    """Not on constant images, where it divides nothing by nothing."""
    text = f"s = MeanVarianceNormalization{attributes}(x) {BODY.replace('(x,', '(s,')}"
    compile_and_check(parse(text, opset=7, **WEIGHTS), boxes=np.array([[2, 3, 5, 5], [0, 0, 9, 4]], np.int32))


@pytest.mark.parametrize("opset", [9, 12, 13, 17, 20])
def test_mean_variance_normalization_of_later_opsets(opset: int) -> None:
    for attributes in ("", "<axes = [0, 2, 3]>", "<axes = [1]>"):
        text = f"s = MeanVarianceNormalization{attributes}(x) {BODY.replace('(x,', '(s,')}"
        compile_and_check(parse(text, opset=opset, **WEIGHTS), boxes=np.array([[2, 3, 5, 5], [0, 0, 9, 4]], np.int32))


@pytest.mark.parametrize(("opset", "size"), [(18, 2), (19, 2), (20, 2), (21, 8)])
def test_group_normalization_scales_groups_before_opset_21(opset: int, size: int) -> None:
    text = f"c = Conv(x, w) n = GroupNormalization<num_groups = 2>(c, s, b) r = Relu(n) {HEAD}"
    scales = {"s": floats(*np.linspace(0.5, 1.5, size)), "b": floats(*np.linspace(-0.2, 0.3, size))}
    compile_and_check(parse(text, opset=opset, **WEIGHTS, **scales))


def test_outputs_without_a_name_are_no_training_mode() -> None:
    text = f"c = Conv(x, w) n = BatchNormalization(c, s, s, s, s) r = Relu(n) {HEAD}"
    model = parse(text, opset=8, s=np.ones(8, np.float32), **WEIGHTS)
    model.graph.node[1].output.extend(["", "", "", ""])
    compile_and_check(model)


def test_repeated_axes_of_shape_ops_are_read_from_constants() -> None:
    """A Reshape of the image's own shape, spelled with zeros, in an old file."""
    model = parse(f"s = Reshape(x, sh) {BODY.replace('(x,', '(s,')}", opset=9, sh=ints(0, 0, 0, 0), **WEIGHTS)
    model.ir_version = 3
    compile_and_check(model)
