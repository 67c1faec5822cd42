"""From a model file to a heat map on a really compiled model: the command line and the plain onnxruntime example."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import krypton_compile
from krypton_compile.cli import explain as explain_cli
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.runtime.maps.heatmap import accumulate
from tests.support.graphs import run_naive

SIZE = (24, 28)
# fp32 sums in another order, on probabilities (DESIGN section 10).
TOLERANCE = 1e-5
MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
small (float[1, 3, 24, 28] input) => (float[1, 4] output) {
    convolved = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (input, kernel)
    active = Relu (convolved)
    pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (active)
    flat = Flatten (pooled)
    logits = MatMul (flat, weight)
    output = Softmax <axis = 1> (logits)
}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with small.onnx, its compiled form, and a random picture of the model's size with its input."""
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(MODEL)
    for name, shape, scale in (("kernel", (8, 3, 3, 3), 0.3), ("weight", (8 * 12 * 14, 4), 0.05)):
        values = rng.normal(scale=scale, size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, folder / "small.onnx")
    krypton_compile.compile(folder / "small.onnx", folder / "small.krypton.onnx")
    picture = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(picture).save(folder / "scan.png")
    np.save(folder / "input.npy", picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    return folder


def naive_drop(files, stride):
    """Class, base score, windows and how far each one's black patch lowers the score, by really occluded images."""
    boxes = occlusion_grid(SIZE, (16, 16), (stride, stride))
    image = np.load(files / "input.npy")
    occluded = np.repeat(image, len(boxes), axis=0)
    for row, (y, x, h, w) in enumerate(boxes):
        occluded[row, :, y : y + h, x : x + w] = 0
    base, *scores = run_naive(onnx.load(files / "small.onnx"), np.concatenate([image, occluded]))
    target = int(base.argmax())
    drop = base[target] - np.stack(scores)[:, target]
    assert np.ptp(drop) > 100 * TOLERANCE, "the test's model must answer to occlusion"
    return target, base[target], boxes, drop


def test_the_command_line_writes_the_naive_map(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    assert explain_cli.main(["small.krypton.onnx", "scan.png", "--preprocess", "unit", "--stride", "3"]) == 0
    target, _, boxes, drop = naive_drop(files, 3)
    np.testing.assert_allclose(np.load("scan_heatmap.npy"), accumulate(drop, boxes, SIZE), atol=TOLERANCE)
    assert f"predicted class  {target}," in capsys.readouterr().out


def test_one_plain_run_gives_all_scores(files):
    script = Path(__file__).parents[2] / "examples" / "score_boxes.py"
    command = [sys.executable, str(script), "small.krypton.onnx", "input.npy"]
    printed = subprocess.run(command, cwd=files, capture_output=True, text=True, check=True).stdout
    target, base, boxes, drop = naive_drop(files, 4)
    assert f"class {target}, score {base:.4f}; {len(boxes)} windows" in printed
    assert float(printed.split("largest drop ")[1].split()[0]) == pytest.approx(drop.max(), abs=1e-4)
    assert f"= {boxes[drop.argmax()].tolist()}" in printed
