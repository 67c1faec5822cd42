"""From a Hugging Face ``preprocessor_config.json`` to our own preprocessing, or a refusal that names the field.

Of the processors of image classifiers, on PIL's resampling (``transformers`` 5.24, the "pil" backend):

    resized [and cropped] p  ->  p * rescale_factor [- 1]  ->  (x - image_mean) / image_std  [/ image_std]

Measured on eight ImageNet photographs: the tensors of ViT, BEiT, CLIP, ConvNeXt (224, 384), ResNet, MobileNetV1 and V2,
BiT, PoolFormer and MobileViT are ours to the bit, EfficientNet's to 2.4e-7 (we divide once, by image_std squared). The
"torchvision" backend resamples by other code; we follow the one that every version has had.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from krypton_compile.contract.preprocessing import Interpolation, Preprocessing

_RESAMPLE: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_FILTERS_WITHOUT = {4: "box", 5: "hamming"}

# What a bare number means as `size`: the short side, or both sides. Other processors follow rules of their own.
_BY_SHORT_SIDE = ("Bit", "CLIP", "ConvNext", "MobileNetV1", "MobileNetV2", "MobileViT", "PoolFormer")
_BY_BOTH_SIDES = ("Beit", "DeiT", "EfficientNet", "ViT")

_USED = frozenset(
    "do_resize size resample crop_pct do_center_crop crop_size default_to_square do_rescale rescale_factor "
    "rescale_offset do_normalize image_mean image_std include_top do_flip_channel_order image_processor_type "
    "feature_extractor_type".split()
)
# About other data than pixels, or about what we do in any case.
_WITHOUT_EFFECT = frozenset(
    "do_convert_rgb do_reduce_labels reduce_labels num_channels processor_class transformers_version data_format "
    "input_data_format return_tensors device disable_grouping _valid_processor_keys".split()
)
_REMEDY = "Give the preprocessing by --preprocess, --mean, --std, --scale and --resize instead"


def read_preprocessor_config(path: str | Path) -> Preprocessing:
    """Read the preprocessing that the file asks for; its ``size`` is the model's, which must be the same.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no such file, or says what ``Preprocessing`` cannot; the message names the field.
    """
    try:
        fields = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(fields, dict) or not ({"do_resize", "do_rescale", "do_normalize"} & fields.keys()):
            raise ValueError("expected a Hugging Face preprocessor_config.json, with do_resize and do_normalize")
        return _read({name: value for name, value in fields.items() if value is not None})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except TypeError as error:
        raise ValueError(f"{path}: a value of another type than expected ({error})") from error


def _read(fields: dict[str, Any]) -> Preprocessing:
    kind = str(fields.get("image_processor_type", fields.get("feature_extractor_type", "")))
    for ending in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        kind = kind.removesuffix(ending)
    if kind and kind not in (*_BY_SHORT_SIDE, *_BY_BOTH_SIDES):
        raise ValueError(f"image_processor_type '{kind}': its rules are not known here. {_REMEDY}")
    for name, value in fields.items():
        if name not in _USED | _WITHOUT_EFFECT and value:
            raise ValueError(f"{name} {value}: cannot be expressed. {_REMEDY}")
    for name in ("do_resize", "do_normalize"):
        if name not in fields and not (kind == "MobileViT" and name == "do_normalize"):
            raise ValueError(f"{name}: missing; write true or false into a copy of the file")
    return Preprocessing(**_geometry(fields, kind), **_values(fields, kind))


def _values(fields: dict[str, Any], kind: str) -> dict[str, Any]:
    """Scale, mean, std and channel order. Where there is no ``do_rescale`` yet, PIL images were divided by 255."""
    factor = float(fields.get("rescale_factor", 1 / 255)) if fields.get("do_rescale", True) else 1.0
    if factor == 0:
        raise ValueError("rescale_factor 0; expected another number")
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    if fields.get("do_normalize"):
        mean, std = (_numbers(fields, name) for name in ("image_mean", "image_std"))
    if fields.get("rescale_offset"):
        mean = tuple(number + 1 for number in mean)
    if fields.get("include_top", kind == "EfficientNet"):
        again = _numbers(fields, "image_std")
        std = tuple(a * b for a, b in zip(std * (len(again) // len(std)), again, strict=True))
    flipped = bool(fields.get("do_flip_channel_order"))
    if flipped and (len(set(mean)) > 1 or len(set(std)) > 1):
        raise ValueError(f"do_flip_channel_order with an image_mean or image_std for each channel. {_REMEDY}")
    return {"scale": 1 / factor, "mean": mean, "std": std, "channel_order": "BGR" if flipped else "RGB"}


def _geometry(fields: dict[str, Any], kind: str) -> dict[str, Any]:
    """Resize mode, sizes and interpolation."""
    crop = _crop(fields)
    if not fields["do_resize"]:
        if crop is not None:
            raise ValueError(f"do_center_crop without do_resize: cuts without scaling. {_REMEDY}")
        return {"resize": "none"}
    geometry: dict[str, Any] = {"interpolation": _interpolation(fields)}
    short, both = _size(fields, kind)
    share = fields.get("crop_pct", 224 / 256 if kind == "ConvNext" else None)
    if share is not None:
        short = short if both is None else both[0] if both[0] == both[1] else None
        if short is None or not 0 < share <= 1:
            raise ValueError(f"crop_pct {share} with size {fields['size']}; expected a share and one number")
        if kind == "ConvNext" or (not kind and crop is None):
            if crop not in (None, (short, short)):
                raise ValueError(f"crop_size {crop} after size {short} and crop_pct: cannot be expressed. {_REMEDY}")
            if short >= 384:
                return {**geometry, "resize": "squeeze", "size": (short, short)}
            crop = short, short
        both, short = None, int(short / share)
    if both is not None:
        if crop not in (None, both):
            raise ValueError(f"crop_size {crop} of pictures squeezed to size {both}: cannot be expressed. {_REMEDY}")
        return {**geometry, "resize": "squeeze", "size": both}
    if crop is None:
        raise ValueError(
            f"size {fields['size']} without do_center_crop leaves pictures of any width, but the model takes one size. "
            + _REMEDY
        )
    return {**geometry, "resize": "crop", "short_side": short, "size": crop}


def _size(fields: dict[str, Any], kind: str) -> tuple[int | None, tuple[int, int] | None]:
    """The short side, or (H, W); the other is None."""
    size = fields.get("size")
    if isinstance(size, dict):
        sides = {name: value for name, value in size.items() if value is not None}
        if set(sides) == {"shortest_edge"}:
            return _length(sides["shortest_edge"], "size"), None
        if set(sides) == {"height", "width"}:
            return None, (_length(sides["height"], "size"), _length(sides["width"], "size"))
    elif size is not None:
        length = _length(size, "size")
        known = kind not in _BY_SHORT_SIDE if kind or not fields.get("do_center_crop") else None
        square = fields.get("default_to_square", known)
        if square is not None:
            return (None, (length, length)) if square else (length, None)
    raise ValueError(
        f'size {size}: expected {{"shortest_edge": n}} or {{"height": h, "width": w}}; write it so into a copy of the '
        "file, as the model was trained"
    )


def _crop(fields: dict[str, Any]) -> tuple[int, int] | None:
    if "do_center_crop" not in fields and "crop_size" in fields:
        raise ValueError("crop_size without do_center_crop; write true or false for it into a copy of the file")
    if not fields.get("do_center_crop"):
        return None
    crop = fields.get("crop_size")
    if isinstance(crop, dict) and set(crop) >= {"height", "width"}:
        return _length(crop["height"], "crop_size"), _length(crop["width"], "crop_size")
    length = _length(crop, "crop_size")
    return length, length


def _interpolation(fields: dict[str, Any]) -> Interpolation:
    number = fields.get("resample")
    if number in _FILTERS_WITHOUT:
        raise ValueError(
            f"resample {number} ({_FILTERS_WITHOUT[number]}): not among our interpolations, and another one would "
            "change the picture. Resize the pictures beforehand and give --resize none"
        )
    if isinstance(number, bool) or number not in _RESAMPLE:
        raise ValueError(f"resample {number}: expected PIL's number, 0 to 3; write it into a copy of the file")
    return _RESAMPLE[number]


def _numbers(fields: dict[str, Any], name: str) -> tuple[float, ...]:
    value = fields.get(name)
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(isinstance(number, (int, float)) for number in numbers):
        raise ValueError(f"{name} {value}: expected a number for each channel. {_REMEDY}")
    return tuple(map(float, numbers))


def _length(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} {value}: expected a whole number of pixels, at least 1")
    return value
