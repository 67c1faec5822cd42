"""Frozen gates: what follows a squeeze-and-excitation stays incremental, approximate and said to be."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

from krypton_compile import compile
from krypton_compile.cli import compile as compiler
from krypton_compile.cli import explain as explain_cli
from krypton_compile.errors import VerificationError
from krypton_compile.passes import verify
from krypton_compile.runtime import OcclusionSession
from tests.support.graphs import ints, parse

GATED = """
    c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c)
    e = GlobalAveragePool(r) s = Conv(e, w1) u = Sigmoid(s) m = Mul(r, u)
    d = Conv<pads=[1,1,1,1]>(m, w2) h = Relu(d)
    g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)
"""
FIXED = """
    c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) m = Mul(r, k)
    d = Conv<pads=[1,1,1,1]>(m, w2) h = Relu(d)
    g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)
"""
TOLERANCE = 1e-5
"""Scores of order 1, summed in float32 in another order."""
SHAPES = {"w0": (8, 3, 3, 3), "w1": (8, 8, 1, 1), "w2": (8, 8, 3, 3), "fw": (5, 8)}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return parse(GATED, **SHAPES)


def test_what_follows_the_gate_is_incremental(model):
    _, dense = compile(model)
    _, frozen = compile(model, frozen_gates=True)
    assert {layer.became for layer in dense.layers if layer.op == "Conv"} == {"incremental", "dense"}
    product = next(layer for layer in frozen.layers if layer.op == "Mul")
    assert (product.became, product.reason) == ("incremental", "approximate: its gate is frozen")
    assert [layer.became for layer in frozen.layers if layer.op == "Conv"][-1] == "incremental"
    assert "APPROXIMATE, frozen gates: 1" in frozen.verification


def test_a_gate_that_is_expanded_first():
    expanded = GATED.replace("m = Mul(r, u)", "v = Expand(u, size) m = Mul(r, v)")
    _, report = compile(parse(expanded, size=ints(1, 8, 17, 19), **SHAPES), frozen_gates=True)
    assert "APPROXIMATE, frozen gates: 1" in report.verification
    assert not [layer for layer in report.layers if layer.op == "Expand"]


def test_scores_are_those_of_the_network_with_the_images_own_gates(model, tmp_path):
    """By hand: the gate's values on the image itself put in as a constant."""
    compile(model, tmp_path / "frozen.krypton.onnx", frozen_gates=True)
    session = OcclusionSession(tmp_path / "frozen.krypton.onnx")
    image = np.random.default_rng(0).standard_normal(session.image_shape).astype(np.float32)
    inside = onnx.ModelProto()
    inside.CopyFrom(model)
    inside.graph.output.append(onnx.helper.make_tensor_value_info("u", onnx.TensorProto.FLOAT, None))
    gate = ort.InferenceSession(inside.SerializeToString()).run(["u"], {"x": image})[0]
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    fixed = parse(FIXED, k=gate, **{name: weights[name] for name in ("w0", "w2", "fw")})
    compile(fixed, tmp_path / "fixed.krypton.onnx")
    expected = OcclusionSession(tmp_path / "fixed.krypton.onnx").explain(image, 5, 3)
    found = session.explain(image, 5, 3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=TOLERANCE)
    assert np.ptp(expected.scores[..., 0]) > 1e-3


def test_results_say_that_they_are_approximate(model, tmp_path, recwarn):
    compile(model, tmp_path / "frozen.krypton.onnx", frozen_gates=True)
    session = OcclusionSession(tmp_path / "frozen.krypton.onnx")
    image = np.random.default_rng(0).standard_normal(session.image_shape).astype(np.float32)
    found = session.explain(image, 5, 3)
    assert not found.exact
    assert found.meta["frozen_gates"] == 1
    assert "approximate" in repr(found)
    assert found.error > 1e-4  # measured on really occluded images
    assert not recwarn.list
    assert session.verify(found, image, None, 5).largest > found.meta["base_score"] * 1e-6
    last = list(session.explain_progressively(image, 5, 3))[-1]
    np.testing.assert_array_equal(last.scores, found.scores)


def test_without_gates_the_option_changes_nothing(tmp_path):
    text = "c = Conv(x, w0) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
    plain = parse(text, w0=(8, 3, 3, 3), fw=(5, 8))
    compile(plain, tmp_path / "plain.krypton.onnx", frozen_gates=True)
    session = OcclusionSession(tmp_path / "plain.krypton.onnx")
    assert session.frozen_gates == ()
    assert session.explain(np.zeros(session.image_shape, np.float32), 5, 3).exact


def test_the_command_line_says_so(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx.save(model, "gated.onnx")
    assert compiler.main(["gated.onnx", "--frozen-gates", "--preprocess", "unit"]) == 0
    assert "APPROXIMATE, frozen gates: 1" in capsys.readouterr().out
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (17, 19, 3), np.uint8)).save("scan.png")
    assert explain_cli.main(["gated.krypton.onnx", "scan.png", "--patch-size", "5", "--stride", "3"]) == 0
    assert "APPROXIMATE      frozen gates: 1 keep the values of the whole image" in capsys.readouterr().out


def test_a_wrong_file_is_still_refused_without_the_option(model, monkeypatch):
    rows = verify._compiled_rows
    monkeypatch.setattr(verify, "_compiled_rows", lambda *given: rows(*given) * 1.01)
    with pytest.raises(VerificationError, match="Nothing is written"):
        compile(model)
