"""Make a model's input of a picture: the one place where pixels become numbers.

An occluder is given as a pixel as well, so black is (0 - mean) / std in the input, not 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.runtime.by_value import ByValue
from krypton_compile.runtime.inputs.pictures import ArrayLayout, PictureSource, load_picture
from krypton_compile.runtime.inputs.resized import resized

COLOURS = {"black": 0.0, "white": 255.0, "gray": 128.0, "grey": 128.0}
_AXES = {"NCHW": (2, 0, 1), "NHWC": (0, 1, 2)}


@dataclass(frozen=True, eq=False)
class Prepared(ByValue):
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
    """Make a picture the input of a model that takes ``size`` (H, W) and ``channels`` 3 or 1 (grey).

    ``picture_layout`` is that of an array that could be read two ways, see :func:`load_picture`.

    Raises:
        OSError, ValueError: as :func:`load_picture`, or if ``options`` do not fit the model or the picture.
    """
    if channels not in (1, 3):
        raise ValueError(f"the model's input has {channels} channels; pictures have 3 (colour) or 1 (grey)")
    options.check_fits(size, channels)
    picture = load_picture(source, picture_layout).convert("RGB" if channels == 3 else "L")
    image = resized(picture, options, size)
    shown = np.asarray(image.convert("RGB"))
    bands = [image] if options.whole else [resized(band.convert("F"), options, size) for band in picture.split()]
    pixels = np.stack([np.asarray(band, np.float32).reshape(*size, -1) for band in bands], axis=3)
    return Prepared(to_input(pixels.reshape(*size, channels), options, layout), shown)


def to_input(pixels: npt.NDArray[np.float32], options: Preprocessing, layout: str = "NCHW") -> npt.NDArray[np.float32]:
    """Turn a picture's pixels [H, W, C], 0..255, red first, into the model's input [1, C, H, W] or [1, H, W, C].

    Raises:
        ValueError: if ``layout`` is none of a picture, or ``options`` are for another number of channels.
    """
    if layout not in _AXES:
        raise ValueError(f"layout {layout!r}; expected one of {', '.join(_AXES)}")
    ordered = pixels[..., ::-1] if options.channel_order == "BGR" else pixels
    return np.ascontiguousarray(options.normalise(ordered).transpose(_AXES[layout])[None], np.float32)


def baseline_input(
    baseline: str | float, options: Preprocessing, size: tuple[int, int], channels: int = 3, layout: str = "NCHW"
) -> npt.NDArray[np.float32]:
    """Make an occluder of one pixel value - a name of ``COLOURS`` or a number in 0..255 - as a whole model input.

    Raises:
        ValueError: if ``baseline`` names no colour and is no pixel value.
    """
    try:
        pixel = COLOURS[baseline] if isinstance(baseline, str) and baseline in COLOURS else float(baseline)
    except ValueError:
        raise ValueError(f"baseline {baseline!r}; expected {', '.join(COLOURS)} or a pixel value 0..255") from None
    if not 0 <= pixel <= 255:
        raise ValueError(f"baseline {baseline}; expected a pixel value between 0 and 255")
    return to_input(np.full((*size, channels), pixel, np.float32), options, layout)
