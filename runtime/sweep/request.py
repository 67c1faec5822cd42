"""A request: the class, the space of scores, the occluder and the windows that are asked of an image, as one value.

The image itself is not part of it, so that one request can be put to many images.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

from PIL import Image

from krypton_compile.contract import validate
from krypton_compile.contract.geometry import EDGES
from krypton_compile.contract.layouts import KINDS
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.bounds import parse_bound
from krypton_compile.runtime.approximation.settings import EXACT, Approximation, settings_for
from krypton_compile.runtime.by_value import ByValue
from krypton_compile.runtime.inputs.occluders import SAMPLES, check_samples, check_space
from krypton_compile.runtime.inputs.pictures import ArrayLayout
from krypton_compile.runtime.inputs.windows import Size, Strides
from krypton_compile.runtime.maps.score_space import ACTIVATIONS

Classes = Sequence[int] | Literal["target"] | None

VALUES = ("difference", "score")
TARGET: Literal["target"] = "target"
AUTO = "auto"


@dataclass(frozen=True, eq=False)
class Request(ByValue):
    """All that is asked of one image.

    It is checked once, when it is made; what depends on the model, such as classes and sizes, when it is put to one.
    Of models of signals and volumes, sizes are one number or one an axis, and what is for pictures alone is refused:
    named baselines, ``samples``, ``layout``, ``baseline_space``, label files and superpixels, approximate maps.

    Attributes:
        patch_size: the size of a window in pixels: one number, or a tuple (h, w).
        stride: the distance of neighbouring windows, likewise; a list gives each of ``patch_sizes`` its own.
        baseline: what shows inside a window: "black", "white", "gray", a number or one a channel, "mean",
            "patch-mean", "blur", "noise", "pda", a picture, or an array like the model's input (occluders.py). By
            default black for a picture, and 0 where the image is given as the model's input.
        target: the class to explain: an index, a label, "all", or the predicted one: "argmax" or None.
        classes: those whose scores to keep, which saves memory and time on large grids; "target" the explained one
            alone; all when None.
        approximation: what to leave out, nothing by default; or a bound on the quality as text, such as "ssim>=0.9",
            for what keeps it on the model that is asked (:meth:`OcclusionSession.settings_for`).
        patch_sizes: several sizes in place of one ``patch_size``, a list: one map each, and their mean.
        edge: "truncate" cuts the last window at the far edge (Captum), "valid" takes full windows only, "shift"
            moves the last one inside (MONAI).
        baseline_space: whether numbers are a "picture"'s, 0 to 255, or the model's "input"; by what the image is
            when None.
        samples: how many samples of baseline "pda" scores are averaged over.
        value: "difference", original score - occluded score (positive supports the class), or "score".
        activation: the space of scores: "none" the model's outputs, "pre" before its final Softmax or Sigmoid,
            "softmax" or "sigmoid" of its outputs.
        roi: (y0, x0, y1, x1), all starts, then all ends, half-open: only the windows that touch it are scored, and
            the map is NaN outside.
        segments: integer labels of the image's shape, a picture of labels, or "slic:N": one region a label instead
            of windows.
        batch_size: windows that are scored together, at most; "auto" for what suits the model. Results do not depend
            on it.
        layout: "HWC" or "CHW" of a uint8 array that could be either.

    Raises:
        OcclusionError: if a field has a value that no model could answer.
    """

    patch_size: Size = 16
    stride: Strides = 4
    baseline: object = None
    target: int | str | None = None
    classes: Classes = None
    approximation: Approximation | str = EXACT
    _: KW_ONLY
    patch_sizes: Sequence[Size] | None = None
    edge: str = "truncate"
    baseline_space: str | None = None
    samples: int = SAMPLES
    value: str = "difference"
    activation: str = "none"
    roi: Sequence[int] | None = None
    segments: object = None
    batch_size: int | str = AUTO
    layout: ArrayLayout | None = None

    def __post_init__(self) -> None:
        for name, sizes in (("patch_size", self.patch_size), ("patch_sizes", self.patch_sizes)):
            _check_sizes(name, sizes)
        if self.segments is not None and self.several:
            raise OcclusionError("segments and patch_sizes: expected regions or windows, one of them")
        for name, text, known in (
            ("value", self.value, VALUES),
            ("activation", self.activation, ACTIVATIONS),
            ("edge", self.edge, EDGES),
        ):
            validate.require_one_of(name, text, known)
        if self.baseline_space is not None:
            check_space(self.baseline_space)
        check_samples(self.samples)
        _check_approximation(self.approximation)
        if isinstance(self.classes, str) and self.classes != TARGET:
            raise OcclusionError(f"classes {self.classes!r}; expected a list of class indices, or {TARGET!r}")
        size = self.batch_size
        fits = validate.is_one_of(size, (AUTO,)) or validate.is_count(size)
        validate.require("batch_size", size, fits, f"{AUTO!r} or at least 1 window")

    @property
    def several(self) -> bool:
        """Whether a map of each of several sizes is wanted, and their mean."""
        return self.patch_sizes is not None

    @property
    def sizes(self) -> tuple[Size, ...]:
        """All patch sizes."""
        return (self.patch_size,) if self.patch_sizes is None else tuple(self.patch_sizes)

    @property
    def settings(self) -> Approximation:
        """What is left out; of a bound as text, what keeps it on a model that was never tuned."""
        asked = self.approximation
        return asked if isinstance(asked, Approximation) else settings_for(parse_bound(asked), None, ())

    def settled(self, tuned: Approximation | None, bounds: Sequence[str]) -> Request:
        """The request to a model that was ``tuned`` for ``bounds``: with settings in place of a bound as text."""
        if isinstance(self.approximation, Approximation):
            return self
        return replace(self, approximation=settings_for(parse_bound(self.approximation), tuned, bounds))

    @property
    def windows_at_once(self) -> int | None:
        """The number of windows that are scored together; None where the model decides."""
        return None if self.batch_size == AUTO else int(self.batch_size)

    def require_one_size(self) -> None:
        """Refuse a request of several sizes.

        Raises:
            OcclusionError: if ``patch_sizes`` is given.
        """
        if self.several:
            raise OcclusionError("patch_sizes: expected one size, as patch_size; explain() takes several")

    def require_whole_windows(self, doing: str) -> None:
        """Refuse a request that scores a part of the windows only.

        Raises:
            OcclusionError: if ``approximation`` samples the windows or drills down.
        """
        if self.settings.sampling is not None or self.settings.drill_down is not None:
            raise OcclusionError(
                f"approximation: {doing} scores every window; give tau, eps and precision alone, or use explain()"
            )

    def require_pictures(self, axes: int) -> None:
        """Refuse what is for pictures alone, where the model's input has another number of spatial axes.

        Raises:
            OcclusionError: if such a field is given; the message names it.
        """
        if axes == 2:
            return
        segments = self.segments if isinstance(self.segments, str | os.PathLike | Image.Image) else None
        asked = {
            "approximation": None if self.settings.exact else self.settings,
            "baseline_space": self.baseline_space,
            "samples": None if self.samples == SAMPLES else self.samples,
            "segments": segments,
            "layout": self.layout,
        }
        names = [name for name, value in asked.items() if value is not None]
        if names:
            more = "; give segments as an array of labels" if segments is not None else ""
            raise OcclusionError(
                f"{', '.join(names)}: for models of pictures; the model's input is a {KINDS[axes]}{more}"
            )


def _check_approximation(asked: object) -> None:
    if isinstance(asked, Approximation):
        return
    if not isinstance(asked, str):
        raise OcclusionError(
            f"approximation {asked!r}: expected an Approximation, or a bound on the quality such as 'ssim>=0.9'"
        )
    try:
        parse_bound(asked)
    except ValueError as error:
        raise OcclusionError(f"approximation: {error}") from error


def _check_sizes(name: str, sizes: object) -> None:
    """Tell a tuple, one window of as many axes, from several sizes."""
    if name == "patch_size" and isinstance(sizes, list):
        raise OcclusionError(
            f"patch_size {sizes!r}: a list of sizes is given as patch_sizes={sizes!r}; one window of several axes is a "
            f"tuple, patch_size={tuple(sizes)!r}"
        )
    if name == "patch_sizes" and sizes is not None and (not isinstance(sizes, list | tuple) or not sizes):
        raise OcclusionError(f"patch_sizes {sizes!r}: expected a list of sizes, such as [8, 16, (16, 32)]")
