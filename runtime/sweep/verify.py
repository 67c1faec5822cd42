"""Some windows of an explanation again, on really occluded images, by the model that was compiled.

    largest difference = max over windows and classes of |score of the explanation - score of the original model|

The original runs in onnxruntime as any user would run it, one image at a time; nothing of this package computes there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from krypton_compile.contract.exactness import SAME_HALF_MODEL, SAME_MODEL
from krypton_compile.contract.occlude import occlude
from krypton_compile.errors import ModelError, OcclusionError
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.score_space import activate
from krypton_compile.runtime.sweep.resolved import Resolved

Array = npt.NDArray[np.float32]

_AFTER_SOFTMAX = ("Reshape", "Flatten", "Squeeze", "Identity")


@dataclass(frozen=True)
class Verification:
    """The ``largest`` difference of any class's score over so many ``windows``; up to ``resolution`` it is rounding.

    ``model`` names the model that they were compared with.
    """

    windows: int
    largest: float
    resolution: float
    model: str

    def describe(self) -> str:
        """The result in a line."""
        within = "within" if self.largest <= self.resolution else "ABOVE"
        return (
            f"{self.windows} random windows on {self.model} differ by {self.largest:.1e} at most, "
            f"{within} the numerical resolution of {self.resolution:.1e}"
        )


class OriginalModel:
    """The model before compilation, in plain onnxruntime: scores and logits of one image at a time."""

    def __init__(self, path: str | os.PathLike[str], threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        source, self._logits = _with_logits(Path(path))
        try:
            self._session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
            raise ModelError(f"{path}: onnxruntime cannot run the original model: {error}") from error
        self.name = Path(path).name

    def run(self, image_name: str, image: Array) -> list[Array]:
        """Run one image; all outputs, each as one row.

        Raises:
            OcclusionError: if the model has no image input of that name.
        """
        inputs = {value.name: value.type for value in self._session.get_inputs()}
        if image_name not in inputs:
            raise OcclusionError(f"{self.name}: expected an image input '{image_name}', found {', '.join(inputs)}")
        kind = inputs[image_name]
        pixels: npt.NDArray[np.generic] = image
        if kind == "tensor(float16)":
            pixels = image.astype(np.float16)
        elif kind == "tensor(uint8)":
            pixels = np.rint(image).clip(0, 255).astype(np.uint8)
        return [np.asarray(output, np.float32).ravel() for output in self._session.run(None, {image_name: pixels})]

    @property
    def half(self) -> bool:
        """Whether the model answers in 16 bits."""
        return any(value.type == "tensor(float16)" for value in self._session.get_outputs())

    def choose(self, outputs: list[Array], like: Array, logits: bool) -> int:
        """Find the output that a row of base scores is; with ``logits``, that before the Softmax.

        Raises:
            OcclusionError: if no output holds these scores.
        """
        scale = float(np.abs(like).max()) or 1.0
        own = len(outputs) - 1 if self._logits else None
        for at, output in enumerate(outputs):
            if (at == own) != logits or output.shape != like.shape:
                continue
            if np.abs(output - like).max() <= (SAME_HALF_MODEL if self.half else SAME_MODEL) * scale:
                return at
        raise OcclusionError(
            f"{self.name} answers otherwise than the compiled model: it is not the one it was made of. Give the file "
            "that was compiled, or none to check against the compiled file's own base graph"
        )


def verify(
    scorer: Scorer, explanation: Explanation, resolved: Resolved, original: str | os.PathLike[str] | None, count: int
) -> Verification:
    """Compare ``count`` windows drawn at random; without the original, the compiled file's own base graph runs them.

    Raises:
        OcclusionError: if ``count`` is less than one, the explanation hid windows by something else than the request
            does, or ``original`` is another model than the one that was compiled.
        ModelError: if ``original`` cannot be run.
    """
    if count < 1:
        raise OcclusionError(f"verify {count}: expected at least 1 window")
    if resolved.occluder.name != explanation.occluder:
        raise OcclusionError(
            f"the explanation hid windows by {explanation.occluder}, now asked for is {resolved.occluder.name}; "
            "give the same baseline, baseline_space and samples"
        )
    total = len(explanation.boxes)
    at = np.sort(np.random.default_rng().permutation(total)[: min(count, total)])
    resolution = explanation.resolution
    if original is None:
        name, run = "the compiled file's base graph", _base_graph(scorer, explanation, resolved)
    else:
        model = OriginalModel(original, scorer.sessions.threads)
        name, run = model.name, _original(scorer, model, explanation, resolved)
        if model.half:
            resolution = max(resolution, SAME_HALF_MODEL * float(np.abs(explanation.base_scores).max()))
    largest = 0.0
    scores = explanation.scores.reshape(total, -1)
    for index in at.tolist():
        images = _occluded(scorer, resolved, explanation, index)
        expected = np.mean([run(image)[explanation.classes] for image in images], axis=0, dtype=np.float64)
        off = float(np.abs(scores[index] - expected).max())
        largest = max(largest, off if np.isfinite(off) else math.inf)
    return Verification(len(at), largest, resolution, name)


def _base_graph(scorer: Scorer, explanation: Explanation, resolved: Resolved) -> Callable[[Array], Array]:
    """The compiled file's own base graph, which has no part in scoring windows, in the explanation's space."""

    def run(image: Array) -> Array:
        prepared = scorer.prepare(image, resolved.prepared.baseline)
        return activate(explanation.activation, prepared.base_scores, prepared.base_logits)

    return run


def _original(
    scorer: Scorer, model: OriginalModel, explanation: Explanation, resolved: Resolved
) -> Callable[[Array], Array]:
    """The model that was compiled, in the explanation's space."""
    prepared, before = resolved.prepared, explanation.activation == "pre"
    like = prepared.base_logits if before else prepared.base_scores
    assert like is not None
    image_name, own = scorer.model.annotation.image, scorer.model.image_shape
    which = model.choose(model.run(image_name, prepared.image.reshape(own)), like, before)

    def run(image: Array) -> Array:
        row = model.run(image_name, image.reshape(own))[which]
        return activate(explanation.activation, row, row)

    return run


