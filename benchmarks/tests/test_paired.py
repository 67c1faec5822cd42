"""The paired benchmark on a tiny model, with a session that is exact or wrong on purpose."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.lib.naive import NaiveModel, cpu_description
from benchmarks.lib.paired import paired
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.contract.occlude import occlude

SIZE = (20, 24)
MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (float[N, 3, 20, 24] input) => (float[N, 4] output) {
    mean = ReduceMean <axes = [2, 3], keepdims = 0> (input)
    logits = MatMul (mean, weight)
    output = Softmax <axis = 1> (logits)
}
"""


@pytest.fixture
def model(tmp_path):
    """A classifier of the mean colour, ending in Softmax."""
    parsed = onnx.parser.parse_model(MODEL)
    weight = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    parsed.graph.initializer.append(onnx.numpy_helper.from_array(weight, "weight"))
    onnx.checker.check_model(parsed)
    onnx.save(parsed, tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"


@pytest.fixture
def image():
    """A random model input."""
    return np.random.default_rng(1).random((1, 3, *SIZE), np.float32)


class NaiveSession:
    """Has a session's face and onnxruntime's numbers, off by ``error``."""

    image_size, layout = SIZE, "NCHW"
    annotation = SimpleNamespace(logits="logits")

    def __init__(self, path, error):
        self.model, self.error = NaiveModel(path, threads=1), error

    def explain(self, image, *, patch_size, stride, baseline, activation):
        boxes = occlusion_grid(SIZE, (patch_size, patch_size), (stride, stride))
        assert activation == "pre"
        logits = self.model.run(occlude(image, boxes, baseline, "NCHW"), 16)[1][1]
        base_logits = self.model.run(image, 1)[1][1]
        return SimpleNamespace(
            scores=logits + self.error, base_scores=base_logits, activation=activation,
            changed=1.0, heatmap=lambda: None,
        )  # fmt: skip


def test_occluded_replaces_one_box_each(image):
    boxes = np.array([[0, 0, 2, 3], [18, 20, 2, 4], [5, 5, 0, 0]], np.int32)
    for layout, view in (("NCHW", image), ("NHWC", np.ascontiguousarray(image.transpose(0, 2, 3, 1)))):
        found = occlude(view, boxes, np.full_like(view, -1), layout)
        pixels = found.transpose(0, 2, 3, 1) if layout == "NCHW" else found
        assert (pixels == -1).all(axis=3).sum(axis=(1, 2)).tolist() == [6, 8, 0]
        assert (pixels[0, :2, :3] == -1).all()
        assert (pixels[1, 18:, 20:] == -1).all()


def test_logits_are_those_before_softmax(model, image):
    naive = NaiveModel(model, threads=1)
    scores, logits = naive.run(image, 1)[1]
    exponents = np.exp(logits)
    np.testing.assert_allclose(scores, exponents / exponents.sum(), rtol=1e-5)
    plain = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(scores, plain.run(None, {"input": image})[0])


@pytest.mark.parametrize(("error", "verdict"), [(0.0, "within"), (0.1, "ABOVE")])
def test_paired_reports_speed_and_difference(model, image, error, verdict):
    session, heard = NaiveSession(model, error), []
    result = paired(
        session, model, image, np.zeros_like(image),
        threads=1, patch_size=4, stride=2, repeats=2, say=heard.append,
    )  # fmt: skip
    assert (result.windows, result.sample, result.compared) == (99, 64, "logits")
    assert len(result.ratios) == len(result.our_seconds) == len(result.naive_seconds) - 1 == 2
    assert set(result.probe.rates) == {1, 4, 16, 64}
    assert result.largest_difference == pytest.approx(error, abs=1e-6)
    text = result.describe()
    assert f"windows, {verdict} the bound" in text
    assert "extrapolated from 64 of them" in text
    assert len(heard) == 3


def test_a_spent_budget_still_measures_one_pair(model, image):
    session = NaiveSession(model, 0.0)
    result = paired(session, model, image, np.zeros_like(image), threads=1, patch_size=8, stride=8, budget=0.0)
    assert len(result.ratios) == 1
    assert (result.windows, result.sample) == (9, 9)


def test_cpu_description_names_the_machine():
    assert "cores" in cpu_description()
