"""Reading pictures: whatever a caller has, as 8-bit pixels upright, or a refusal that says what to decide first.

Colour becomes RGB, grey stays grey. What no reader can decide is refused: which of 65,536 grey values are black and
white, what lies behind transparent pixels, which frame of an animation is meant.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Source = str | Path | Image.Image | npt.NDArray[np.uint8]

_GREY, _COLOUR = ("1", "L", "LA", "La"), ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
_LAYOUTS = ("HWC", "CHW")
_CHANNELS = (1, 3, 4)


def load_picture(source: Source, layout: str | None = None) -> Image.Image:
    """The picture, upright as its EXIF data say, of mode "RGB", or "L" where it is grey.

    Args:
        source: a path, a PIL image, or a uint8 array [H, W], [H, W, C] or, with ``layout`` "CHW", [C, H, W].
        layout: "HWC" or "CHW", of an array that could be either.

    Raises:
        OSError: there is no such file.
        ValueError: it is no picture, is damaged, or needs a decision first (see above).
    """
    if isinstance(source, np.ndarray):
        return _flat(Image.fromarray(_channels_last(source, layout)), "picture")
    if isinstance(source, Image.Image):
        return _flat(ImageOps.exif_transpose(source), "picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as file:
                frames = getattr(file, "n_frames", 1)
                image: Image.Image = ImageOps.exif_transpose(file)
                image.load()
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged files
        raise ValueError(f"{source}: cannot be read as an image ({error})") from error
    if frames > 1:
        raise ValueError(f"{source}: an animation or stack of {frames} frames; extract the one that is meant")
    return _flat(image, str(source))


def _flat(image: Image.Image, name: str) -> Image.Image:
    if image.mode not in (*_GREY, *_COLOUR):
        # Pillow's conversion to RGB would clip the deeper ones to white instead of scaling them.
        raise ValueError(
            f"{name}: pixels of mode {image.mode}; expected 8 bits a channel. Choose what is black and what is white "
            "(for a medical image its window and level), scale to 0..255 and save that"
        )
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise ValueError(
            f"{name}: has transparent pixels; flatten it on the background that the model was trained with"
        )
    return image.convert("L" if image.mode in _GREY else "RGB")


def _channels_last(array: npt.NDArray[np.uint8], layout: str | None) -> npt.NDArray[np.uint8]:
    """[H, W] or [H, W, C]."""
    if layout not in (None, *_LAYOUTS):
        raise ValueError(f"layout {layout!r}; expected one of {', '.join(_LAYOUTS)}")
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise ValueError(f"picture {array.dtype} {list(array.shape)}; expected uint8 [H, W, C] or [H, W]")
    if array.ndim == 2:
        return array
    first, last = array.shape[0] in _CHANNELS, array.shape[2] in _CHANNELS
    if layout is None and first:
        either = "could be [H, W, C] or [C, H, W]" if last else "looks like [C, H, W]"
        raise ValueError(f"picture {list(array.shape)} {either}; give layout='HWC' or layout='CHW'")
    arranged = np.moveaxis(array, 0, 2) if layout == "CHW" else array
    if arranged.shape[2] not in _CHANNELS:
        raise ValueError(f"picture {list(array.shape)}: {arranged.shape[2]} channels; expected 1, 3 or 4")
    return np.ascontiguousarray(arranged[..., 0] if arranged.shape[2] == 1 else arranged)
