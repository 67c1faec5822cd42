"""Explanations as files: the picture, the map and the result, all of them or none."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from krypton_compile.disk.write import write_all
from krypton_compile.runtime.maps.draw import Drawable, draw_figure
from krypton_compile.runtime.maps.heatmap import upsampling

ENDINGS = ("_overlay.png", "_heatmap.npy", "_result.json")


class Savable(Drawable, Protocol):
    """The members of an explanation that its files need; :class:`Answer` documents each."""

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The classes whose scores were kept."""

    @property
    def every(self) -> bool:
        """Whether all classes were asked for."""

    @property
    def meta(self) -> dict[str, Any]:
        """The request and the way to the result."""


def make_files(
    explanation: Savable,
    prefix: Path,
    title: str = "",
    reduce: str = "mean",
    upsample: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[Path, bytes]:
    """Make the contents of the files that belong to ``prefix``.

    Raises:
        OcclusionError: if the explanation has no picture.
        ValueError: if ``reduce`` or ``upsample`` is unknown.
    """
    how = upsampling(reduce, upsample)
    picture = draw_figure(explanation, title, reduce, how)
    chosen = explanation.classes.tolist() if explanation.every else [explanation.target]
    maps = [explanation.heatmap(index, reduce=reduce, upsample=how) for index in chosen]
    data = io.BytesIO()
    np.save(data, np.stack(maps) if explanation.every else maps[0])
    result = {**explanation.meta, "reduce": reduce, "upsample": how, **(facts or {})}
    text = json.dumps(_finite(result), indent=2, allow_nan=False) + "\n"
    contents = (picture, data.getvalue(), text.encode())
    return {prefix.with_name(prefix.name + end): what for end, what in zip(ENDINGS, contents, strict=True)}


def _finite(value: Any) -> Any:
    """The value with null for every number that is not finite, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save_files(
    explanation: Savable, prefix: Path, title: str = "", reduce: str = "mean", upsample: str | None = None
) -> tuple[Path, ...]:
    """Write the files that belong to ``prefix``, all of them or none; returns their paths.

    Raises:
        OcclusionError: if the explanation has no picture.
        OSError: if a file cannot be written.
    """
    contents = make_files(explanation, prefix, title, reduce, upsample)
    write_all(contents)
    return tuple(contents)
