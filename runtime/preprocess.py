"""From an image file to a model's input: the one place where pixels become numbers.

With a pixel p in 0..255 of channel c (in the model's channel order)

    x[c] = (p[c] / scale - mean[c]) / std[c]

An occluder is given as a pixel as well, so black is (0 - mean) / std in the input, not 0.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

# Pillow's conversion to RGB clips the deeper ones (16-bit, float) to white instead of scaling them.
_EIGHT_BIT_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_AXES = {"NCHW": (2, 0, 1), "NHWC": (0, 1, 2)}
_PIXELS = {"black": 0.0, "gray": 128.0}


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pictures. ``mean`` and ``std`` hold one number, or one a channel in the model's order.

    ``resize`` "squeeze" scales the whole picture to the model's size; "crop" scales its short side to
    ``short_side`` (None: just large enough) and cuts the centre.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channel_order: Literal["RGB", "BGR"] = "RGB"
    resize: Literal["squeeze", "crop"] = "squeeze"
    short_side: int | None = None
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"

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
            ("resize mode", self.resize, ("squeeze", "crop")),
            ("interpolation", self.interpolation, tuple(_FILTERS)),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r}; expected one of {', '.join(known)}")

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
    "tensorflow": Preprocessing(scale=127.5, mean=(1.0,)),
    "imagenet": Preprocessing(scale=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
}
"""Raw pixels; [0, 1]; [-1, 1]; torchvision's ImageNet statistics."""


@dataclass(frozen=True)
class Prepared:
    """A model's input, float32 [1, ...], and the picture it shows, uint8 RGB [H, W, 3]."""

    tensor: npt.NDArray[np.float32]
    picture: npt.NDArray[np.uint8]


def load_image(path: str | Path) -> Image.Image:
    """The decoded picture, upright as its EXIF data say.

    Raises:
        OSError: there is no such file.
        ValueError: it is no picture, is damaged, or has more than 8 bits a channel.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                image: Image.Image = ImageOps.exif_transpose(file)
                image.load()
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged files
        raise ValueError(f"{path}: cannot be read as an image ({error})") from error
    if image.mode not in _EIGHT_BIT_MODES:
        raise ValueError(f"{path}: pixels of mode {image.mode}; expected 8 bits a channel, convert the image first")
    return image


def prepare(
    path: str | Path, options: Preprocessing, size: tuple[int, int], channels: int = 3, layout: str = "NCHW"
) -> Prepared:
    """The image file as input of a model that takes ``size`` (H, W) and ``channels`` 3 or 1 (grey).

    Raises:
        OSError, ValueError: as ``load_image``, or options that do not fit the model or the picture.
    """
    if channels not in (1, 3):
        raise ValueError(f"the model's input has {channels} channels; pictures have 3 (colour) or 1 (grey)")
    image = _resized(load_image(path).convert("RGB" if channels == 3 else "L"), options, size)
    shown = np.asarray(image.convert("RGB"))
    pixels = np.asarray(image, np.float32).reshape(*size, channels)
    if options.channel_order == "BGR":
        pixels = pixels[..., ::-1]
    return Prepared(_arranged(options.normalise(pixels), layout), shown)


def baseline_input(
    baseline: str | float, options: Preprocessing, size: tuple[int, int], channels: int = 3, layout: str = "NCHW"
) -> npt.NDArray[np.float32]:
    """An occluder of one pixel value - "black", "gray" (128) or a number in 0..255 - as a whole model input.

    Raises:
        ValueError: a name or number that is no pixel.
    """
    try:
        pixel = _PIXELS[baseline] if isinstance(baseline, str) and baseline in _PIXELS else float(baseline)
    except ValueError:
        raise ValueError(f"baseline {baseline!r}; expected black, gray or a pixel value 0..255") from None
    if not 0 <= pixel <= 255:
        raise ValueError(f"baseline {baseline}; expected a pixel value between 0 and 255")
    return _arranged(options.normalise(np.full((*size, channels), pixel, np.float32)), layout)


def preset(name: str, **changes: object) -> Preprocessing:
    """A preset by name with some fields replaced.

    Raises:
        ValueError: no preset of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r}; expected one of {', '.join(PRESETS)}")
    return dataclasses.replace(PRESETS[name], **changes)  # type: ignore[arg-type]


def _resized(image: Image.Image, options: Preprocessing, size: tuple[int, int]) -> Image.Image:
    height, width = size
    how = _FILTERS[options.interpolation]
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


def _arranged(pixels: npt.NDArray[np.float32], layout: str) -> npt.NDArray[np.float32]:
    if layout not in _AXES:
        raise ValueError(f"layout {layout!r}; expected one of {', '.join(_AXES)}")
    return np.ascontiguousarray(pixels.transpose(_AXES[layout])[None], np.float32)
