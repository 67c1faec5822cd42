"""What a caller gives in place of an image: tensors of any library, nested lists, a batch, a list of pictures.

tensor [1, C, H, W], [C, H, W] or [H, W, C] of floats     the model's input, in its own axis order or the other one
batch [N, ...], list of pictures or of arrays             several images, one after the other
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from krypton_compile.contract import validate
from krypton_compile.contract.layouts import axes_of, channel_axis, swapped
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.inputs import arrays

_DEEP = "choose the window (level and width) that the model was trained with and map it to 0..255 as uint8"


def is_stream(image: object) -> bool:
    """Tell a picture's encoded bytes, or a file of them, from anything else."""
    return isinstance(image, bytes | bytearray | memoryview | io.IOBase) or callable(getattr(image, "read", None))


def as_array(image: object) -> Any:
    """Make an array of a tensor, a nested list or a scalar; what is none stays as it is.

    A tensor of torch may need gradients, lie on a GPU or have 16 bits; one of another library converts itself.
    """
    if callable(getattr(image, "detach", None)) and callable(getattr(image, "cpu", None)):
        tensor: Any = image
        tensor = tensor.detach().cpu()
        return tensor.numpy() if "bfloat16" not in str(tensor.dtype) else tensor.float().numpy()
    if isinstance(image, np.ndarray | str | os.PathLike | Image.Image) or is_stream(image):
        return image
    if isinstance(image, list | tuple) or hasattr(image, "__array__"):
        return validate.as_array("image or baseline", image)
    return image


def several(image: object, shape: tuple[int, ...], own_shape: tuple[int, ...] | None = None) -> list[object] | None:
    """Take several images apart: the entries of a list of images or of a batch; None where ``image`` is one.

    Args:
        image: what a caller gives.
        shape: the shape of one image, [1, ...] with all axes.
        own_shape: the shape of the model's own input, where it lacks some.

    Raises:
        OcclusionError: if there is no image in it.
    """
    if isinstance(image, list | tuple):
        if not image:
            raise OcclusionError("image: an empty list; expected a picture or an array, or a list of some")
        return None if _is_numbers(image) else list(image)
    array = as_array(image)
    if not isinstance(array, np.ndarray) or array.ndim == 0 or len(array) == 1:
        return None
    own = own_shape is not None and own_shape[0] == 1 and array.shape[1:] == own_shape[1:]
    if array.ndim != len(shape) and not own:
        return None
    if not len(array):
        raise OcclusionError(f"image: a batch of shape {list(array.shape)}; expected at least one image")
    return [array[row : row + 1] for row in range(len(array))]


@contextmanager
def naming(number: int, count: int) -> Iterator[None]:
    """Let errors say which of several images they are about."""
    try:
        yield
    except (OcclusionError, OSError, ValueError) as error:
        error.add_note(f"image {number} of {count}, counted from 0")
        raise


def own_input(
    image: object,
    name: str,
    shape: tuple[int, ...],
    layout: str,
    preprocessing: Preprocessing | None = None,
    own_shape: tuple[int, ...] | None = None,
) -> npt.NDArray[np.float32]:
    """Read a model's own input: numbers of any float type, with or without a batch axis, channels first or last.

    Args:
        image: an array, a tensor or nested lists.
        name: what messages call it.
        shape: the shape of one image, [1, ...] with all axes, which the result has.
        layout: its axis order.
        preprocessing: how pictures become the input, where that is known. Floats from 0 to 1 with their axes in the
            other order may then be a picture as well, and are taken where both mean the same.
        own_shape: the shape of the model's own input, where it lacks some axes.

    Raises:
        OcclusionError: if it holds integers, has another shape, may be a picture, or is not finite.
    """
    array = as_array(image)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb":
        found = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else type(image).__name__
        raise OcclusionError(
            f"{name}: found {found}; expected a picture (a path, bytes, a file, a PIL image or uint8 pixels "
            f"[H, W, C]), or the model's input, floats {list(shape)}"
        )
    own = own_shape or shape
    if array.shape == own or (own[0] == 1 and array.shape == own[1:]):
        array = array.reshape(shape)
    if array.dtype.kind != "f":
        raise OcclusionError(f"{name}: {_integers(array, shape)}")
    ordered = _ordered(array, name, shape, layout, own)
    if ordered is not array and _may_be_picture(array, shape, layout) and not _same_as_picture(preprocessing):
        raise OcclusionError(
            f"{name}: floats {list(array.shape)} from 0 to 1 may be a picture, or the model's input {list(shape)} with "
            "its axes in the other order. Give a picture as uint8 pixels, (255 * image).round().astype('uint8'), or "
            "the model's input in its own order"
        )
    with np.errstate(over="ignore"):
        return arrays.check_image(ordered.astype(np.float32, copy=False), name, shape)