def _occluded(scorer: Scorer, resolved: Resolved, explanation: Explanation, index: int) -> list[Array]:
    """The image with one window hidden, once for each sample of the occluder."""
    at, image, layout = np.array([index]), resolved.prepared.image, scorer.model.full_layout
    box, mask, occluder = explanation.boxes[at], explanation.windows.mask(at), resolved.occluder
    if occluder.rows is None:
        return [occlude(image, box, occluder.image, layout, mask)]
    rows = [occluder.rows(box, mask, number) for number in range(occluder.samples)]
    return [occlude(image, box, own, layout, mask) for own in rows]


def _with_logits(path: Path) -> tuple[str | bytes, bool]:
    """The model with the tensor before a final Softmax or Sigmoid as one more output, and whether it has one."""
    try:
        model = onnx.load(str(path))
    except Exception as error:  # of many types: no file, no protobuf, no weights
        raise ModelError(f"{path}: the original model cannot be read ({error})") from error
    name = logits_name(model)
    if name is None or model.ByteSize() >= onnx.checker.MAXIMUM_PROTOBUF:
        return str(path), False
    kind = model.graph.output[0].type.tensor_type.elem_type
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    return model.SerializeToString(), True


def logits_name(model: onnx.ModelProto) -> str | None:
    """Name the tensor before the Softmax or Sigmoid that makes the first output; None where there is none."""
    producers = {name: node for node in model.graph.node for name in node.output}
    scores = model.graph.output[0].name
    node = producers.get(scores)
    while node is not None and node.op_type in _AFTER_SOFTMAX:
        node = producers.get(node.input[0])
    if node is None or node.op_type not in ("Softmax", "Sigmoid"):
        return None
    return str(node.input[0])
