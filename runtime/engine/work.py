"""The values that the two sessions hand to each other: an image whose base pass is done, and boxes to score on it."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from krypton_compile.runtime.engine.occlusion import Occlusion

Array = npt.NDArray[np.float32]


@dataclass
class Measured:
    """The error of one image's windows, in units of its largest logit (self_check.py); NaN until some were checked.

    ``wanted`` is whether results tell it: then the image's own first windows are checked, not the session's alone.
    """

    wanted: bool = False
    error: float = math.nan
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)


@dataclass(frozen=True, eq=False)
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
    measured: Measured = field(default_factory=Measured)
    excess: str = ""


@dataclass(frozen=True, eq=False)
class Work:
    """One prepared image and what is hidden of it; ``feeds`` are the inputs that all its chunks share."""

    prepared: PreparedImage
    occlusion: Occlusion
    feeds: dict[str, ort.OrtValue]
    session: ort.InferenceSession

    def hidden(self, row: int, layout: str) -> Array:
        """The image with one box really occluded."""
        return self.occlusion.applied(row, self.prepared.image, self.prepared.baseline, layout)
