"""Occluded images, and what a window changes: on any number of spatial axes, in any axis order.

Every image that is really occluded, to check or to verify a result, is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import last_channels

_Entry = TypeVar("_Entry", bound=np.generic)
_Number = TypeVar("_Number", np.int64, np.float64)


def occlude(
    image: npt.NDArray[_Entry],
    boxes: Boxes,
    shown: npt.NDArray[np.generic] | float,
    layout: str,
    mask: npt.NDArray[np.generic] | None = None,
) -> npt.NDArray[_Entry]:
    """Copy an image once for each box, with other pixels inside the box.

    Args:
        image: [1, C, H, W] or [1, H, W, C]; of signals and volumes with one or three spatial axes.
        boxes: int32 [P, 4], rows (y0, x0, h, w); [P, 2n] of n spatial axes: all starts, then all sizes.
        shown: what shows inside a box: a number; an array like ``image``, of which the box's own place shows; or the
            pixels of all boxes [sum of h*w, C], box after box, rows first.
        layout: the axis order of ``image``, such as "NCHW".
        mask: bool [sum of h*w], which pixels of the boxes are replaced; all when None.

    Returns:
        [P, ...] of the image's dtype.
    """
    copies = np.repeat(image, len(boxes), axis=0)
    axes = boxes.shape[1] // 2
    whole = shown if isinstance(shown, np.ndarray) and shown.ndim == image.ndim else None
    rows = shown if isinstance(shown, np.ndarray) and whole is None else None
    first = 0
    for index, box in enumerate(boxes.tolist()):
        sizes = box[axes:]
        area = tuple(slice(start, start + size) for start, size in zip(box[:axes], sizes, strict=True))
        pixels = last_channels(copies[index : index + 1], layout)[area]
        part = slice(first, first + pixels[..., 0].size)
        first = part.stop
        new: npt.NDArray[np.generic] | float
        if whole is not None:
            new = last_channels(whole, layout)[area]
        else:
            new = shown if rows is None else rows[part].reshape(pixels.shape)
        pixels[...] = new if mask is None else np.where(mask[part].reshape(*sizes, 1), new, pixels)
    return copies


def leave_image(boxes: npt.NDArray[np.integer], image_shape: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Tell which boxes [P, 2n], integers of any width, do not lie inside an image of n sizes: bool [P].

    No start and size are added: their sum may be beyond 64 bits, and then looks like a box inside.
    """
    if boxes.dtype.kind == "u":  # what 64 bits with a sign do not hold leaves every image
        boxes = np.minimum(boxes, np.iinfo(np.int64).max)
    starts, sizes = np.split(boxes.astype(np.int64), 2, axis=1)
    negative = (starts < 0) | (sizes < 0)
    return np.asarray((negative | (starts > np.asarray(image_shape) - np.maximum(sizes, 0))).any(axis=1))


def changed_boxes(different: npt.NDArray[np.bool_], boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Tell which boxes [P, 2n] hold a pixel that differs: bool [P] from ``different``, bool of the n spatial axes."""
    changed: npt.NDArray[np.bool_] = box_sums(different.astype(np.int64), boxes) > 0
    return changed


def box_sums(numbers: npt.NDArray[_Number], boxes: Boxes) -> npt.NDArray[_Number]:
    """Sum ``numbers`` (n spatial axes) over each box [P, 2n], by a summed-area table: [P]."""
    table = np.pad(numbers, [(1, 0)] * numbers.ndim)
    for axis in range(numbers.ndim):
        table = table.cumsum(axis=axis)
    starts, sizes = np.split(boxes.astype(np.int64), 2, axis=1)
    total = np.zeros(len(boxes), table.dtype)
    for ends in product((1, 0), repeat=numbers.ndim):
        corners = table[tuple((starts + sizes * ends).T)]
        total = total - corners if ends.count(0) % 2 else total + corners
    return total
