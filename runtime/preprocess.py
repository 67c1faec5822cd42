"""From an image file to a model's input: the one place where pixels become numbers.

With a pixel p in 0..255 of channel c (in the model's channel order)

    x[c] = (p[c] / scale - mean[c]) / std[c]

An occluder is given as a pixel as well, so black is (0 - mean) / std in the input, not 0.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from krypton_compile.runtime.pictures import Source, load_picture

COLOURS = {"black": 0.0, "white": 255.0, "gray": 128.0, "grey": 128.0}
RESIZES = ("squeeze", "crop", "none")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
_FILTERS = {name: Image.Resampling[name.upper()] for name in INTERPOLATIONS}
_AXES = {"NCHW": (2, 0, 1), "NHWC": (0, 1, 2)}


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pictures. ``mean`` and ``std`` hold one number, or one a channel in the model's order.

    ``resize`` "squeeze" scales the whole picture to the model's size; "crop" scales its short side to
    ``short_side`` (None: just large enough) and cuts the centre; "none" takes pictures of the model's size only.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channel_order: Literal["RGB", "BGR"] = "RGB"
    resize: Literal["squeeze", "crop", "none"] = "squeeze"
    short_side: int | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"

    def __post_init__(self) -> None:
        """Refuse numbers that give no usable input."""
        for name, numbers in (("scale", (self.scale,)), ("mean", self.mean), ("std", self.std)):
            if not numbers or not all(map(math.isfinite, numbers)):
                raise ValueError(f"{name} {numbers}; expected finite numbers")
        if self.scale == 0 or 0 in self.std:
            raise ValueError("scale and std divide the pixels; expected numbers other than 0")
        if self.short_side is not None and (self.short_side < 1 or self.resize != "crop"):
            raise ValueError(f"short side {self.short_side}; expected at least 1, together with resize 'crop'")
        for name, value, known in (
            ("channel order", self.channel_order, ("RGB", "BGR")),
            ("resize mode", self.resize, RESIZES),
            ("interpolation", self.interpolation, INTERPOLATIONS),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r}; expected one of {', '.join(known)}")

    def to_json(self) -> str:
        """The form that compiled files store."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """The inverse.

        Raises:
            ValueError: not such a text, or numbers that give no usable input.
        """
        fields: Any = json.loads(text)
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != names:
            raise ValueError(f"stored preprocessing {text}: expected the fields {', '.join(sorted(names))}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**values)

    def normalise(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The equation above on [..., C] in the model's channel order."""
        mean, std = (self._per_channel(name, pixels.shape[-1]) for name in ("mean", "std"))
        return (pixels / np.float32(self.scale) - mean) / std

    def _per_channel(self, name: str, channels: int) -> npt.NDArray[np.float32]:
        numbers = np.asarray(getattr(self, name), np.float32)
        if numbers.size not in (1, channels):
            raise ValueError(f"{name} has {numbers.size} numbers; the model's input has {channels} channels")
        return numbers


PRESETS: dict[str, Preprocessing] = {
    "none": Preprocessing(),
    "unit": Preprocessing(scale=255.0),
    "tf": Preprocessing(scale=127.5, mean=(1.0,)),
    "caffe": Preprocessing(mean=(103.939, 116.779, 123.68), channel_order="BGR"),
    "imagenet": Preprocessing(scale=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
}
"""Raw pixels; [0, 1]; [-1, 1]; blue first and less Caffe's means; torchvision's ImageNet statistics."""


@dataclass(frozen=True)
class Prepared:
    """A model's input, float32 [1, ...], and the picture it shows, uint8 RGB [H, W, 3]."""

    tensor: npt.NDArray[np.float32]
    picture: npt.NDArray[np.uint8]


def prepare(
    source: Source,
    options: Preprocessing,
    size: tuple[int, int],
    channels: int = 3,
    layout: str = "NCHW",
    picture_layout: str | None = None,
) -> Prepared:
    """A picture as input of a model that takes ``size`` (H, W) and ``channels`` 3 or 1 (grey).

    ``picture_layout`` is that of an array, see :func:`load_picture`.

    Raises:
        OSError, ValueError: as ``load_picture``, or options that do not fit the model or the picture.
    """
    if channels not in (1, 3):
        raise ValueError(f"the model's input has {channels} channels; pictures have 3 (colour) or 1 (grey)")
    image = resized(load_picture(source, picture_layout).convert("RGB" if channels == 3 else "L"), options, size)
    shown = np.asarray(image.convert("RGB"))
    return Prepared(to_input(np.asarray(image, np.float32).reshape(*size, channels), options, layout), shown)


def to_input(pixels: npt.NDArray[np.float32], options: Preprocessing, layout: str = "NCHW") -> npt.NDArray[np.float32]:
    """A picture's pixels [H, W, C], 0..255, red first, as the model's input [1, C, H, W] or [1, H, W, C].

    Raises:
        ValueError: another layout, or options for another number of channels.
    """
    if layout not in _AXES:
        raise ValueError(f"layout {layout!r}; expected one of {', '.join(_AXES)}")
    ordered = pixels[..., ::-1] if options.channel_order == "BGR" else pixels
    return np.ascontiguousarray(options.normalise(ordered).transpose(_AXES[layout])[None], np.float32)


def baseline_input(
    baseline: str | float, options: Preprocessing, size: tuple[int, int], channels: int = 3, layout: str = "NCHW"
) -> npt.NDArray[np.float32]:
    """One colour - a name of ``COLOURS`` or a pixel value in 0..255 - as a whole model input.

    Raises:
        ValueError: a name or number that is no pixel.
    """
    try:
        pixel = COLOURS[baseline] if isinstance(baseline, str) and baseline in COLOURS else float(baseline)
    except ValueError:
        raise ValueError(f"baseline {baseline!r}; expected {', '.join(COLOURS)} or a pixel value 0..255") from None
    if not 0 <= pixel <= 255:
        raise ValueError(f"baseline {baseline}; expected a pixel value between 0 and 255")
    return to_input(np.full((*size, channels), pixel, np.float32), options, layout)


def preset(name: str, **changes: object) -> Preprocessing:
    """A preset by name with some fields replaced.

    Raises:
        ValueError: no preset of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r}; expected one of {', '.join(PRESETS)}")
    return dataclasses.replace(PRESETS[name], **changes)  # type: ignore[arg-type]


def resized(
    image: Image.Image, options: Preprocessing, size: tuple[int, int], interpolation: str | None = None
) -> Image.Image:
    """The picture at the model's ``size`` (H, W), by the options' geometry; in its mode.

    ``interpolation`` wins over the options': a picture of labels is resized by "nearest".

    Raises:
        ValueError: a picture of another size where it is not to be resized, or too small a short side.
    """
    height, width = size
    how = _FILTERS[interpolation or options.interpolation]
    if options.resize == "none":
        if (image.height, image.width) != size:
            raise ValueError(
                f"a picture of {image.height} x {image.width} pixels (H x W), the model takes {height} x {width} and "
                "its preprocessing does not resize; resize the picture, or choose --resize squeeze or crop"
            )
        return image
    if options.resize == "squeeze":
        return image.resize((width, height), how)
    if options.short_side is None:
        factor = max(height / image.height, width / image.width)
    else:
        factor = options.short_side / min(image.width, image.height)
    scaled = image.resize((round(image.width * factor), round(image.height * factor)), how)
    if scaled.width < width or scaled.height < height:
        raise ValueError(
            f"short side {options.short_side} leaves {scaled.height} x {scaled.width} pixels (H x W); "
            f"the model takes {height} x {width}"
        )
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    return scaled.crop((left, top, left + width, top + height))
