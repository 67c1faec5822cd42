"""The result of an explanation: the scores of every window, and the maps they make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.exactness import ROUNDING
from krypton_compile.contract.geometry import Boxes
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.settings import Approximation, write_settings
from krypton_compile.runtime.inputs.windows import Windows
from krypton_compile.runtime.maps.answer import Answer
from krypton_compile.runtime.maps.heatmap import count_windows, make_map

Array = npt.NDArray[np.float32]

CONFIDENCE = 0.95
"""The confidence with which a check tells how many windows may be off by more than those that it saw."""


@dataclass(frozen=True)
class Check:
    """The error of an approximate map on ``windows`` of it, drawn at random and scored exactly.

    They are drawn from the ``of`` windows that may be off: those that were interpolated, or all that change a pixel
    where the thresholds leave something out. ``largest`` and ``mean`` are absolute differences of the target's score
    on the windows that were drawn; other windows may be off by more, see ``unseen``. ``tau_saves`` is the share of the
    time that the propagation threshold saves on these windows, ``eps_saves`` what the value threshold saves of the
    rest.
    """

    windows: int
    of: int
    largest: float
    mean: float
    tau_saves: float = field(compare=False)
    eps_saves: float = field(compare=False)

    @property
    def unseen(self) -> float:
        """The share of the windows that may be off by more than ``largest``, at 95 % confidence (Wilks 1941)."""
        return 0.0 if self.windows == self.of else 1 - (1 - CONFIDENCE) ** (1 / self.windows)

    def describe(self) -> str:
        """The check in a line."""
        if not self.windows:
            return "no window is interpolated or cut"
        off = f"off by {self.mean:.2g} in the mean, {self.largest:.2g} at most"
        text = f"{off}, on {self.windows} random windows of {self.of}, scored exactly"
        if not self.unseen:
            return text
        confidence = f"{100 * CONFIDENCE:.0f} % confidence"
        return f"{text}; up to {100 * self.unseen:.0f} % of them may be off by more ({confidence})"


@dataclass(frozen=True, repr=False, eq=False)
class Explanation(Answer):
    """Scores of an occlusion grid, or of the regions of a label map, over a signal, a picture or a volume.

    What is explained, such as ``target``, ``base_scores`` and ``picture``, is told by :class:`Answer`.

    Attributes:
        subject: what is explained, whatever the windows.
        scores: float32 [n_y, n_x, K'], the output under each window, of ``classes``; [n, K'] of a signal,
            [n_z, n_y, n_x, K'] of a volume; of regions [1, labels, K'].
        windows: where the image was hidden.
        changed: share of the windows that change a pixel; the others keep the base scores.
        precision: what convolutions might multiply in; "bfloat16" is of reduced precision, the others exact.
        error: measured on a few of these windows against the model itself, in units of the largest logit; NaN where no
            window was scored (self_check.py).
        seconds: of base pass, windows and check together.
        frozen_gates: how many gates keep the values of the whole image (``krypton-compile --frozen-gates``).
        approximation: what was left out.
        scored: bool [n_y, n_x], the windows that were scored; the others are interpolated.
        check: of an approximate map, else None.
        estimated_quality: of a sampled or progressive map, what its measures are about, against the exact one, by how
            much the last windows still changed (sampling.py); as often better as worse. Empty where not known.
        estimated_limit: the same, as bad as it gets on all but a few of 100 maps.
        every_window: why every window was scored though a bound was asked for; empty where not.
        estimated_error: of a progressive map: root of the mean square by which the windows scored last differ from what
            they were interpolated to be; 0 at the end, NaN where there was nothing to compare with.
    """

    scores: Array
    windows: Windows
    changed: float
    precision: str
    error: float
    seconds: float = field(compare=False)
    frozen_gates: int
    approximation: Approximation
    scored: npt.NDArray[np.bool_]
    check: Check | None = None
    estimated_quality: Mapping[str, float] = field(default_factory=dict)
    estimated_limit: Mapping[str, float] = field(default_factory=dict)
    every_window: str = ""
    estimated_error: float = 0.0

    @property
    def boxes(self) -> Boxes:
        """int32 [n_y * n_x, 4], the windows as (y0, x0, h, w); [P, 2n] of n spatial axes."""
        return self.windows.boxes

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The sizes of the input's spatial axes: (L,), (H, W) or (D, H, W)."""
        return self.windows.image_shape

    @property
    def exact(self) -> bool:
        """Whether every window was scored and nothing left out."""
        return self.approximation.exact and not self.frozen_gates and bool(self.scored.all())

    @property
    def flip_map(self) -> npt.NDArray[np.int64]:
        """int64 [n_y, n_x]: the class with the largest score under each window, among ``classes``."""
        return np.asarray(self.classes[self.scores.argmax(axis=-1)])

    @property
    def coverage(self) -> npt.NDArray[np.int64]:
        """int64 [H, W]: how many windows cover each pixel."""
        return count_windows(self.windows)

    def values(self, target: int | str | None = None) -> Array:
        """float32 [n_y, n_x]: what each window is worth to a class; of value "difference", base score - its score.

        Raises:
            OcclusionError: if ``target`` names no class, or one whose scores were not kept.
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
        resampled to [H, W]. NaN where no window lies, and outside of a region of interest. Of a signal or volume the
        map has the input's spatial shape likewise, but there is no upsampling.

        Args:
            target: an index or a label; the explained class when None.
            reduce: "mean", "sum" or "none", see above.
            upsample: the interpolation of the grid that "none" gives, see above.

        Raises:
            OcclusionError: if ``target`` names no class, or one whose scores were not kept.
            ValueError: if ``reduce`` or ``upsample`` is unknown, or they do not go together.
        """
        return make_map(self.values(target), self.windows, reduce, upsample)

    @property
    def meta(self) -> dict[str, Any]:
        """The request and the way to the result, ready for JSON."""
        windows, check = self.windows, self.check
        return {
            **self.common_meta(),
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
            "check": None if check is None else {**asdict(check), "unseen": check.unseen},
            "estimated_quality": dict(self.estimated_quality),
            "estimated_limit": dict(self.estimated_limit),
            "every_window": self.every_window or None,
            "precision": self.precision,
            "resolution": self.resolution,
            "seconds": self.seconds,
        }

    @property
    def resolution(self) -> float:
        """The numerical resolution of scores, in their own unit: smaller differences are rounding.

        The measured error, or 1e-5 where that is larger, of the largest score; of probabilities 1 is the largest.
        """
        measured = 0.0 if np.isnan(self.error) else self.error
        return max(ROUNDING, measured) * (1.0 if self.probabilities else self.largest_score)

    @property
    def largest_score(self) -> float:
        """The largest base score, whatever its sign, of the classes that are finite."""
        return float(np.abs(self.base_scores[np.isfinite(self.base_scores)]).max(initial=0))

    @property
    def probabilities(self) -> bool:
        """Whether all base scores lie in [0, 1]."""
        finite = self.base_scores[~np.isnan(self.base_scores)]
        return bool((finite >= 0).all() and (finite <= 1).all())

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

    def facts(self) -> list[tuple[str, str]]:
        """The facts worth telling, a name and a text each."""
        rows = [*self.common_facts(), ("windows", self.windows.describe())]
        column = np.flatnonzero(self.classes == self.target)
        if len(column):
            values = self.values()
            kind = "score" if self.value == "score" else "score drop"
            rows.append(("under windows", f"{kind} {values.min():.4g} to {values.max():.4g}"))
        return [*rows, ("result", self._worth()), ("time", f"{self.seconds:.2f} s")]

    def _worth(self) -> str:
        """Tell that the map is exact, or what was left out and by how much it is off."""
        if self.exact:
            return f"exact ({self.every_window})" if self.every_window else "exact"
        parts = [] if self.approximation.exact else [self.approximation.describe()]
        if self.frozen_gates:
            parts.append(f"{self.frozen_gates} frozen gates")
        if not self.scored.all():
            parts.append(f"{int(self.scored.sum())} of {self.scored.size} windows scored, the others interpolated")
        if self.check is not None:
            parts.append(self.check.describe())
        elif math.isfinite(self.estimated_error) and self.estimated_error > 0:
            parts.append(f"off by about {self.estimated_error:.2g}")
        return "; ".join([f"approximate: {parts[0]}", *parts[1:]])


def extent(sizes: Sequence[int]) -> str:
    """HEIGHTxWIDTH, or one number where all sizes are the same."""
    return str(sizes[0]) if len(set(sizes)) == 1 else "x".join(map(str, sizes))


FieldExplanation = Explanation
"""An explanation of a signal or volume: its name before one type held them all."""
