"""What explanations of one grid and of several sizes have in common: a class, a picture, and files to keep."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import OcclusionError
from krypton_compile.files.write_all import write_all
from krypton_compile.runtime.inputs.targets import ALL, resolve_target
from krypton_compile.runtime.maps.heatmap import upsampling

SHOWN = 5
"""Classes drawn where all were asked for: those with the largest scores."""
ENDINGS = ("_overlay.png", "_heatmap.npy", "_result.json")

Array = npt.NDArray[np.float32]


class Pictured:
    """An explanation that can be drawn and saved. Notebooks show it as its picture."""

    base_scores: Array
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

    @property
    def meta(self) -> dict[str, Any]:
        """What was asked and how it was found, ready for JSON."""
        raise NotImplementedError

    @property
    def exact(self) -> bool:
        """Whether nothing was left out."""
        raise NotImplementedError

    def heatmap(self, target: int | str | None = None, *, reduce: str = "mean", upsample: str | None = None) -> Array:
        """float32 [H, W], the map of a class."""
        raise NotImplementedError

    def setting(self) -> str:
        """The windows in a few words."""
        raise NotImplementedError

    def class_index(self, target: int | str | None = None) -> int:
        """The class that an index or a label means; the explained one when None.

        Raises:
            OcclusionError: none.
        """
        if target is None:
            return self.target
        if target == ALL:
            raise OcclusionError("target 'all': a map is of one class; take them one by one, of .classes")
        return resolve_target(target, self.base_scores, self.labels).index

    def class_name(self, index: int | None = None) -> str:
        """The class's label, or "class 7" where the model's classes have no names; the explained one when None."""
        at = self.target if index is None else index
        return f"class {at}" if self.labels is None else self.labels[at]

    def overlay(
        self, target: int | str | None = None, *, alpha: float | None = None, cmap: str | None = None
    ) -> npt.NDArray[np.uint8]:
        """uint8 RGB [H, W, 3]: the image in grey with the map's colours over it (figure.py); ``alpha`` the opacity."""
        from krypton_compile.runtime.maps.figure import ALPHA, overlay

        opacity = ALPHA if alpha is None else alpha
        return overlay(self.picture, self.heatmap(target), opacity, cmap, signed=self.value == "difference")

    def figure(self, title: str = "", *, reduce: str = "mean", upsample: str | None = None) -> bytes:
        """A PNG file: the image beside its maps, with colour bars, the class, its score and the settings."""
        from krypton_compile.runtime.maps.figure import figure_png

        score = f"{SPACES[self.activation]} {self.base_scores[self.target]:.4g}"
        lines = [
            *([title.encode("utf-8", "replace").decode()] if title else []),
            f"{self.class_name()}, {score}",
            f"{self.setting()}, {self.occluder}, {'exact' if self.exact else 'approximate'}",
        ]
        label = f"{SPACES[self.activation]} {'drop ' if self.value == 'difference' else ''}when hidden"
        label += ", summed over windows" if reduce == "sum" else ""
        panels = self._panels(reduce, upsample)
        return figure_png(self.picture, panels, lines, label=label, signed=self.value == "difference")

    def files(
        self,
        prefix: Path,
        title: str = "",
        *,
        reduce: str = "mean",
        upsample: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> dict[Path, bytes]:
        """The files that belong to ``prefix`` and what stands in them; ``facts`` go into the result's JSON too."""
        upsample = upsampling(reduce, upsample)
        chosen = self.classes.tolist() if self.every else [self.target]
        maps = [self.heatmap(index, reduce=reduce, upsample=upsample) for index in chosen]
        data = io.BytesIO()
        np.save(data, np.stack(maps) if self.every else maps[0])
        result = {**self.meta, "reduce": reduce, "upsample": upsample, **(facts or {})}
        contents = (
            self.figure(title, reduce=reduce, upsample=upsample),
            data.getvalue(),
            (json.dumps(result, indent=2, allow_nan=False) + "\n").encode(),
        )
        return {prefix.with_name(prefix.name + end): what for end, what in zip(ENDINGS, contents, strict=True)}

    def save(
        self, prefix: str | Path, title: str = "", *, reduce: str = "mean", upsample: str | None = None
    ) -> tuple[Path, ...]:
        """Writes PREFIX_overlay.png, PREFIX_heatmap.npy and PREFIX_result.json, all of them or none; returns the paths.

        The map is float32 [H, W]; where all classes were asked for, [K', H, W].

        Raises:
            OSError: they cannot be written.
        """
        contents = self.files(Path(prefix), title, reduce=reduce, upsample=upsample)
        write_all(contents)
        return tuple(contents)

    def _panels(self, reduce: str, upsample: str | None) -> list[tuple[str, Array]]:
        if not self.every:
            return [("", self.heatmap(reduce=reduce, upsample=upsample))]
        order = self.classes[np.argsort(-self.base_scores[self.classes], kind="stable")][:SHOWN].tolist()
        return [
            (
                f"{self.class_name(index)}, {self.base_scores[index]:.3g}",
                self.heatmap(index, reduce=reduce, upsample=upsample),
            )
            for index in order
        ]

    def _answer(self) -> dict[str, Any]:
        """The part of ``meta`` that does not depend on the windows."""
        return {
            "model_sha256": self.model_sha256,
            "target": self.target,
            "label": None if self.labels is None else self.labels[self.target],
            "base_score": float(self.base_scores[self.target]),
            "predicted": int(self.base_scores.argmax()),
            "classes": self.classes.tolist() if self.every else None,
            "value": self.value,
            "activation": self.activation,
            "baseline": self.occluder,
            "preprocessing": None if self.preprocessing is None else asdict(self.preprocessing),
        }

    def _repr_png_(self) -> bytes:
        return self.figure()

    def __repr__(self) -> str:
        """One line; the arrays would fill a screen."""
        score = f"{self.base_scores[self.target]:.4g}"
        kind = "exact" if self.exact else "approximate"
        return f"<{type(self).__name__} of {self.class_name()}, {score}: {self.setting()}, {self.occluder}, {kind}>"


SPACES = {"none": "score", "pre": "logit", "softmax": "softmax", "sigmoid": "sigmoid"}
