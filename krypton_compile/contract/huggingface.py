"""From a Hugging Face ``preprocessor_config.json`` to our own preprocessing, or a refusal that names the field.

Of the processors of image classifiers, on PIL's resampling (``transformers`` 5.24, the "pil" backend):

    resized [and cropped] p  ->  p * rescale_factor [- 1]  ->  (x - image_mean) / image_std  [/ image_std]

docs/preprocessing.md has a table of all of them: most tensors are ours to the bit. The "torchvision" backend ("Fast")
resamples by other code; we follow the one that every version has had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from krypton_compile.contract.preprocessing import Interpolation, Preprocessing

_RESAMPLE: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_FILTERS_WITHOUT = {4: "box", 5: "hamming"}


@dataclass(frozen=True)
class Kind:
    """The rules of a processor.

    Attributes:
        square: whether a bare number as ``size`` means both sides, or the short one; None where that is not known.
        crops: whether pictures that were squeezed to ``size`` are cropped too; of others, some versions ignore it.
        refused: why no picture of one size comes out of it.
    """

    square: bool | None
    crops: bool = False
    refused: str = ""


_SHORT, _BOTH, _BOTH_CROPPED = Kind(square=False, crops=True), Kind(square=True), Kind(square=True, crops=True)
KINDS: Mapping[str, Kind] = {
    "": Kind(square=None),
    "Auto": Kind(square=None),
    "Beit": _BOTH_CROPPED,
    "Bit": _SHORT,
    "Blip": _BOTH,
    "CLIP": _SHORT,
    "ChineseCLIP": _SHORT,
    "ConvNext": _SHORT,
    "DINOv3ViT": _BOTH_CROPPED,
    "DPT": _BOTH,
    "DeiT": _BOTH_CROPPED,
    "EfficientFormer": _BOTH_CROPPED,
    "EfficientNet": _BOTH_CROPPED,
    "ImageGPT": _BOTH,
    "Levit": _SHORT,
    "MobileNetV1": _SHORT,
    "MobileNetV2": _SHORT,
    "MobileViT": _SHORT,
    "PPLCNet": _BOTH_CROPPED,
    "Perceiver": _BOTH,
    "PoolFormer": _SHORT,
    "Pvt": _BOTH,
    "Segformer": _BOTH,
    "Siglip": Kind(square=None),
    "Swin2SR": _BOTH,
    "Siglip2": Kind(None, refused="it makes a sequence of patches of each picture"),
    "Donut": Kind(None, refused="it puts pages on a canvas"),
    "TextNet": Kind(None, refused="its pictures have sizes of their own"),
    "ViT": _BOTH,
    "ViTHybrid": _SHORT,
}
"""Processors by name, without the endings. Other models borrow one of these: ResNet has ConvNext's."""

_USED = frozenset(
    "do_resize size resample crop_pct do_center_crop crop_size default_to_square do_rescale rescale_factor "
    "rescale_offset do_normalize image_mean image_std include_top do_flip_channel_order image_processor_type "
    "feature_extractor_type ensure_multiple_of resize_short".split()
)
# About other data than pixels, or about what we do in any case.
_WITHOUT_EFFECT = frozenset(
    "do_convert_rgb do_reduce_labels reduce_labels num_channels processor_class transformers_version data_format "
    "input_data_format return_tensors device disable_grouping _valid_processor_keys auto_map image_seq_length".split()
)
_REMEDY = "Give the preprocessing by --preprocess, --mean, --std, --scale and --resize instead"


def is_processor(fields: Mapping[str, Any]) -> bool:
    """Tell the fields of a processor from those of other files."""
    return bool({"do_resize", "do_rescale", "do_normalize"} & fields.keys())


