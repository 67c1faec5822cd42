"""The result of an explanation: the scores of every window, and the maps they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.exactness import ROUNDING
from krypton_compile.contract.geometry import Boxes, Pair
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.settings import Approximation, write_settings
from krypton_compile.runtime.inputs.windows import Windows
from krypton_compile.runtime.maps.draw import Pictured
from krypton_compile.runtime.maps.heatmap import count_windows, make_map

Array = npt.NDArray[np.float32]


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


@dataclass(frozen=True, repr=False)
class Explanation(Pictured):
    """Scores of an occlusion grid, or of the regions of a label map.

    Attributes:
        scores: float32 [n_y, n_x, K'], the output under each window, of ``classes``; of regions [1, labels, K'].
        base_scores: float32 [K], the output for the image itself, of all classes.
        windows: where the image was hidden.
        classes: int64 [K'], those whose scores were kept.
        target: the class that :meth:`heatmap` is of unless told otherwise; ``every``: all of them were asked for.
        value: "difference", base score - score under the window, or "score", the latter.
        activation: the space of both kinds of scores (activation.py).
        occluder: what showed in the windows.
        picture: uint8 RGB [H, W, 3], the image to draw maps over.
        labels: names of the classes, or None.
        preprocessing: how pictures became the input, or None where that is not known.
        model_sha256: of the file that was compiled, or None.
        changed: share of the windows that change a pixel; the others keep the base scores.
        precision: what convolutions might multiply in; "bfloat16" is of reduced precision, the others exact.
        error: measured on a few windows against the model itself, in units of the largest logit (self_check.py).
        seconds: of base pass, windows and check together.
        frozen_gates: how many gates keep the values of the whole image (``krypton-compile --frozen-gates``).
        approximation: what was left out.
        scored: bool [n_y, n_x], the windows that were scored; the others are interpolated.
        check: of an approximate map, else None.
        estimated_quality: of a sampled or progressive map, what its measures are taken to be against the exact one, by
            how much the last windows still changed (sampling.py); empty where that is not known.
        estimated_error: of a progressive map: root of the mean square by which the windows scored last differ from what
            they were interpolated to be; 0 at the end, NaN where there was nothing to compare with.
    """

    scores: Array
    base_scores: Array
    windows: Windows
    classes: npt.NDArray[np.int64]
    target: int
    every: bool
    value: str
    activation: str
    occluder: str
    picture: npt.NDArray[np.uint8]
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None
    model_sha256: str | None
    changed: float
    precision: str
    error: float
    seconds: float
    frozen_gates: int
    approximation: Approximation
    scored: npt.NDArray[np.bool_]
    check: Check | None = None
    estimated_quality: Mapping[str, float] = field(default_factory=dict)
    estimated_error: float = 0.0

    @property
    def boxes(self) -> Boxes:
        """int32 [n_y * n_x, 4], the windows as (y0, x0, h, w)."""
        return self.windows.boxes

    @property
    def image_shape(self) -> Pair:
        """(H, W)."""
        return self.windows.image_shape

    @property
    def exact(self) -> bool:
        """Whether every window was scored and nothing left out."""
        return self.approximation.exact and not self.frozen_gates and bool(self.scored.all())

    @property
    def flip_map(self) -> npt.NDArray[np.int64]:
        """int64 [n_y, n_x]: the class with the largest score under each window, among ``classes``."""
        return np.asarray(self.classes[self.scores.argmax(axis=2)])

    @property
    def coverage(self) -> npt.NDArray[np.int64]:
        """int64 [H, W]: how many windows cover each pixel."""
        return count_windows(self.windows)

    def values(self, target: int | str | None = None) -> Array:
        """float32 [n_y, n_x]: what each window is worth to a class; of value "difference", base score - its score.

        Raises:
            OcclusionError: the class's scores were not kept.
        """
        index = self.class_index(target)
        column = np.flatnonzero(self.classes == index)
        if not len(column):
            raise OcclusionError(f"target {index}: its scores were not kept; add it to classes")
        scores = self.scores[..., column[0]]
        return scores if self.value == "score" else self.base_scores[index] - scores

    def heatmap(
        self, target: int | str | None = None, *, reduce: str = "mean", upsample: str | None = None
    ) -> npt.NDArray[np.float32]:
        """float32 [H, W]: with ``reduce`` "mean", the mean over the windows that cover a pixel of their values.

            M[y, x] = sum of v_p over {p : (y, x) in box p} / #{p : (y, x) in box p}

        with v_p = base score - score under window p: positive supports the class (Captum's formula). "sum" does not
        divide. "none" gives the grid of v_p itself, [n_y, n_x]; with ``upsample`` "nearest", "bilinear" or "bicubic",
        resampled to [H, W]. NaN where no window lies, and outside of a region of interest.

        Args:
            target: an index or a label; the explained class when None.
            reduce: see above.
            upsample: see above.

        Raises:
            OcclusionError: the class's scores were not kept, or there is no such class.
            ValueError: another ``reduce`` or ``upsample``.
        """
        return make_map(self.values(target), self.windows, reduce, upsample)

    @property
    def meta(self) -> dict[str, Any]:
        """What was asked and how it was found, ready for JSON."""
        windows, check = self.windows, self.check
        return {
            **self._answer(),
            "patch_size": windows.patch,
            "stride": windows.stride,
            "edge": windows.edge if windows.patch is not None else None,
            "roi": windows.roi,
            "windows": list(windows.shape),
            "regions": None if windows.labels is None else windows.labels.tolist(),
            "image_size": list(self.image_shape),
            "changed": self.changed,
            "scored": int(self.scored.sum()),
            "exact": self.exact,
            "frozen_gates": self.frozen_gates,
            "approximation": None if self.approximation.exact else write_settings(self.approximation),
            "check": None if check is None else asdict(check),
            "estimated_quality": dict(self.estimated_quality),
            "precision": self.precision,
            "resolution": self.resolution,
            "seconds": self.seconds,
        }

    @property
    def resolution(self) -> float:
        """Differences of scores below this mean nothing: rounding, in the scores' own unit.

        The measured error, or 1e-5 where that is larger, of the largest score; of probabilities 1 is the largest.
        """
        largest = float(np.abs(self.base_scores).max())
        measured = 0.0 if np.isnan(self.error) else self.error
        return max(ROUNDING, measured) * (1.0 if self.probabilities else largest)

    @property
    def probabilities(self) -> bool:
        """Whether all base scores lie in [0, 1]."""
        return bool((self.base_scores >= 0).all() and (self.base_scores <= 1).all())

    def patch_text(self) -> str:
        """The patch size, "16" or "16x24"."""
        return "" if self.windows.patch is None else extent(self.windows.patch)

    def setting(self) -> str:
        """The windows in a few words."""
        windows = self.windows
        if windows.patch is None or windows.stride is None:
            return f"{len(windows.boxes)} regions"
        edge = "" if windows.edge == "truncate" else f", {windows.edge}"
        part = "" if windows.roi is None else f", part {','.join(map(str, windows.roi))}"
        return f"patch {extent(windows.patch)}, stride {extent(windows.stride)}{edge}{part}"


def extent(pair: Sequence[int]) -> str:
    """HEIGHTxWIDTH, or one number of a square."""
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
