"""Read what a caller gives as an image: the model's own input, or a picture on its way to become one.

floats of the model's input, in either axis order (given.py)      the input itself
path, bytes, file, PIL image, uint8 array [H, W, C] or [H, W]     a picture, through the model's preprocessing
Prepared (prepare.py)                                             a picture that has been through it
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
from PIL import Image

from krypton_compile.contract.layouts import last_channels
from krypton_compile.contract.preprocessing import UNKNOWN_PREPROCESSING, Preprocessing
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.inputs.given import as_array, is_stream, own_input
from krypton_compile.runtime.inputs.pictures import ArrayLayout
from krypton_compile.runtime.inputs.prepare import Prepared, prepare


def is_picture(image: object) -> bool:
    """Tell a picture from a model's input."""
    if isinstance(image, (str, os.PathLike, Image.Image, Prepared)) or is_stream(image):
        return True
    return str(getattr(image, "dtype", "")) in ("uint8", "torch.uint8")


def read_input(
    image: object,
    shape: tuple[int, ...],
    layout: str,
    preprocessing: Preprocessing | None,
    picture_layout: ArrayLayout | None = None,
    own_shape: tuple[int, ...] | None = None,
) -> Prepared:
    """Read an image as the model's input of ``shape``, and a picture to draw maps over.

    Args:
        image: one of the kinds that the module's docstring lists.
        shape: the model's input shape.
        layout: "NCHW" or "NHWC", the model's.
        preprocessing: how pictures become its input; None where that is not known.
        picture_layout: "HWC" or "CHW", of a uint8 array that could be either.
        own_shape: the input's in the model's file, where it lacks an axis of ``shape``; arrays may have it, too.

    Raises:
        OcclusionError: if ``image`` is an array of another kind or shape, or a picture and ``preprocessing`` is None.
        OSError, ValueError: if ``image`` is a picture that cannot be read.
    """
    channels = shape[1 if layout == "NCHW" else 3]
    size = (shape[2], shape[3]) if layout == "NCHW" else (shape[1], shape[2])
    if isinstance(image, Prepared):
        return image
    image = as_array(image)
    if is_picture(image):
        if isinstance(image, np.ndarray) and image.ndim == 4 and len(image) == 1:
            image = image[0]
        if preprocessing is None:
            raise OcclusionError(f"{UNKNOWN_PREPROCESSING}; in Python, preprocessing='imagenet' and the like")
        return prepare(image, preprocessing, size, channels, layout, picture_layout)  # type: ignore[arg-type]
    tensor = own_input(image, "image", shape, layout, preprocessing, own_shape)
    return Prepared(tensor, show_input(tensor, layout, preprocessing))


def show_input(
    tensor: npt.NDArray[np.float32], layout: str, preprocessing: Preprocessing | None
) -> npt.NDArray[np.uint8]:
    """Draw a model's input, uint8 RGB [H, W, 3]: its pixels where the preprocessing is known, else stretched.

    Stretched: the smallest number becomes black, the largest white. Of one channel, grey; of two, or of more than
    three, their mean.
    """
    shown = last_channels(tensor, layout).astype(np.float64)
    if preprocessing is not None:
        mean, std = (np.asarray(numbers, np.float64) for numbers in (preprocessing.mean, preprocessing.std))
        shown = (shown * std + mean) * preprocessing.scale
        if preprocessing.channel_order == "BGR":
            shown = shown[..., ::-1]
    else:
        low, high = float(shown.min()), float(shown.max())
        shown = (shown - low) * (255 / (high - low) if high > low else 0)
    if shown.shape[2] != 3:
        shown = np.repeat(shown.mean(axis=2, keepdims=True), 3, axis=2)
    picture: npt.NDArray[np.uint8] = np.rint(np.clip(shown, 0, 255)).astype(np.uint8)
    return picture
