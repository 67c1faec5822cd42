"""The preprocessing that a command line asks for."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from krypton_compile.contract.preprocessing import UNKNOWN_PREPROCESSING, Preprocessing
from krypton_compile.contract.presets import read_recipe


def read_preprocessing(options: argparse.Namespace, stored: Preprocessing | None = None) -> Preprocessing:
    """Read the preprocessing options; what they leave open is ``stored``'s, the model's.

    Raises:
        OSError: if ``--preprocess`` names a file that does not exist.
        ValueError: if the options give no usable preprocessing, or there are none and nothing is stored; sizes alone
            tell no numbers.
    """
    names = ("scale", "mean", "std", "resize", "short_side", "interpolation")
    changes: dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.color is not None:
        changes["channel_order"] = options.color.upper()
    base = stored if options.preprocess is None else read_recipe(options.preprocess)
    if base is None:
        if not changes.keys() & {"scale", "mean", "std"}:
            raise ValueError(UNKNOWN_PREPROCESSING)
        base = Preprocessing()
    if changes.get("resize", "crop") != "crop":
        changes.setdefault("short_side", None)
    return dataclasses.replace(base, **changes)
