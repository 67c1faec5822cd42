"""Answer: the part that explanations of one grid and of several sizes share, with its table, pictures and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.by_value import ByValue
from krypton_compile.runtime.inputs.targets import ALL, resolve_target
from krypton_compile.runtime.maps.draw import draw_figure, draw_overlay
from krypton_compile.runtime.maps.save import make_files, save_files
from krypton_compile.runtime.maps.score_space import SPACES
from krypton_compile.runtime.maps.table import as_html, as_text

SHOWN = 5
"""Classes drawn where all were asked for: those with the largest scores."""

Array = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Subject(ByValue):
    """The subject of an explanation, whatever the windows.

    Attributes:
        base_scores: float32 [K], the output for the image itself, of all classes.
        classes: int64 [K'], those whose scores were kept.
        target: the class that a map is of unless told otherwise; ``every``: all of them were asked for.
        value: "difference", base score - score under the window, or "score", the latter.
        activation: the space of scores (score_space.py).
        occluder: the name of what showed in the windows.
        picture: uint8 RGB [H, W, 3], the image to draw maps over; None of a signal or volume.
        labels: names of the classes, or None.
        preprocessing: how pictures became the input, or None where that is not known.
        model_sha256: of the file that was compiled, or None.
    """

    base_scores: Array
    classes: npt.NDArray[np.int64]
    target: int
    every: bool
    value: str
    activation: str
    occluder: str
    picture: Picture | None
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing | None
    model_sha256: str | None


@dataclass(frozen=True, repr=False, eq=False)
class Answer(ByValue):
    """An explanation: it prints as a table, shows in a notebook, and is drawn and saved where it has a picture.

    Two of them are equal (==) if all that they hold is, but for the time that they took.
    """

    subject: Subject

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The sizes of the input's spatial axes: (L,), (H, W) or (D, H, W)."""
        raise NotImplementedError

    @property
    def exact(self) -> bool:
        """Whether every window was scored and nothing left out."""
        raise NotImplementedError

    @property
    def meta(self) -> dict[str, Any]:
        """The request and the way to the result, ready for JSON."""
        raise NotImplementedError

    def heatmap(self, target: int | str | None = None, *, reduce: str = "mean", upsample: str | None = None) -> Array:
        """The map of a class, float32 [H, W]."""
        raise NotImplementedError

    def setting(self) -> str:
        """The windows in a few words."""
        raise NotImplementedError

    def facts(self) -> list[tuple[str, str]]:
        """The facts worth telling, a name and a text each."""
        raise NotImplementedError

    @property
    def base_scores(self) -> Array:
        """float32 [K], the output for the image itself, of all classes."""
        return self.subject.base_scores

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """int64 [K'], the classes whose scores were kept."""
        return self.subject.classes

    @property
    def target(self) -> int:
        """The class that a map is of unless told otherwise."""
        return self.subject.target

    @property
    def every(self) -> bool:
        """Whether all classes were asked for."""
        return self.subject.every

    @property
    def value(self) -> str:
        """The kind of a window's value: "difference", base score - score under it, or "score", the latter."""
        return self.subject.value

    @property
    def activation(self) -> str:
        """The space of scores (score_space.py)."""
        return self.subject.activation

    @property
    def occluder(self) -> str:
        """The name of what showed in the windows."""
        return self.subject.occluder

    @property
    def picture(self) -> Picture | None:
        """uint8 RGB [H, W, 3], the image that maps are drawn over; None of a signal or volume."""
        return self.subject.picture

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes, or None."""
        return self.subject.labels

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The way from pictures to the model's input, or None where that is not known."""
        return self.subject.preprocessing

    @property
    def model_sha256(self) -> str | None:
        """The hash of the file that was compiled, or None."""
        return self.subject.model_sha256

    def class_index(self, target: int | str | None = None) -> int:
        """The class that an index or a label means; the explained one when None.

        Raises:
            OcclusionError: if ``target`` names no class, or all of them.
        """
        if target is None:
            return self.target
        if validate.is_one_of(target, (ALL,)):
            raise OcclusionError("target 'all': a map is of one class; take them one by one, of .classes")
        return resolve_target(target, self.base_scores, self.labels).index

    def class_name(self, index: int | None = None) -> str:
        """The class's label, or "class 7" where the model's classes have no names; the explained one when None."""
        at = self.target if index is None else index
        return f"class {at}" if self.labels is None else self.labels[at]

    def panels(self, reduce: str = "mean", upsample: str | None = None) -> list[tuple[str, Array]]:
        """The maps that a figure shows, a title each: the explained class's, or those of the largest scores."""
        if not self.every:
            return [("", self.heatmap(reduce=reduce, upsample=upsample))]
        order = self.classes[np.argsort(-self.base_scores[self.classes], kind="stable")][:SHOWN].tolist()
        titles = {index: f"{self.class_name(index)}, {self.base_scores[index]:.3g}" for index in order}
        return [(title, self.heatmap(at, reduce=reduce, upsample=upsample)) for at, title in titles.items()]

    def overlay(
        self, target: int | str | None = None, *, alpha: float | None = None, cmap: str | None = None
    ) -> Picture:
        """uint8 RGB [H, W, 3]: the image in grey with the map's colours over it (figure.py); ``alpha`` the opacity.

        Raises:
            OcclusionError: if the input is a signal or a volume.
        """
        return draw_overlay(self, target, alpha, cmap)

    def figure(self, title: str = "", *, reduce: str = "mean", upsample: str | None = None) -> bytes:
        """A PNG file: the image beside its maps, with colour bars, the class, its score and the settings.

        Raises:
            OcclusionError: if the input is a signal or a volume.
        """
        return draw_figure(self, title, reduce, upsample)

    def files(
        self,
        prefix: Path,
        title: str = "",
        *,
        reduce: str = "mean",
        upsample: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> dict[Path, bytes]:
        """The files that belong to ``prefix`` and what stands in them; ``facts`` go into the result's JSON too.

        Raises:
            OcclusionError: if the input is a signal or a volume.
        """
        return make_files(self, prefix, title, reduce, upsample, facts)

    def save(
        self, prefix: str | Path, title: str = "", *, reduce: str = "mean", upsample: str | None = None
    ) -> tuple[Path, ...]:
        """Write PREFIX_overlay.png, PREFIX_heatmap.npy and PREFIX_result.json, all of them or none; returns the paths.

        The map is float32 [H, W]; where all classes were asked for, [K', H, W].

        Raises:
            OcclusionError: if the input is a signal or a volume, or ``prefix`` is no path.
            OSError: if a file cannot be written.
        """
        named = validate.is_path(prefix) and bool(Path(prefix).name)
        validate.require("prefix", prefix, named, "a path whose last part is the name that the files begin with")
        return save_files(self, Path(prefix), title, reduce, upsample)

    def common_meta(self) -> dict[str, Any]:
        """The part of ``meta`` that does not depend on the windows."""
        subject = self.subject
        return {
            "model_sha256": subject.model_sha256,
            "target": self.target,
            "label": None if self.labels is None else self.labels[self.target],
            "base_score": float(self.base_scores[self.target]),
            "predicted": int(self.base_scores.argmax()),
            "classes": self.classes.tolist() if self.every else None,
            "value": subject.value,
            "activation": subject.activation,
            "baseline": subject.occluder,
            "preprocessing": None if subject.preprocessing is None else asdict(subject.preprocessing),
        }

    def common_facts(self) -> list[tuple[str, str]]:
        """The part of ``facts`` that does not depend on the windows: the class, and what showed in the windows."""
        predicted, space = int(self.base_scores.argmax()), SPACES[self.activation]
        rows = [("explained", f"{self.class_name()}, {space} {self.base_scores[self.target]:.4g}")]
        if predicted != self.target:
            rows.append(("predicted", f"{self.class_name(predicted)}, {space} {self.base_scores[predicted]:.4g}"))
        return [*rows, ("hidden by", self.occluder)]

    def _repr_png_(self) -> bytes | None:
        return None if self.picture is None else self.figure()

    def _repr_html_(self) -> str:
        return as_html(self.facts(), self._repr_png_())

    def __str__(self) -> str:
        """A short table."""
        return as_text(self.facts())

    def __repr__(self) -> str:
        """One line; the arrays would fill a screen."""
        score = f"{self.base_scores[self.target]:.4g}"
        kind = "exact" if self.exact else "approximate"
        return f"<{type(self).__name__} of {self.class_name()}, {score}: {self.setting()}, {self.occluder}, {kind}>"
