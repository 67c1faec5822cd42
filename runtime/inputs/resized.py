"""Bring a picture to the model's size, in the way that a preprocessing says."""

from __future__ import annotations

import numpy as np
from PIL import Image

from krypton_compile.contract.preprocessing import Interpolation, Preprocessing

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
Size = tuple[int, int]
LARGEST = 1 << 26
"""Pixels of a picture that its centre is cut out of."""


def resized(
    image: Image.Image, options: Preprocessing, size: Size, interpolation: Interpolation | None = None
) -> Image.Image:
    """Bring a picture to the model's ``size`` (H, W), by another interpolation than the options' where one is given.

    Such a picture is no photograph but a map of labels, and what it does not cover is 0.

    Raises:
        ValueError: if the options' resize mode is "none" and the picture has another size, or what is left of it is
            less than the model's.
    """
    height, width = size
    how = FILTERS[interpolation or options.interpolation]
    if options.resize in ("none", "mirror"):
        image = _mirrored(image, options.scaled) if options.scaled else image
        if image.size != (width, height):
            raise ValueError(
                f"the picture has {_extent((image.height, image.width))} pixels (H x W), the model takes "
                f"{_extent(size)}; resize it first, or choose the resize mode 'squeeze' or 'crop'"
            )
        return image
    if options.resize == "inner":
        image = _inner(image, options.share or (1.0, 1.0))
    if options.resize in ("squeeze", "inner"):
        return image.resize((width, height), how)
    extent = _scaled(image, options, size)
    if min(extent) < 1:
        raise ValueError(
            f"a picture of {_extent((image.height, image.width))} pixels (H x W) is too narrow to be scaled to "
            f"{_extent((extent[1], extent[0]))}; the model takes {_extent(size)}"
        )
    if extent[0] * extent[1] > LARGEST:
        raise ValueError(
            f"a picture of {_extent((image.height, image.width))} pixels (H x W) would be scaled to "
            f"{_extent((extent[1], extent[0]))}, of which the model takes {_extent(size)}; cut it, or choose the "
            "resize mode 'squeeze'"
        )
    scaled = image.resize(extent, how)
    if options.resize == "fit":
        fill = (0, 0, 0) if interpolation else options.fill
        scaled = _padded(scaled, size, fill if len(scaled.getbands()) == 3 else fill[0])
    if scaled.width < width or scaled.height < height:
        raise ValueError(
            f"short side {options.short_side or min(options.scaled or size)} leaves "
            f"{_extent((scaled.height, scaled.width))} pixels (H x W); the model takes {_extent(size)}"
        )
    left, top = (_half(more, options.centre) for more in (scaled.width - width, scaled.height - height))
    return scaled.crop((left, top, left + width, top + height))


def _scaled(image: Image.Image, options: Preprocessing, size: Size) -> tuple[int, int]:
    """The (width, height) before the centre is cut out."""
    if options.resize == "crop":
        if options.short_side is not None:
            new, old = options.short_side, min(image.size)
        elif size[0] * image.width >= size[1] * image.height:
            new, old = size[0], image.height
        else:
            new, old = size[1], image.width
        return image.width * new // old, image.height * new // old
    height, width = options.scaled or size
    if options.resize == "stretch":
        return width, height
    ratios = image.height / height, image.width / width
    ratio = min(ratios) if options.resize == "cover" else max(ratios)
    return round(image.width / ratio), round(image.height / ratio)


def _inner(image: Image.Image, share: tuple[float, float]) -> Image.Image:
    """The centre of this share of the short side, high and wide."""
    height, width = (int(part * min(image.size)) for part in share)
    if min(height, width) < 1:
        raise ValueError(f"a picture of {_extent((image.height, image.width))} pixels (H x W) has no inner part")
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _mirrored(image: Image.Image, steps: Size) -> Image.Image:
    """The picture with its mirror image below and to the right, up to the next multiple that is larger."""
    height, width = (steps[axis] - side % steps[axis] for axis, side in enumerate((image.height, image.width)))
    pixels = np.asarray(image)
    return Image.fromarray(np.pad(pixels, [(0, height), (0, width), *[(0, 0)] * (pixels.ndim - 2)], mode="symmetric"))


def _padded(image: Image.Image, size: Size, fill: int | tuple[int, ...]) -> Image.Image:
    """The picture with borders, where it is smaller than ``size``."""
    missing = max(0, size[1] - image.width), max(0, size[0] - image.height)
    whole = Image.new(image.mode, (image.width + missing[0], image.height + missing[1]), fill)
    whole.paste(image, (missing[0] // 2, missing[1] // 2))
    return whole


def _half(more: int, centre: str) -> int:
    """Half of what is too much: rounded down, or to the even neighbour."""
    return more // 2 if centre == "floor" else round(more / 2)


def _extent(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
