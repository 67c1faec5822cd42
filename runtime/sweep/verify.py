"""Some windows of an explanation again, on really occluded images, by the model that was compiled.

    largest difference = max over windows and classes of |score of the explanation - score of the original model|

The original runs in onnxruntime as any user would run it, one image at a time; nothing of this package computes there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.contract.exactness import SAME_HALF_MODEL, largest_difference
from krypton_compile.contract.occlude import occlude
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.score_space import activate
from krypton_compile.runtime.sweep.original_model import OriginalModel
from krypton_compile.runtime.sweep.resolved import Resolved

Array = npt.NDArray[np.float32]


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


def verify(
    scorer: Scorer, explanation: Explanation, resolved: Resolved, original: str | os.PathLike[str] | None, count: int
) -> Verification:
    """Compare ``count`` windows drawn at random; without the original, the compiled file's own base graph runs them.

    Raises:
        OcclusionError: if ``count`` is less than one, the explanation hid windows by something else than the request
            does, or ``original`` is another model than the one that was compiled.
        ModelError: if ``original`` cannot be run.
    """
    validate.require("verify", count, validate.is_count(count), "at least 1 window")
    validate.require("original", original, original is None or validate.is_path(original), "the path of a model")
    if resolved.occluder.name != explanation.occluder:
        raise OcclusionError(
            f"the explanation hid windows by {explanation.occluder}, now asked for is {resolved.occluder.name}; "
            "give the same baseline, baseline_space and samples"
        )
    total = len(explanation.boxes)
    at = np.sort(np.random.default_rng().permutation(total)[: min(count, total)])
    resolution = explanation.resolution
    name, run = "the compiled file's base graph", _base_graph(scorer, explanation, resolved)
    if original is not None:
        model = OriginalModel(original, scorer.sessions.threads, scorer.model.output)
        others = model.others(scorer.model.annotation.image)
        try:
            name, run = model.name, _original(scorer, model, explanation, resolved)
        except Exception:  # onnxruntime raises exceptions of its own making, without a common base
            if not others:
                raise
            # They were held at values, of which the compiled file knows nothing but the constants they became.
            name += f" ({model.name} takes {', '.join(others)} too)"
        else:
            if model.half:
                resolution = max(resolution, SAME_HALF_MODEL * explanation.largest_score)
    largest = 0.0
    scores = explanation.scores.reshape(total, -1)
    for index in at.tolist():
        images = _occluded(scorer, resolved, explanation, index)
        rows = np.stack([run(image)[explanation.classes] for image in images])
        expected: npt.NDArray[np.float64] = rows.mean(axis=0, dtype=np.float64)
        largest = max(largest, largest_difference(scores[index], expected))
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
