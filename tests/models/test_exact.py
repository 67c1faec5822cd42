"""Five networks at native resolution and full width, both exporters, and the real models: exact at every position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from krypton_compile import compile, get_library_path
from krypton_compile.runtime import OcclusionSession
from models.fetch import fetch
from models.preprocess import load
from tests.support.exactness import BOUNDS, SIZES, assert_spread, naive_model, sample_boxes, texture, worst_error

pytestmark = [pytest.mark.slow]

TORCH = [
    (name, exporter) for name in ("resnet18", "mobilenet_v2", "inception_v3") for exporter in ("torchscript", "dynamo")
]
TORCH.append(("vgg16", "torchscript"))


def check(path: Path, image: np.ndarray, layout: str, logits: str | None, tmp_path: Path) -> None:
    compiled = tmp_path / "model.krypton.onnx"
    _, report = compile(path, compiled, verify=False)
    assert report.incremental_share >= 0.95
    session = OcclusionSession(compiled, precision="float32")
    boxes = sample_boxes(session.image_size, np.random.default_rng(1))
    baseline = np.zeros_like(image)
    found = session.run(image, boxes, baseline)
    ours = found.scores if found.logits is None else found.logits
    base = found.base_scores if found.base_logits is None else found.base_logits
    expected = naive_model(path, image, layout, logits).rows(boxes, baseline)
    assert_spread(expected, base)
    assert worst_error(ours, expected, base) <= 1
    # By default the session may multiply in pieces of bfloat16 where the processor has matrix tiles for it.
    chosen = OcclusionSession(compiled)
    split = chosen.run(image, boxes, baseline)
    error = worst_error(split.scores if split.logits is None else split.logits, expected, base)
    assert error <= BOUNDS[chosen.precision]
    # One session.run of the whole file gives the same numbers as the session that splits it.
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(get_library_path())
    whole = ort.InferenceSession(str(compiled), options)
    feeds = {session.image_name: image, session.annotation.boxes: boxes[:13], session.annotation.baseline: baseline}
    name = session.annotation.logits or session.annotation.scores
    assert worst_error(whole.run([name], feeds)[0], ours[:13], base) <= 0.1


@pytest.mark.parametrize(("name", "exporter"), TORCH)
def test_torch_networks(name: str, exporter: str, tmp_path: Path) -> None:
    from models.export import exported

    check(exported(name, exporter), texture(SIZES.get(name, 224), 3), "NCHW", None, tmp_path)


@pytest.mark.network
def test_tumour_vgg16(tmp_path: Path) -> None:
    path = fetch("vgg16_tumour")
    logits = next(node.input[0] for node in onnx.load(path).graph.node if node.op_type == "Softmax")
    check(path, load("vgg16_tumour", fetch("mri_sample")), "NHWC", logits, tmp_path)


@pytest.mark.network
@pytest.mark.parametrize(("name", "logits"), [("squeezenet1_1", "logits"), ("efficientnet_lite0", None)])
def test_imagenet_models(name: str, logits: str | None, tmp_path: Path) -> None:
    check(fetch(name), load(name, fetch("mri_sample")), "NCHW", logits, tmp_path)
