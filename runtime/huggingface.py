"""Hugging Face's ``preprocessor_config.json`` as a :class:`Preprocessing`.

    resize (whole picture, or its short side) -> centre crop -> * rescale_factor -> (x - image_mean) / image_std

Old files say less: a ``size`` that is one number is the short side where a centre crop follows and a square otherwise,
and normalising files without ``do_rescale`` mean pixels of 0..1. ConvNeXt's ``crop_pct`` makes the short side
size / crop_pct; from 384 on the whole picture is squeezed. EfficientNet's ``include_top`` divides by the deviation
twice.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from krypton_compile.runtime.preprocess import PRESETS, Preprocessing

_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_SQUEEZED_FROM = 384
_BY_HAND = "give --scale, --mean, --std, --resize and --interpolation instead"

Fields = dict[str, Any]
Pair = tuple[int, int]


def find_preprocessing(text: Preprocessing | str, size: Pair) -> Preprocessing:
    """The preset of that name, or what that file says for a model of ``size`` (H, W); a Preprocessing is itself.

    Raises:
        ValueError: neither a preset nor a file, or as :func:`read_preprocessor_config`.
        OSError: the file cannot be read.
    """
    if isinstance(text, Preprocessing):
        return text
    if text in PRESETS:
        return PRESETS[text]
    if not text.endswith(".json"):
        raise ValueError(f"preprocessing {text!r}; expected {', '.join(PRESETS)} or a preprocessor_config.json")
    return read_preprocessor_config(Path(text), size)


def read_preprocessor_config(path: Path, size: Pair) -> Preprocessing:
    """What the file says, for a model that takes pictures of ``size`` (H, W).

    Raises:
        OSError: the file cannot be read.
        ValueError: no such file, something that :class:`Preprocessing` cannot express, or pictures of another size.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON ({error})") from error
    if not isinstance(fields, dict) or not {"image_mean", "do_normalize", "do_resize", "size"} & set(fields):
        raise ValueError(f"{path}: expected a Hugging Face preprocessor_config.json")
    try:
        geometry, target = _geometry(fields)
        if target is not None and target != size:
            raise ValueError(
                f"it makes pictures of {target[0]} x {target[1]} (H x W), the model takes {size[0]} x {size[1]}"
            )
        return Preprocessing(**_numbers(fields), **geometry)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: {error}; {_BY_HAND}") from error


def _geometry(fields: Fields) -> tuple[Fields, Pair | None]:
    """Resizing and cutting, and the size that comes out; None where pictures stay as they are."""
    how: Fields = {}
    if fields.get("do_resize", "size" in fields):
        resample = fields.get("resample", 2)
        if resample not in _RESAMPLE:
            raise ValueError(f"resample {resample}: expected {', '.join(map(str, _RESAMPLE))} (PIL's numbers)")
        how["interpolation"] = _RESAMPLE[resample]
    crop = _pair(fields["crop_size"], "crop_size") if fields.get("do_center_crop") else None
    if "interpolation" not in how:
        return ({"resize": "crop"}, crop) if crop is not None else ({"resize": "none"}, None)
    short, whole = _resize(fields, crop is not None)
    if whole is not None:
        if crop not in (None, whole):
            raise ValueError(
                f"size {whole}, then a centre crop of {crop}: the picture is not squeezed to the model's size"
            )
        return {**how, "resize": "squeeze"}, whole
    if crop is None and "crop_pct" not in fields:
        raise ValueError(f"shortest_edge {short} without a centre crop: pictures keep their shape")
    if crop is not None:
        return {**how, "resize": "crop", "short_side": short}, crop
    assert short is not None
    if short >= _SQUEEZED_FROM:
        return {**how, "resize": "squeeze"}, (short, short)
    return {**how, "resize": "crop", "short_side": int(short / (fields["crop_pct"] or 224 / 256))}, (short, short)


def _resize(fields: Fields, cropped: bool) -> tuple[int | None, Pair | None]:
    """(short side, None) or (None, the size that the whole picture is squeezed to)."""
    size = fields["size"]
    if isinstance(size, dict):
        if set(size) == {"shortest_edge"}:
            return int(size["shortest_edge"]), None
        return None, _pair(size, "size")
    if cropped or "crop_pct" in fields:
        return int(size), None
    return None, _pair(size, "size")


def _numbers(fields: Fields) -> Fields:
    """Scale, mean, deviation and the order of channels."""
    found: Fields = {}
    if fields.get("do_rescale", True):
        if fields.get("rescale_offset"):
            raise ValueError("rescale_offset: pixels are moved as well")
        found["scale"] = 1 / fields.get("rescale_factor", 1 / 255)
    if fields.get("do_normalize", "image_mean" in fields):
        std = [float(one) for one in fields["image_std"]]
        found["mean"] = tuple(float(one) for one in fields["image_mean"])
        found["std"] = tuple(std)
        if fields.get("include_top"):  # normalised once more, by the deviation alone
            found["std"] = tuple(one * one for one in std)
    if fields.get("do_flip_channel_order"):
        found["channel_order"] = "BGR"
    return found


def _pair(size: Any, name: str) -> Pair:
    if isinstance(size, int):
        return size, size
    if isinstance(size, dict) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    raise ValueError(f"{name} {size}: expected a number, height and width, or the shortest edge")
