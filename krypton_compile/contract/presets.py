"""The preprocessing that a word on a command line names: a preset, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from krypton_compile.contract.huggingface import is_processor, read_processor
from krypton_compile.contract.preprocessing import PRESETS, Preprocessing
from krypton_compile.contract.timm import is_timm, read_timm
from krypton_compile.disk.read import parse_json, read_text
from krypton_compile.errors import FileError


def read_recipe(name: str) -> Preprocessing:
    """Look up a preprocessing preset by name or file: one of PRESETS, or a configuration (:func:`read_configuration`).

    Raises:
        OSError: if ``name`` is a file that cannot be read.
        ValueError: if ``name`` is neither a preset nor such a file.
    """
    if name in PRESETS:
        return PRESETS[name]
    if not name.endswith(".json"):
        raise ValueError(f"preprocessing {name!r}; expected {', '.join(PRESETS)} or a preprocessor_config.json")
    return read_configuration(Path(name))


def read_configuration(path: str | Path) -> Preprocessing:
    """Read Hugging Face's preprocessor_config.json or processor_config.json, or timm's config.json.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no such file, or says what ``Preprocessing`` cannot; the message names the field.
    """
    try:
        return _read(parse_json(read_text(path)), Path(path))
    except FileError:
        raise
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except TypeError as error:
        raise ValueError(f"{path}: a value of another type than expected ({error})") from error


def _read(fields: Any, path: Path) -> Preprocessing:
    if not isinstance(fields, Mapping):
        raise ValueError("expected a Hugging Face preprocessor_config.json, or timm's config.json")
    inside = fields.get("image_processor")
    if isinstance(inside, Mapping):
        return _read(inside, path)
    if is_processor(fields):
        return read_processor(fields)
    if is_timm(fields):
        return read_timm(fields)
    beside = path.with_name("preprocessor_config.json")
    hint = f"; it is the model's, the pictures' is {beside}" if beside.is_file() and beside != path else ""
    raise ValueError(
        "expected a Hugging Face preprocessor_config.json, with do_resize and do_normalize, or timm's config.json, "
        f"with pretrained_cfg{hint}"
    )
