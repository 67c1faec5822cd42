"""The preprocessing that a word on a command line names: a preset, or a file."""

from __future__ import annotations

from pathlib import Path

from krypton_compile.contract.huggingface import read_preprocessor_config
from krypton_compile.contract.preprocessing import PRESETS, Preprocessing


def read_recipe(name: str) -> Preprocessing:
    """Look up a preprocessing preset by name or file: one of PRESETS, or a preprocessor_config.json.

    Raises:
        OSError: if ``name`` is a file that cannot be read.
        ValueError: if ``name`` is neither a preset nor such a file.
    """
    if name in PRESETS:
        return PRESETS[name]
    if not name.endswith(".json"):
        raise ValueError(f"preprocessing {name!r}; expected {', '.join(PRESETS)} or a preprocessor_config.json")
    return read_preprocessor_config(Path(name))
