"""From a picture to a model's input: the one place where pixels become numbers.

With a pixel p in 0..255 of channel c (in the model's channel order)

    x[c] = (p[c] / scale - mean[c]) / std[c]

An occluder is given as a pixel as well, so black is (0 - mean) / std in the input, not 0.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from krypton_compile.runtime.inputs.pictures import ArrayLayout, PictureSource, load_picture

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

RESIZE_MODES = ("squeeze", "crop", "none")
FILTERS: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
COLOURS = {"black": 0.0, "white": 255.0, "gray": 128.0, "grey": 128.0}
_AXES = {"NCHW": (2, 0, 1), "NHWC": (0, 1, 2)}


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pictures. ``mean`` and ``std`` hold one number, or one a channel in the model's order.

    ``resize`` "squeeze" scales the whole picture to the model's size; "crop" scales its short side to
    ``short_side`` (None: just large enough) and cuts the centre; "none" takes pictures of the model's size only.
    ``size`` is the (H, W) that the recipe was written for, where it says so: the model's must be the same.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channel_order: Literal["RGB", "BGR"] = "RGB"
    resize: Literal["squeeze", "crop", "none"] = "squeeze"
    short_side: int | None = None
    interpolation: Interpolation = "bicubic"
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that give no usable input."""
        for name, numbers in (("scale", (self.scale,)), ("mean", self.mean), ("std", self.std)):
            if not numbers or not all(map(math.isfinite, numbers)):
                raise ValueError(f"{name} {numbers}; expected finite numbers")
        if self.scale == 0 or 0 in self.std:
            raise ValueError("scale and std divide the pixels; expected numbers other than 0")
        if self.short_side is not None and (self.short_side < 1 or self.resize != "crop"):
            raise ValueError(f"short side {self.short_side}; expected at least 1, together with resize 'crop'")
        extents: Sequence[int] = self.size or (1, 1)
        if len(extents) != 2 or min(extents) < 1:
            raise ValueError(f"size {self.size}; expected (height, width), at least 1")
        for name, value, known in (
            ("channel order", self.channel_order, ("RGB", "BGR")),
            ("resize mode", self.resize, RESIZE_MODES),
            ("interpolation", self.interpolation, tuple(FILTERS)),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r}; expected one of {', '.join(known)}")

    def check_fits(self, size: tuple[int, int], channels: int) -> None:
        """Refuse a model of another (H, W) or number of channels than this is for.

        Raises:
            ValueError: it does not fit.
        """
        if self.size is not None and self.size != size:
            raise ValueError(
                f"the preprocessing is for pictures of {_extent(self.size)} pixels (H x W); the model takes "
                f"{_extent(size)}. Export the model for that size, or give the preprocessing that goes with this one"
            )
        for name in ("mean", "std"):
            self._per_channel(name, channels)

    def to_json(self) -> str:
        """All fields as JSON text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: another text, a field too many or too few, or values that are refused anyway.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"preprocessing: expected JSON, found {text[:80]!r} ({error})") from error
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != known:
            found = ", ".join(sorted(fields)) if isinstance(fields, dict) else type(fields).__name__
            raise ValueError(f"preprocessing: expected the fields {', '.join(sorted(known))}; found {found}")
        values: dict[str, Any] = {name: tuple(n) if isinstance(n, list) else n for name, n in fields.items()}
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"preprocessing: {error} among {text}") from error

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
"""Raw pixels; [0, 1]; [-1, 1]; Caffe's ImageNet means of blue, green, red; torchvision's ImageNet statistics."""


@dataclass(frozen=True)
class Prepared:
    """A model's input, float32 [1, ...], and the picture it shows, uint8 RGB [H, W, 3]."""

    tensor: npt.NDArray[np.float32]
    picture: npt.NDArray[np.uint8]


def prepare(
    source: PictureSource,
    options: Preprocessing,
    size: tuple[int, int],
    channels: int = 3,
    layout: str = "NCHW",
    picture_layout: ArrayLayout | None = None,
) -> Prepared:
    """The picture as input of a model that takes ``size`` (H, W) and ``channels`` 3 or 1 (grey).

    ``picture_layout`` is that of an array that could be read two ways, see :func:`load_picture`.

    Raises:
        OSError, ValueError: as ``load_picture``, or options that do not fit the model or the picture.
    """
    if channels not in (1, 3):
        raise ValueError(f"the model's input has {channels} channels; pictures have 3 (colour) or 1 (grey)")
    options.check_fits(size, channels)
    picture = load_picture(source, picture_layout).convert("RGB" if channels == 3 else "L")
    image = resized(picture, options, size)
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
    """An occluder of one pixel value - a name of ``COLOURS`` or a number in 0..255 - as a whole model input.

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
    image: Image.Image, options: Preprocessing, size: tuple[int, int], interpolation: Interpolation | None = None
) -> Image.Image:
    """The picture at the model's ``size`` (H, W), by another interpolation than the options' where one is given.

    With "crop", the short side s and the long side l become n and floor(n l / s), as in torchvision.

    Raises:
        ValueError: resize "none" and another size, or a short side less than the model's.
    """
    height, width = size
    how = FILTERS[interpolation or options.interpolation]
    if options.resize == "none":
        if image.size != (width, height):
            raise ValueError(
                f"the picture has {_extent((image.height, image.width))} pixels (H x W), the model takes "
                f"{_extent(size)}; resize it first, or choose the resize mode 'squeeze' or 'crop'"
            )
        return image
    if options.resize == "squeeze":
        return image.resize((width, height), how)
    if options.short_side is not None:
        new, old = options.short_side, min(image.size)
    elif height * image.width >= width * image.height:
        new, old = height, image.height
    else:
        new, old = width, image.width
    scaled = image.resize((image.width * new // old, image.height * new // old), how)
    if scaled.width < width or scaled.height < height:
        raise ValueError(
            f"short side {options.short_side} leaves {_extent((scaled.height, scaled.width))} pixels (H x W); "
            f"the model takes {_extent(size)}"
        )
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    return scaled.crop((left, top, left + width, top + height))


def _extent(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
