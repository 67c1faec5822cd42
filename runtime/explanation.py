"""The result of an explanation: scores of every window, and the heat map they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import OcclusionError
from krypton_compile.geometry import Boxes
from krypton_compile.runtime.heatmap import accumulate

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """Scores of an occlusion grid.

    Attributes:
        scores: float32 [rows, columns, K'], the output under each window, of ``classes``.
        base_scores: float32 [K], the output for the image itself, of all classes.
        logits, base_logits: the same before a final Softmax or Sigmoid, or None.
        boxes: int32 [rows * columns, 4], the windows.
        classes: int64 [K'], those whose scores were kept.
        target: the class that :meth:`heatmap` is of.
        patch_size, stride: (h, w) in pixels.
        image_shape: (H, W).
        changed: share of the windows that change a pixel; the others keep the base scores.
        precision: what convolutions might multiply in; "bfloat16" is of reduced precision, the others exact.
        error: measured on a few windows against the model itself, in units of the largest logit (self_check.py).
        seconds: of base pass and windows together.
    """

    scores: Array
    base_scores: Array
    logits: Array | None
    base_logits: Array | None
    boxes: Boxes
    classes: npt.NDArray[np.int64]
    target: int
    patch_size: tuple[int, int]
    stride: tuple[int, int]
    image_shape: tuple[int, int]
    changed: float
    precision: str
    error: float
    seconds: float

    def heatmap(self) -> Array:
        """float32 [H, W]: mean over the windows that cover a pixel of base score - occluded score.

        Captum's formula; positive supports the target class, NaN where no window covers a pixel.

        Raises:
            OcclusionError: the target's scores were not kept.
        """
        column = np.flatnonzero(self.classes == self.target)
        if not len(column):
            raise OcclusionError(f"target {self.target}: its scores were not kept; add it to classes")
        drop = self.base_scores[self.target] - self.scores[..., column[0]]
        return accumulate(drop.reshape(-1), self.boxes, self.image_shape)
