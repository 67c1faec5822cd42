"""How each model wants its pictures: the manifest's ``preprocessing``, carried out by the product's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.runtime.inputs.prepare import prepare
from models.fetch import MANIFEST


def _recipe(table: dict[str, Any]) -> Preprocessing:
    options: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return Preprocessing(**options)


_MODELS = {name: entry for name, entry in MANIFEST.items() if "preprocessing" in entry}

RECIPES: dict[str, Preprocessing] = {name: _recipe(entry["preprocessing"]) for name, entry in _MODELS.items()}
SIZES: dict[str, tuple[int, int]] = {name: tuple(entry["input"]["size"]) for name, entry in _MODELS.items()}
LAYOUTS: dict[str, str] = {name: entry["input"]["layout"] for name, entry in _MODELS.items()}


def load(name: str, path: str | Path) -> npt.NDArray[np.float32]:
    """The picture as input of the manifest's model ``name``, float32 [1, H, W, 3] or [1, 3, H, W].

    Raises:
        OSError, ValueError: the file is missing or no picture.
    """
    return prepare(path, RECIPES[name], SIZES[name], layout=LAYOUTS[name]).tensor
