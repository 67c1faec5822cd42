"""Explanations as pictures; signals and volumes have none, and are refused."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.contract.layouts import KINDS
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.maps.score_space import SPACES

Array = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


class Drawable(Protocol):
    """The members of an explanation that a drawing needs; :class:`Answer` documents each."""

    @property
    def picture(self) -> Picture | None:
        """The image to draw over, or None."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The sizes of the input's spatial axes."""

    @property
    def base_scores(self) -> Array:
        """The output for the image itself."""

    @property
    def target(self) -> int:
        """The explained class."""

    @property
    def value(self) -> str:
        """The kind of a window's value."""

    @property
    def activation(self) -> str:
        """The space of scores."""

    @property
    def occluder(self) -> str:
        """The name of what showed in the windows."""

    @property
    def exact(self) -> bool:
        """Whether nothing was left out."""

    def class_name(self, index: int | None = None) -> str:
        """The name of a class."""

    def setting(self) -> str:
        """The windows in a few words."""

    def heatmap(self, target: int | str | None = None, *, reduce: str = "mean", upsample: str | None = None) -> Array:
        """The map of a class."""

    def panels(self, reduce: str = "mean", upsample: str | None = None) -> list[tuple[str, Array]]:
        """The maps of a figure, a title each."""


def draw_overlay(
    explanation: Drawable, target: int | str | None = None, alpha: float | None = None, cmap: str | None = None
) -> Picture:
    """Draw a class's map over the image: uint8 RGB [H, W, 3].

    Raises:
        OcclusionError: if the explanation has no picture, or ``target`` names no class of it.
        ValueError: if ``alpha`` is not between 0 and 1, or there is no colour map ``cmap``.
    """
    from krypton_compile.runtime.maps.figure import ALPHA, overlay  # matplotlib takes half a second to import

    picture = picture_of(explanation)
    opacity = ALPHA if alpha is None else alpha
    return overlay(picture, explanation.heatmap(target), opacity, cmap, signed=explanation.value == "difference")


def draw_figure(explanation: Drawable, title: str = "", reduce: str = "mean", upsample: str | None = None) -> bytes:
    """Draw the image beside its maps, with colour bars, the class, its score and the settings: a PNG file.

    Raises:
        OcclusionError: if the explanation has no picture.
    """
    from krypton_compile.runtime.maps.figure import figure_png  # likewise

    validate.require("title", title, isinstance(title, str), "a text")
    picture, space = picture_of(explanation), SPACES[explanation.activation]
    signed = explanation.value == "difference"
    lines = [
        *([title.encode("utf-8", "replace").decode()] if title else []),
        f"{explanation.class_name()}, {space} {explanation.base_scores[explanation.target]:.4g}",
        f"{explanation.setting()}, {explanation.occluder}, {'exact' if explanation.exact else 'approximate'}",
    ]
    label = f"{space} {'drop ' if signed else ''}when hidden"
    label += ", summed over windows" if validate.is_one_of(reduce, ("sum",)) else ""
    return figure_png(picture, explanation.panels(reduce, upsample), lines, label=label, signed=signed)


def picture_of(explanation: Drawable) -> Picture:
    """The picture to draw an explanation's maps over.

    Raises:
        OcclusionError: if it has none.
    """
    if explanation.picture is None:
        shape = explanation.image_shape
        raise OcclusionError(
            f"a {KINDS[len(shape)]} is not drawn: take heatmap(), an array of {shape}, and save or plot it as you need"
        )
    return explanation.picture