def _ordered(
    array: npt.NDArray[Any], name: str, shape: tuple[int, ...], layout: str, own: tuple[int, ...]
) -> npt.NDArray[Any]:
    """The array in the model's shape; the very same array where it has that already."""
    if array.shape == shape:
        return array
    one = array[0] if array.ndim == len(shape) and len(array) == 1 else array
    if one.shape == shape[1:]:
        return one[None]
    axes, channel = axes_of(layout), channel_axis(layout) - 1
    if one.shape == shape[1:][:channel] + shape[1:][channel + 1 :] and shape[1:][channel] == 1:
        return np.expand_dims(one, channel)[None]
    other = swapped(layout)
    if one.ndim == axes + 1:
        moved = np.moveaxis(one, channel_axis(other) - 1, channel)
        if moved.shape == shape[1:]:
            return np.ascontiguousarray(moved)[None]
    turned = tuple(np.moveaxis(np.empty(shape[1:], np.bool_), channel, channel_axis(other) - 1).shape)
    raise OcclusionError(
        f"{name}: expected shape {own}, or {list(shape[1:])} or {list(turned)} of one image, found {array.shape}"
    )


def _may_be_picture(array: npt.NDArray[Any], shape: tuple[int, ...], layout: str) -> bool:
    """Whether floats look like a picture: from 0 to 1, and their axes in another order than the model's."""
    one = array[0] if array.ndim == len(shape) else array
    turned = axes_of(layout) == 2 and one.ndim == 3 and one.shape != shape[1:]
    return bool(turned and array.size and array.min() >= 0 and array.max() <= 1)


def _same_as_picture(preprocessing: Preprocessing | None) -> bool:
    """Whether a picture's pixels from 0 to 1 are the model's input, or the model says nothing of pictures."""
    if preprocessing is None:
        return True
    plain = preprocessing.channel_order == "RGB" and preprocessing.scale == 255
    mean, std = np.asarray(preprocessing.mean, np.float64), np.asarray(preprocessing.std, np.float64)
    return bool(plain and not mean.any() and (std == 1).all())


def _integers(array: npt.NDArray[Any], shape: tuple[int, ...]) -> str:
    kind = f"{array.dtype} {list(array.shape)}"
    if array.dtype == np.uint8:
        return f"found {kind}, and the model's input is no picture; give it as float32 {list(shape)}"
    if array.dtype == np.uint16:
        return f"{kind} is a picture deeper than 8 bits; {_DEEP}. A model's own input is float32 {list(shape)}"
    return (
        f"{kind} is neither a picture, which is uint8, nor the model's input, float32 {list(shape)}. Of a picture "
        f"{_DEEP}; if these are the model's own numbers, convert them with .astype('float32')"
    )


def _is_numbers(values: Sequence[Any]) -> bool:
    """Whether nested lists hold nothing but numbers."""
    first = values[0]
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(first, bool | int | float | np.number) and not isinstance(values[0], np.ndarray)
