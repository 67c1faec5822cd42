"""Every position: patch 16 at stride 4 and one pixel at stride 16, on the five networks. With ``--full`` only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from krypton_compile import compile
from krypton_compile.contract import geometry
from krypton_compile.runtime import OcclusionSession
from models.fetch import fetch
from models.preprocess import load
from tests.support.exactness import BOUNDS, SIZES, assert_spread, naive_model, texture, worst_error

pytestmark = [pytest.mark.full, pytest.mark.network]


def network(name: str) -> tuple[Path, np.ndarray, str, str | None]:
    """Path, image, layout, and the name of the tensor before a Softmax."""
    if name == "vgg16_tumour":
        path = fetch(name)
        logits = next(node.input[0] for node in onnx.load(path).graph.node if node.op_type == "Softmax")
        return path, load(name, fetch("mri_sample")), "NHWC", logits
    from models.export import exported

    return exported(name), texture(SIZES.get(name, 224), 5), "NCHW", None


@pytest.mark.parametrize("name", ["vgg16_tumour", "vgg16", "resnet18", "inception_v3", "mobilenet_v2"])
def test_every_position(name: str, tmp_path: Path) -> None:
    path, image, layout, logits = network(name)
    compile(path, tmp_path / "model.krypton.onnx")
    session = OcclusionSession(tmp_path / "model.krypton.onnx")
    naive = naive_model(path, image, layout, logits)
    for patch, stride in ((16, 4), (1, 16)):
        boxes = geometry.occlusion_grid(session.image_size, (patch, patch), (stride, stride))
        found = session.run(image, boxes)
        ours = found.scores if found.logits is None else found.logits
        base = found.base_scores if found.base_logits is None else found.base_logits
        expected = naive.rows(boxes, np.zeros_like(image))
        if patch > 1:
            assert_spread(expected, base)
        error = worst_error(ours, expected, base)
        print(f"{name}: patch {patch}, stride {stride}: {len(boxes)} positions, largest error {error:.3f} of the bound")
        assert error <= BOUNDS[session.precision]
