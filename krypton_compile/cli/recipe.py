"""The preprocessing that a command line asks for."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from krypton_compile.cli.named import of_option
from krypton_compile.contract.preprocessing import UNKNOWN_PREPROCESSING, Preprocessing
from krypton_compile.contract.presets import read_configuration, read_recipe

_FIELDS = ("scale", "mean", "std", "resize", "short_side", "interpolation")


def asked_preprocessing(options: argparse.Namespace) -> Preprocessing | None:
    """Read the preprocessing options, or None where none is given; errors are those of :func:`read_preprocessing`."""
    given = any(getattr(options, name) is not None for name in (*_FIELDS, "color", "preprocess"))
    return read_preprocessing(options) if given else None


def _beside(model: Path) -> str:
    """A hint at configurations beside the model that say how pictures become its input."""
    for name in ("preprocessor_config.json", "processor_config.json", "config.json"):
        path = model.parent / name
        if path.is_file():
            try:
                read_configuration(path)
            except (OSError, ValueError):
                continue
            return f". Beside the model there is one: --preprocess {path}"
    return ""


def read_preprocessing(options: argparse.Namespace, stored: Preprocessing | None = None) -> Preprocessing:
    """Read the preprocessing options; what they leave open is ``stored``'s, the model's.

    Raises:
        OSError: if ``--preprocess`` names a file that does not exist.
        ValueError: if the options give no usable preprocessing, or there are none and nothing is stored; sizes alone
            tell no numbers.
    """
    changes: dict[str, Any] = {name: getattr(options, name) for name in _FIELDS if getattr(options, name) is not None}
    if options.color is not None:
        changes["channel_order"] = options.color.upper()
    base = stored
    if options.preprocess is not None:
        with of_option("--preprocess", options.preprocess):
            base = read_recipe(options.preprocess)
    if base is None:
        if not changes.keys() & {"scale", "mean", "std"}:
            raise ValueError(f"{UNKNOWN_PREPROCESSING}{_beside(options.model)}")
        base = Preprocessing()
    if changes.get("resize", "crop") != "crop":
        changes.setdefault("short_side", None)
    if "resize" in changes:
        changes.update(scaled=None, share=None)
    return dataclasses.replace(base, **changes)