def read_processor(given: Mapping[str, Any]) -> Preprocessing:
    """Read the preprocessing that the fields ask for; its ``size`` is the model's, which must be the same.

    Raises:
        ValueError: if they say what ``Preprocessing`` cannot; the message names the field.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    kind = str(fields.get("image_processor_type", fields.get("feature_extractor_type", "")))
    for ending in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        kind = kind.removesuffix(ending)
    if kind not in KINDS:
        raise ValueError(f"image_processor_type '{kind}': its rules are not known here. {_REMEDY}")
    if KINDS[kind].refused:
        raise ValueError(f"image_processor_type '{kind}': {KINDS[kind].refused}, but the model takes one. {_REMEDY}")
    if kind == "ImageGPT" and fields.pop("do_color_quantize", True):
        raise ValueError(f"image_processor_type 'ImageGPT' with do_color_quantize: makes tokens of pixels. {_REMEDY}")
    if kind == "Swin2SR":
        return _mirrored(fields)
    for name, value in fields.items():
        if name not in _USED | _WITHOUT_EFFECT and value:
            raise ValueError(f"{name} {value}: cannot be expressed. {_REMEDY}")
    for name in ("do_resize", "do_normalize"):
        if name not in fields and not (kind == "MobileViT" and name == "do_normalize"):
            raise ValueError(f"{name}: missing; write true or false into a copy of the file")
    if kind == "PoolFormer" and "crop_pct" not in given:
        fields["crop_pct"] = 0.9
    return Preprocessing(**_geometry(fields, kind), **_values(fields, kind))


def _mirrored(fields: dict[str, Any]) -> Preprocessing:
    """Swin2SR neither resizes nor normalises: it mirrors pictures up to a multiple of a step."""
    scale = _scale(fields)
    if not fields.get("do_pad", True):
        return Preprocessing(scale, resize="none")
    step = _length(fields.get("size_divisor", fields.get("pad_size", 8)), "size_divisor")
    return Preprocessing(scale, resize="mirror", scaled=(step, step))


def _scale(fields: dict[str, Any]) -> float:
    factor = float(fields.get("rescale_factor", 1 / 255)) if fields.get("do_rescale", True) else 1.0
    if factor == 0:
        raise ValueError("rescale_factor 0; expected another number")
    return 1 / factor


def _values(fields: dict[str, Any], kind: str) -> dict[str, Any]:
    """Scale, mean, std and channel order. Where there is no ``do_rescale`` yet, PIL images were divided by 255."""
    scale = _scale(fields)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    if fields.get("do_normalize"):
        mean, std = (_numbers(fields, name) for name in ("image_mean", "image_std"))
    if fields.get("rescale_offset"):
        mean = tuple(number + 1 for number in mean)
    if fields.get("include_top", kind == "EfficientNet"):
        again = _numbers(fields, "image_std")
        std = tuple(a * b for a, b in zip(std * (len(again) // len(std)), again, strict=True))
    if kind == "PPLCNet":  # numbers of red first, then the other order
        return {"scale": scale, "mean": mean[::-1], "std": std[::-1], "channel_order": "BGR"}
    flipped = bool(fields.get("do_flip_channel_order"))
    if flipped and (len(set(mean)) > 1 or len(set(std)) > 1):
        raise ValueError(f"do_flip_channel_order with an image_mean or image_std for each channel. {_REMEDY}")
    return {"scale": scale, "mean": mean, "std": std, "channel_order": "BGR" if flipped else "RGB"}


def _geometry(fields: dict[str, Any], kind: str) -> dict[str, Any]:
    """Resize mode, sizes and interpolation."""
    crop = _crop(fields)
    if not fields["do_resize"]:
        if crop is not None:
            raise ValueError(f"do_center_crop without do_resize: cuts without scaling. {_REMEDY}")
        return {"resize": "none"}
    geometry: dict[str, Any] = {"interpolation": _interpolation(fields)}
    if kind == "DINOv3ViT":
        geometry["whole"] = False
    short, both = _size(fields, kind)
    if kind == "Perceiver" and crop is not None and both is not None:
        inner = both[0] / crop[0], both[1] / crop[1]
        return {**geometry, "resize": "inner", "share": inner, "size": both}
    if kind == "PPLCNet" and crop is not None:
        length = _length(fields.get("resize_short", 256), "resize_short")
        return {**geometry, "resize": "cover", "scaled": (length, length), "size": crop}
    if kind == "Levit" and short is not None:
        short = int((256 / 224) * short)
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
        return {**geometry, **_both(fields, kind, both, crop)}
    if crop is None:
        raise ValueError(
            f"size {fields['size']} without do_center_crop leaves pictures of any width, but the model takes one size. "
            + _REMEDY
        )
    return {**geometry, "resize": "crop", "short_side": short, "size": crop}


def _both(fields: dict[str, Any], kind: str, both: tuple[int, int], crop: tuple[int, int] | None) -> dict[str, Any]:
    """The whole picture is squeezed to ``both`` sides, and its centre cut out, where the processor does that."""
    step = fields.get("ensure_multiple_of", 1)
    if any(side % step for side in both):
        raise ValueError(f"size {both} and ensure_multiple_of {step}: cannot be expressed. {_REMEDY}")
    if crop in (None, both):
        return {"resize": "squeeze", "size": both}
    assert crop is not None
    if not KINDS[kind].crops or crop[0] > both[0] or crop[1] > both[1]:
        raise ValueError(f"crop_size {crop} of pictures squeezed to size {both}: cannot be expressed. {_REMEDY}")
    return {"resize": "stretch", "scaled": both, "size": crop}


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
        known = KINDS[kind].square
        if not kind and not fields.get("do_center_crop"):
            known = True
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
