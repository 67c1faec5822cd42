"""Preprocessing: how pictures become a model's input, as one value that a compiled file stores.

With a pixel p in 0..255 of channel c (in the model's channel order)

    x[c] = (p[c] / scale - mean[c]) / std[c]

runtime/inputs/prepare.py applies it to pictures and occluders.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.disk.read import parse_json

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

RESIZE_MODES = ("squeeze", "crop", "none")
FILE_MODES = ("stretch", "cover", "fit", "inner", "mirror")
"""Ways of resizing that configuration files alone ask for."""
_WITH_SCALED = ("stretch", "cover", "fit", "mirror")
FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")
UNKNOWN_PREPROCESSING = (
    "the model does not say how pictures become its input; give --preprocess imagenet|unit|tf|caffe|none "
    "or a preprocessor_config.json (or --mean, --std, --scale)"
)

LARGEST_SIDE = 1 << 16
"""Pixels of a side of a picture."""
_LARGEST = 1e30
"""Of scale, mean and std: beyond it, or below its inverse, float32 is at its ends."""
_LONGEST = 80


@dataclass(frozen=True)
class Preprocessing:
    """The way in which pictures become a model's input.

    ``mean`` and ``std`` hold one number, or one a channel in the model's order.

    ``resize`` "squeeze" scales the whole picture to the model's size; "crop" scales its short side to
    ``short_side`` (None: just large enough) and cuts the centre; "none" takes pictures of the model's size only.
    ``size`` is the (H, W) that the recipe was written for, where it says so: the model's must be the same.

    Files also ask for other ways. "stretch" scales the whole picture to ``scaled`` (H, W), "cover" until it covers
    that, "fit" until it fits into it, with borders of ``fill``; all of them cut the centre. "inner" squeezes the
    centre whose height and width are ``share`` of the picture's short side. "mirror" appends the picture's own mirror
    image below and to the right, up to the next multiple of ``scaled`` that is larger.

    Where an odd number of pixels is cut off, ``centre`` says whether half of them is rounded down ("floor") or to the
    even neighbour ("even", as torchvision does). Where ``whole`` is False, the pixels of a resized picture are not
    rounded to whole numbers.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channel_order: Literal["RGB", "BGR"] = "RGB"
    resize: Literal["squeeze", "crop", "none", "stretch", "cover", "fit", "inner", "mirror"] = "squeeze"
    short_side: int | None = None
    interpolation: Interpolation = "bicubic"
    size: tuple[int, int] | None = None
    scaled: tuple[int, int] | None = None
    fill: tuple[int, int, int] = (0, 0, 0)
    share: tuple[float, float] | None = None
    centre: Literal["floor", "even"] = "floor"
    whole: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers that give no usable input."""
        self._check_forms()
        self._check_kinds()
        for name, numbers in (("scale", (self.scale,)), ("mean", self.mean), ("std", self.std)):
            if not numbers or not all(abs(number) <= _LARGEST for number in numbers):
                raise ValueError(f"{name} {_shown(numbers)}; expected finite numbers, of at most {_LARGEST:g}")
        if any(abs(number) < 1 / _LARGEST for number in (self.scale, *self.std)):
            raise ValueError("scale and std divide the pixels; expected numbers other than 0")
        if self.short_side is not None and (self.short_side < 1 or self.resize != "crop"):
            raise ValueError(f"short side {self.short_side}; expected at least 1, together with resize 'crop'")
        extents: Sequence[int] = self.size or (1, 1)
        if len(extents) != 2 or min(extents) < 1:
            raise ValueError(f"size {self.size}; expected (height, width), at least 1")
        self._check_file_modes()
        for name, value, known in (
            ("channel order", self.channel_order, ("RGB", "BGR")),
            ("resize mode", self.resize, RESIZE_MODES + FILE_MODES),
            ("interpolation", self.interpolation, FILTERS),
            ("centre", self.centre, ("floor", "even")),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r}; expected one of {', '.join(known)}")

    def _check_forms(self) -> None:
        """Refuse what is no tuple, number or text where one belongs, as a caller may give anything."""
        for name in ("mean", "std", "size", "scaled", "share", "fill"):
            value = getattr(self, name)
            if not isinstance(value, tuple | list) and (value is not None or name in ("mean", "std", "fill")):
                raise ValueError(f"{name} {validate.show(value)}; expected finite numbers, a tuple of them")
            if value is not None and not len(value):
                raise ValueError(f"{name} {validate.show(value)}; expected finite numbers, at least one")
        for name in ("scale", "short_side"):
            value = getattr(self, name)
            if not isinstance(value, Real | str) and (value is not None or name == "scale"):
                raise ValueError(f"{name} {validate.show(value)}; expected a number")
        for name in ("channel_order", "resize", "interpolation", "centre"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise ValueError(f"{name} {validate.show(value)}; expected a name")

    def _check_kinds(self) -> None:
        """Refuse what is no number where a number belongs, as a file may say anything."""
        for name in ("scale", "mean", "std", "share"):
            for number in _each(getattr(self, name)):
                if isinstance(number, bool) or not isinstance(number, Real):
                    raise ValueError(f"{name} {_shown(getattr(self, name))}; expected numbers")
        for name in ("short_side", "size", "scaled", "fill"):
            for number in _each(getattr(self, name)):
                if isinstance(number, bool) or not isinstance(number, Integral) or int(number) > LARGEST_SIDE:
                    raise ValueError(
                        f"{name.replace('_', ' ')} {_shown(getattr(self, name))}; expected whole numbers, of at most "
                        f"{LARGEST_SIDE}"
                    )
        if not isinstance(self.whole, bool):
            raise ValueError(f"whole {_shown(self.whole)}; expected true or false")

    def _check_file_modes(self) -> None:
        if (self.scaled is not None) != (self.resize in _WITH_SCALED):
            raise ValueError(
                f"scaled {self.scaled}; expected (height, width) with the resize mode {' or '.join(_WITH_SCALED)} alone"
            )
        if (self.share is not None) != (self.resize == "inner"):
            raise ValueError(f"share {self.share}; expected two numbers with the resize mode 'inner'")
        scaled: Sequence[int] = self.scaled or (1, 1)
        share: Sequence[float] = self.share or (1.0, 1.0)
        fill: Sequence[int] = self.fill
        if len(scaled) != 2 or min(scaled) < 1:
            raise ValueError(f"scaled {self.scaled}; expected (height, width), at least 1")
        if len(share) != 2 or not all(0 < part <= 1 for part in share):
            raise ValueError(f"share {self.share}; expected two numbers, more than 0 and up to 1")
        if len(fill) != 3 or not all(0 <= value <= 255 for value in fill):
            raise ValueError(f"fill {self.fill}; expected three pixel values from 0 to 255")

    def check_fits(self, size: tuple[int, int], channels: int) -> None:
        """Refuse a model of another (H, W) or number of channels than this is for.

        Raises:
            ValueError: if the model's size or channels are others than the preprocessing's.
        """
        if self.size is not None and self.size != size:
            raise ValueError(
                f"the preprocessing is for pictures of {_extent(self.size)} pixels (H x W); the model takes "
                f"{_extent(size)}. Export the model for that size, or give the preprocessing that goes with this one"
            )
        for name in ("mean", "std"):
            self._per_channel(name, channels)

    def to_json(self) -> str:
        """All fields as JSON text; those that files alone ask for, where they differ from their defaults."""
        fields = dataclasses.asdict(self)
        return json.dumps(
            {name: value for name, value in fields.items() if name not in _SELDOM or value != _SELDOM[name]},
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: if the text is no JSON, has other fields, or holds values that are refused anyway.
        """
        given: object = text
        try:
            fields = parse_json(given) if isinstance(given, str) else None
        except ValueError as error:
            raise ValueError(f"preprocessing: expected JSON, found {text[:80]!r} ({error})") from error
        known = {field.name for field in dataclasses.fields(cls)} - _SELDOM.keys()
        if not isinstance(fields, dict) or set(fields) - _SELDOM.keys() != known:
            found = ", ".join(sorted(fields)) if isinstance(fields, dict) else type(fields).__name__
            raise ValueError(f"preprocessing: expected the fields {', '.join(sorted(known))}; found {found}")
        values: dict[str, Any] = {name: tuple(n) if isinstance(n, list) else n for name, n in fields.items()}
        try:
            return cls(**values)
        except (TypeError, OverflowError, ValueError) as error:
            raise ValueError(f"preprocessing: {error} among {text[:200]}") from error

    def normalise(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The equation above on [..., C] in the model's channel order."""
        mean, std = (self._per_channel(name, pixels.shape[-1]) for name in ("mean", "std"))
        return (pixels / np.float32(self.scale) - mean) / std

    def _per_channel(self, name: str, channels: int) -> npt.NDArray[np.float32]:
        numbers = np.asarray(getattr(self, name), np.float32)
        if numbers.size not in (1, channels):
            raise ValueError(f"{name} has {numbers.size} numbers; the model's input has {channels} channels")
        return numbers


def _each(value: object) -> tuple[object, ...]:
    """A field's numbers: several, one, or none where it is left out."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_SELDOM: dict[str, object] = {"scaled": None, "fill": (0, 0, 0), "share": None, "centre": "floor", "whole": True}
"""The defaults of fields that files stored before do not have."""

PRESETS: dict[str, Preprocessing] = {
    "none": Preprocessing(),
    "unit": Preprocessing(scale=255.0),
    "tf": Preprocessing(scale=127.5, mean=(1.0,)),
    "caffe": Preprocessing(mean=(103.939, 116.779, 123.68), channel_order="BGR"),
    "imagenet": Preprocessing(scale=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
}
"""Raw pixels; [0, 1]; [-1, 1]; Caffe's ImageNet means of blue, green, red; torchvision's ImageNet statistics."""


def preset(name: str, **changes: object) -> Preprocessing:
    """A preset by name with some fields replaced.

    Raises:
        ValueError: if there is no preset of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r}; expected one of {', '.join(PRESETS)}")
    return dataclasses.replace(PRESETS[name], **changes)  # type: ignore[arg-type]


def _extent(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
