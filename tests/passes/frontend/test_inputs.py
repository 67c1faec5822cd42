"""Inputs beside the image are held; a uint8 image becomes float32 of the same numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.errors import ModelError
from krypton_compile.runtime import OcclusionSession, Preprocessing
from tests.support.graphs import parse

TWO = """
    c = Conv(x, w0) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) a = MatMul(age, wa) s = Add(f, a)
    y = Gemm<transB=1>(s, fw)
"""
TOLERANCE = 1e-5
"""Scores of order 1, summed in float32 in another order."""
WEIGHTS = {"w0": (8, 3, 3, 3), "wa": (2, 8), "fw": (5, 8)}


def two_inputs() -> onnx.ModelProto:
    return parse(TWO, image="float[N,3,17,19] x, float[N,2] age", **WEIGHTS)


@pytest.mark.parametrize(("held", "values"), [(0.5, [[0.5, 0.5]]), ([[0.5, -2]], [[0.5, -2]])])
def test_the_other_input_is_held(tmp_path, held, values):
    model = two_inputs()
    compile(model, tmp_path / "held.krypton.onnx", held={"age": held})
    session = OcclusionSession(tmp_path / "held.krypton.onnx")
    image = np.random.default_rng(0).standard_normal(session.image_shape).astype(np.float32)
    hidden = image.copy()
    hidden[:, :, 3:8, 2:9] = 0
    naive = ort.InferenceSession(model.SerializeToString())
    expected = naive.run(None, {"x": hidden, "age": np.array(values, np.float32)})[0]
    np.testing.assert_allclose(session.score_boxes(image, [[3, 2, 5, 7]]), expected, atol=TOLERANCE)


def test_several_inputs_name_the_remedy():
    with pytest.raises(ModelError, match=r"several inputs.*--hold NAME=VALUE"):
        compile(two_inputs())
    with pytest.raises(ModelError, match="held input 'sex': the model's inputs are x, age"):
        compile(two_inputs(), held={"sex": 1})
    with pytest.raises(ModelError, match=r"expected a number or the shape \[1, 2\], found \[1, 3\]"):
        compile(two_inputs(), held={"age": [[1, 2, 3]]})


@pytest.mark.parametrize("value", ["0.5", "0.5,-2", "age.npy"])
def test_the_command_line_holds_inputs(tmp_path, monkeypatch, value, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(two_inputs(), "two.onnx")
    np.save("age.npy", np.array([[1, 2]], np.float32))
    assert compile_cli.main(["two.onnx", "--hold", f"age={value}"]) == 0
    assert compile_cli.main(["two.onnx", "--hold", "age=old"]) == 2
    assert "expected NAME=NUMBER" in capsys.readouterr().err


BYTES = """
    b = Cast<to=1>(x) d = Div(b, k) t = Transpose<perm=[0,3,1,2]>(d) c = Conv(t, w0) r = Relu(c)
    g = GlobalAveragePool(r) f = Flatten(g) y = Gemm<transB=1>(f, fw)
"""


def test_an_image_of_bytes(tmp_path):
    model = parse(BYTES, image="uint8[N,17,19,3] x", k=np.float32(255), w0=(8, 3, 3, 3), fw=(5, 8))
    onnx.save(model, tmp_path / "bytes.onnx")
    _, report = compile(tmp_path / "bytes.onnx", tmp_path / "bytes.krypton.onnx")
    assert [layer.became for layer in report.layers if layer.op == "Conv"] == ["incremental"]
    assert any("uint8" in line for line in report.lines())
    session = OcclusionSession(tmp_path / "bytes.krypton.onnx")
    assert session.preprocessing == Preprocessing()  # a picture is the input as it is
    picture = np.random.default_rng(0).integers(0, 256, (17, 19, 3), np.uint8)
    found = session.explain(picture, 5, 3, baseline="64,0,255")
    hidden = picture.copy()
    y, x, h, w = found.boxes[7]
    hidden[y : y + h, x : x + w] = (64, 0, 255)
    expected = ort.InferenceSession(model.SerializeToString()).run(None, {"x": hidden[None]})[0]
    np.testing.assert_allclose(found.scores.reshape(-1, 5)[7], expected[0], atol=TOLERANCE)
    checked = session.verify(found, picture, tmp_path / "bytes.onnx", 8, baseline="64,0,255")
    assert "within" in checked.describe()
