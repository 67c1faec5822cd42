"""Read a file, a PIL image or an array as one upright 8-bit picture, or a refusal that says what to do first.

Nothing is guessed: which axis holds the channels, what lies behind transparent pixels, which frame is meant, and how
16 bits become 8 are the user's to say.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from krypton_compile.disk.picture import decoding, open_picture

PictureSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | npt.NDArray[np.uint8]
ArrayLayout = Literal["HWC", "CHW"]

_CHANNELS = (1, 3, 4)
_GREY_MODES = ("1", "L", "LA", "La")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


def load_picture(source: PictureSource, layout: ArrayLayout | None = None) -> Image.Image:
    """Read a picture in mode "L" where it is grey and "RGB" where it has colours, upright as its EXIF data say.

    Args:
        source: a path, a file or its bytes, a PIL image, or a uint8 array [H, W], [H, W, C] or [C, H, W] of C = 1, 3
            or 4 channels.
        layout: "HWC" or "CHW", of an array with three axes; "HWC" need not be given where only that is possible.

    Raises:
        OSError: if there is no such file.
        ValueError: if ``source`` is no picture, is damaged, animated, transparent or deeper than 8 bits a channel.
    """
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "")) or "picture"
        return _flat(_upright(source, name), name)
    if isinstance(source, np.ndarray):
        name = f"array of {source.dtype} {list(source.shape)}"
        return _flat(Image.fromarray(_rows_first(source, layout, name)), name)
    if isinstance(source, bytes | bytearray | memoryview):
        name = f"picture of {len(source)} bytes"
    elif isinstance(source, str | os.PathLike):
        name = os.fspath(source)
    elif callable(getattr(source, "read", None)):
        name = str(getattr(source, "name", "picture in a file"))
    else:
        raise ValueError(
            f"picture of type {type(source).__name__}; expected a path, a file or its bytes, a PIL image or a uint8 "
            "array"
        )
    with open_picture(source, name) as file:
        return _flat(_upright(file, name), name)


def _upright(image: Image.Image, name: str) -> Image.Image:
    """Decoded, and turned as the camera was."""
    with decoding(name):
        frames = getattr(image, "n_frames", 1)
        upright = ImageOps.exif_transpose(image)
        upright.load()
    # A camera's MPO is a JPEG with previews behind it, and every viewer shows the first picture.
    if frames > 1 and image.format != "MPO":
        raise ValueError(f"{name}: {frames} frames; extract one")
    return upright


def _flat(image: Image.Image, name: str) -> Image.Image:
    """The picture as "L" or "RGB": 8 bits a channel, and no transparency that would show a background."""
    if image.mode not in (*_GREY_MODES, *_COLOUR_MODES):
        raise ValueError(
            f"{name}: pixels of mode {image.mode}; expected 8 bits a channel. Choose the window (level and width) that "
            "the model was trained with, map it to 0..255, round, and save that as 8-bit grey or RGB"
        )
    target = "L" if image.mode in _GREY_MODES else "RGB"
    if image.has_transparency_data:
        plain = image.convert(_PREMULTIPLIED.get(image.mode, image.mode)).convert("RGBA")
        least = plain.getchannel("A").getextrema()[0]
        if least != 255:
            raise ValueError(
                f"{name}: has transparent pixels (alpha down to {least:g}); "
                "flatten it on the background the model was trained with"
            )
        # The transparency of palette and grey pictures stays behind with the mode that it was written for.
        image = plain
    return image.convert(target)


def _rows_first(array: npt.NDArray[np.uint8], layout: str | None, name: str) -> npt.NDArray[np.uint8]:
    """The array as [H, W] or [H, W, 3 or 4]."""
    if array.dtype != np.uint8:
        raise ValueError(f"{name}; expected uint8 pixels 0..255, of which preprocessing makes the model's numbers")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"{name}; expected one picture: [H, W], [H, W, C] or, with layout='CHW', [C, H, W]")
    if layout not in (None, "HWC", "CHW"):
        raise ValueError(f"layout {layout!r}; expected 'HWC' or 'CHW'")
    if array.ndim == 2:
        return np.ascontiguousarray(array)
    first, last = (array.shape[axis] in _CHANNELS for axis in (0, 2))
    if layout is None and first and last:
        raise ValueError(f"{name} may be [H, W, C] or [C, H, W]; pass layout='HWC' or layout='CHW'")
    if layout is None and first:
        raise ValueError(f"{name} looks like [C, H, W]; pass layout='CHW'")
    if not (first if layout == "CHW" else last):
        raise ValueError(f"{name} as {layout or 'HWC'}; expected 1, 3 or 4 channels")
    rows = array.transpose(1, 2, 0) if layout == "CHW" else array
    return np.ascontiguousarray(rows[..., 0] if rows.shape[2] == 1 else rows)
