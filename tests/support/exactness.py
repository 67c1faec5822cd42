"""Exactness of a whole model: every position against onnxruntime on the really occluded image (DESIGN section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from krypton_compile.contract import geometry

LOGIT_BOUND = 1e-5
"""Of max |logit|; onnxruntime against itself at other optimisation levels differs by 3e-7 to 5e-6 on these networks."""
BOUNDS = {"float32": 1, "bfloat16x3": 5}
"""Of a session's precision, in units of LOGIT_BOUND."""
SPREAD = 100
"""Scores must spread over positions by this many tolerances, or exactness would be no test."""
SIZES = {"inception_v3": 299}
"""Image sizes of networks that do not take 224."""


@dataclass(frozen=True)
class Naive:
    """The original model, run on occluded copies of the image."""

    session: ort.InferenceSession
    output: str
    image: np.ndarray
    layout: str

    def rows(self, boxes: geometry.Boxes, baseline: np.ndarray) -> np.ndarray:
        """Logits for each box, [P, K], a few images at a time."""
        found = []
        for start in range(0, len(boxes), 8):
            part = boxes[start : start + 8]
            batch = np.repeat(self.image, len(part), axis=0)
            for row, (y, x, h, w) in enumerate(part):
                area = (slice(y, y + h), slice(x, x + w))
                index = (slice(None), *area) if self.layout == "NCHW" else (*area, slice(None))
                batch[(row, *index)] = baseline[(0, *index)]
            found.append(self.session.run([self.output], {self.session.get_inputs()[0].name: batch})[0])
        return np.concatenate(found).reshape(len(boxes), -1)


def naive_model(path: Path, image: np.ndarray, layout: str, logits: str | None = None) -> Naive:
    """The original model; ``logits`` names the tensor before its Softmax."""
    model = onnx.load(path)
    output = logits or model.graph.output[0].name
    if logits:
        model.graph.output.append(onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return Naive(ort.InferenceSession(model.SerializeToString(), options), output, image, layout)


def sample_boxes(shape: tuple[int, int], rng: np.random.Generator) -> geometry.Boxes:
    """64 positions: corners, borders and interior for patches 16, 4, 32, not square, one pixel; and the whole image."""
    height, width = shape
    rows = [(0, 0, height, width)]
    for h, w in ((16, 16), (4, 4), (32, 32), (12, 40), (1, 1)):
        bottom, right = height - h, width - w
        rows += [(0, 0, h, w), (0, right, h, w), (bottom, 0, h, w), (bottom, right, h, w)]
        rows += [(0, right // 2, h, w), (bottom // 2, 0, h, w), (bottom, right // 3, h, w), (bottom // 3, right, h, w)]
        for _ in range(4):
            rows.append((int(rng.integers(1, bottom)), int(rng.integers(1, right)), h, w))
    rows += [(height // 2, width // 2, 16, 16), (0, 0, 0, 0), (height // 2, width // 2, 16, 16)]
    return np.array(rows, np.int32)


def worst_error(found: np.ndarray, expected: np.ndarray, base: np.ndarray) -> float:
    """The largest difference in units of its bound: at most 1 is exact."""
    scale = np.maximum(np.abs(expected).max(axis=1), np.abs(base).max())
    return float((np.abs(found - expected).max(axis=1) / (LOGIT_BOUND * scale)).max())


def assert_spread(expected: np.ndarray, base: np.ndarray) -> None:
    """The scores differ over positions by far more than the tolerance."""
    tolerance = LOGIT_BOUND * float(np.abs(base).max())
    spread = float((expected.max(axis=0) - expected.min(axis=0)).max())
    assert spread > SPREAD * tolerance, f"the scores spread by {spread}, tolerance {tolerance}"


def texture(size: int, seed: int) -> np.ndarray:
    """Return an image of coarse patches and fine noise, [1, 3, size, size]."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.standard_normal((1, 3, size // 13 + 1, size // 13 + 1)), np.ones((1, 1, 13, 13)))
    fine = 0.3 * rng.standard_normal((1, 3, size, size))
    return (coarse[:, :, :size, :size] + fine).astype(np.float32)
