"""The values that the two sessions hand to each other: an image whose base pass is done, and boxes to score on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from krypton_compile.runtime.engine.occlusion import Occlusion

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PreparedImage:
    """An image whose base maps are computed; what :meth:`OcclusionSession.score` takes, as often as one likes.

    ``excess`` says by how much it is far from its range (input_range.py); it is "" where it is not.
    """

    image: Array
    baseline: Array
    base_scores: Array
    base_logits: Array | None
    feeds: dict[str, ort.OrtValue]
    magnitudes: dict[str, float]
    excess: str = ""


@dataclass(frozen=True)
class Work:
    """One prepared image and what is hidden of it; ``feeds`` are the inputs that all its chunks share."""

    prepared: PreparedImage
    occlusion: Occlusion
    feeds: dict[str, ort.OrtValue]
    session: ort.InferenceSession

    def hidden(self, row: int, layout: str) -> Array:
        """The image with one box really occluded."""
        return self.occlusion.applied(row, self.prepared.image, self.prepared.baseline, layout)
