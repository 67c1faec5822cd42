"""From timm's ``config.json`` (``pretrained_cfg``) to our own preprocessing: what timm's evaluation transform does.

    scaled to floor(input_size / crop_pct), as crop_mode says, the centre cut out  ->  p / 255  ->  (x - mean) / std

The tensors are those of ``timm.data.create_transform(is_training=False)`` to the bit (docs/preprocessing.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from krypton_compile.contract.preprocessing import FILTERS, Preprocessing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CROP_SHARE = 0.875
_OWN = ("input_size", "mean", "std", "interpolation", "crop_pct")
_REMEDY = "Give the preprocessing by --preprocess, --mean, --std, --scale and --resize instead"


def is_timm(fields: Mapping[str, Any]) -> bool:
    """Tell the fields of timm's configuration, old or new, from those of other files."""
    return isinstance(fields.get("pretrained_cfg"), dict) or len(fields.keys() & set(_OWN)) >= 3


def read_timm(given: Mapping[str, Any]) -> Preprocessing:
    """Read the preprocessing that the fields ask for; its ``size`` is the model's, which must be the same.

    Older files have the fields beside ``architecture``, newer ones in ``pretrained_cfg``.

    Raises:
        ValueError: if they say what ``Preprocessing`` cannot; the message names the field.
    """
    inside = given.get("pretrained_cfg")
    found = {**given, **inside} if isinstance(inside, dict) else given
    fields = {name: value for name, value in found.items() if value is not None}
    if fields.get("crop_border_pixels"):
        raise ValueError(f"crop_border_pixels {fields['crop_border_pixels']}: cannot be expressed. {_REMEDY}")
    channels, *size = _numbers(fields, "input_size", (3, 224, 224), int)
    mean, std = (_numbers(fields, name, default, float) for name, default in (("mean", MEAN), ("std", STD)))
    share = fields.get("crop_pct") or CROP_SHARE
    if len(size) != 2 or min(size) < 1 or channels not in (1, 3):
        raise ValueError(f"input_size {fields.get('input_size')}: expected channels (1 or 3), height and width")
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise ValueError(f"crop_pct {share}: expected a share above 0, at most 1")
    values = {"scale": 255.0, "mean": mean, "std": std, "size": (size[0], size[1]), "centre": "even"}
    scaled = math.floor(size[0] / share), math.floor(size[1] / share)
    return Preprocessing(**values, **_way(fields, mean, scaled), interpolation=_interpolation(fields))  # type: ignore[arg-type]


def _way(fields: Mapping[str, Any], mean: tuple[float, ...], scaled: tuple[int, int]) -> dict[str, Any]:
    mode = fields.get("crop_mode", "center")
    if mode == "squash":
        return {"resize": "stretch", "scaled": scaled}
    if mode == "border":
        fill = tuple(round(255 * value) for value in mean)
        return {"resize": "fit", "scaled": scaled, "fill": fill if len(fill) == 3 else fill * 3}
    if mode != "center":
        raise ValueError(f"crop_mode {mode!r}: expected 'center', 'squash' or 'border'. {_REMEDY}")
    if scaled[0] == scaled[1]:
        return {"resize": "crop", "short_side": scaled[0]}
    return {"resize": "cover", "scaled": scaled}


def _interpolation(fields: Mapping[str, Any]) -> str:
    """The filter; "random" is for training, and timm's evaluation took bilinear for it."""
    name = fields.get("interpolation", "bicubic")
    if name == "random":
        return "bilinear"
    if name not in FILTERS:
        raise ValueError(
            f"interpolation {name!r}: expected one of {', '.join(FILTERS)}; another one would change the picture. "
            "Resize the pictures beforehand and give --resize none"
        )
    return str(name)


def _numbers(fields: Mapping[str, Any], name: str, default: tuple[Any, ...], kind: type) -> tuple[Any, ...]:
    values = fields.get(name) or default
    if not isinstance(values, list | tuple) or not all(isinstance(value, int | float) for value in values):
        raise ValueError(f"{name} {values}: expected a list of numbers")
    return tuple(kind(value) for value in values)
