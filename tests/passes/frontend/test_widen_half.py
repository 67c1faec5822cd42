"""Models of 16 bits: the float32 network of the same weights, and close to what they answer themselves."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from krypton_compile import compile
from krypton_compile.passes.frontend import SourceModel
from krypton_compile.passes.frontend.widen_half import widen_half
from krypton_compile.runtime import OcclusionSession
from tests.support.small import SHAPE, TOLERANCE, small_model

HALF_ROUNDING = 5e-3
"""Of probabilities, through a few layers of 11 significant bits each; float32 alone would stay below 1e-6."""
KINDS = {"float16": (np.float16, TensorProto.FLOAT16), "bfloat16": (ml_dtypes.bfloat16, TensorProto.BFLOAT16)}


def narrowed(kind: str, casts: bool = False) -> onnx.ModelProto:
    """The small network in 16 bits; with ``casts``, only inside, its image and scores float32."""
    dtype, number = KINDS[kind]
    model = small_model()
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))
    if casts:
        model.graph.node[0].input[0] = "x.half"
        model.graph.node[-1].output[0] = "probability.half"
        model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["x.half"], to=number))
        model.graph.node.append(helper.make_node("Cast", ["probability.half"], ["probability"], to=TensorProto.FLOAT))
        return model
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = number
    return model


def rounded(kind: str) -> onnx.ModelProto:
    """The small network in float32, its weights rounded to 16 bits."""
    model = small_model()
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor).astype(KINDS[kind][0]).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("casts", [False, True])
def test_the_weights_stay_and_all_is_float32(tmp_path, kind, casts):
    image = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    _, report = compile(narrowed(kind, casts), tmp_path / "half.krypton.onnx")
    compile(rounded(kind), tmp_path / "wide.krypton.onnx")
    found, expected = (
        OcclusionSession(tmp_path / f"{name}.krypton.onnx").explain(image, 6, 3) for name in ("half", "wide")
    )
    np.testing.assert_allclose(found.scores, expected.scores, atol=TOLERANCE)
    assert any("16 bits" in line for line in report.lines())


def test_the_original_agrees_to_its_own_precision(tmp_path):
    onnx.save(narrowed("float16"), tmp_path / "half.onnx")
    compile(tmp_path / "half.onnx", tmp_path / "half.krypton.onnx")
    session = OcclusionSession(tmp_path / "half.krypton.onnx")
    image = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    checked = session.verify(session.explain(image, 6, 3), image, tmp_path / "half.onnx", 8)
    assert "within" in checked.describe()
    assert 0 < checked.largest < HALF_ROUNDING


def test_nothing_of_float32_is_touched():
    model = small_model()
    before = model.SerializeToString()
    assert widen_half(SourceModel(model)) == 0
    assert model.SerializeToString() == before


def test_subgraphs_constants_and_casts_are_widened():
    text = """
        <ir_version: 8, opset_import: ["" : 17]>
        half (float16[N, 3, 4, 4] x, bool c) => (float16[N, 3] y) {
            k = Constant <value = float16 {14336}> ()
            s = Mul (x, k)
            b = If (c) <
                then_branch = yes () => (float16[N, 3, 4, 4] t) { t = Identity (s) },
                else_branch = no () => (float16[N, 3, 4, 4] e) { f = Cast <to = 10> (s)  e = Neg (f) }
            >
            y = ReduceMean <axes = [2, 3], keepdims = 0> (b)
        }
    """
    model = onnx.parser.parse_model(text)
    assert widen_half(SourceModel(model)) >= 5
    assert "float16" not in onnx.printer.to_text(model)
    image = np.ones((1, 3, 4, 4), np.float32)
    found = ort.InferenceSession(model.SerializeToString()).run(None, {"x": image, "c": np.array(False)})[0]
    np.testing.assert_array_equal(found[:, :2], -0.5)
