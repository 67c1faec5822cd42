"""The result of an explanation: scores of every window, and the heat map they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import OcclusionError
from krypton_compile.geometry import Boxes
from krypton_compile.runtime.approximation import Approximation
from krypton_compile.runtime.heatmap import accumulate

Array = npt.NDArray[np.float32]


def overlap(patch: tuple[int, int], stride: tuple[int, int]) -> float:
    """How many windows of a grid share a pixel, in the middle of the image."""
    return patch[0] * patch[1] / (stride[0] * stride[1])


@dataclass(frozen=True)
class Check:
    """What an approximate map was found to be worth on ``windows`` of it, drawn at random and scored exactly.

    ``largest`` and ``mean`` are absolute differences of the target's score; ``tau_saves`` the share of the time that
    the propagation threshold saves on these windows, ``eps_saves`` what the value threshold saves of the rest.
    """

    windows: int
    largest: float
    mean: float
    tau_saves: float
    eps_saves: float


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
        seconds: of base pass, windows and check together.
        approximation: what was left out.
        scored: bool [rows, columns], the windows that were scored; the others are interpolated.
        check: of an approximate map, else None.
        estimated_quality: of a sampled or progressive map, what its measures are taken to be against the exact one, by
            how much the last windows still changed (sampling.py); empty where that is not known.
        estimated_error: of a progressive map: root of the mean square by which the windows scored last differ from what
            they were interpolated to be; 0 at the end, NaN where there was nothing to compare with.
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
    approximation: Approximation
    scored: npt.NDArray[np.bool_]
    check: Check | None = None
    estimated_quality: Mapping[str, float] = field(default_factory=dict)
    estimated_error: float = 0.0

    @property
    def overlap(self) -> float:
        """How many windows share a pixel, in the middle of the image."""
        return overlap(self.patch_size, self.stride)

    @property
    def exact(self) -> bool:
        """Whether every window was scored and nothing left out."""
        return self.approximation.exact and bool(self.scored.all())

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
