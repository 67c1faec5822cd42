"""Checks of the arrays that a caller gives to a session, before any of them reaches onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.contract.geometry import Boxes, Pair
from krypton_compile.contract.layouts import KINDS
from krypton_compile.contract.occlude import leave_image
from krypton_compile.errors import OcclusionError

_ROWS = {1: "(x0, w)", 2: "(y0, x0, h, w)", 3: "(z0, y0, x0, d, h, w)"}
_Entry = TypeVar("_Entry", bound=np.generic)
_SIZES = {1: "(L)", 2: "(H, W)", 3: "(D, H, W)"}


def check_image(
    image: object, name: str, shape: tuple[int, ...], full: tuple[int, ...] | None = None
) -> npt.NDArray[np.float32]:
    """Check that an image is a finite float32 array of exactly ``shape``, or of its ``full`` form; return the latter.

    Raises:
        OcclusionError: if ``image`` has another dtype or shape, or holds NaN or infinity; the message says what to do.
    """
    array = validate.as_array(name, image)
    if array.dtype != np.float32:
        raise OcclusionError(f"{name}: expected float32, found {array.dtype}; convert with .astype(numpy.float32)")
    if array.shape not in (shape, full):
        raise OcclusionError(f"{name}: expected shape {shape}, found {array.shape}")
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(index) for index in np.argwhere(~finite)[0])
        raise OcclusionError(
            f"{name}: holds {array[where]} at {where}; expected finite numbers. Check its preprocessing."
        )
    return np.ascontiguousarray(array).reshape(full or shape)


def make_baseline(
    baseline: object, shape: tuple[int, ...], full: tuple[int, ...] | None = None
) -> npt.NDArray[np.float32]:
    """Make a baseline of the image's shape from a number or an array; see :func:`check_image`.

    Raises:
        OcclusionError: if ``baseline`` is neither a finite number nor a finite array of the image's shape.
    """
    if isinstance(baseline, (int, float, np.floating, np.integer)):
        return check_image(np.full(shape, baseline, np.float32), "baseline", shape, full)
    return check_image(baseline, "baseline", shape, full)


def check_picture(spatial: tuple[int, ...]) -> Pair:
    """Check that a model's input is a picture; its (H, W).

    Raises:
        OcclusionError: if ``spatial`` are the sizes of a signal or a volume.
    """
    if len(spatial) != 2:
        raise OcclusionError(
            f"the model's input is a {KINDS[len(spatial)]} of {list(spatial)}, and this is for pictures; "
            "explain() and score() take it as an array"
        )
    return spatial[0], spatial[1]


def check_boxes(boxes: object, image_shape: tuple[int, ...]) -> Boxes:
    """Check boxes: int32 [P, 4] inside the image; of signals and volumes [P, 2n].

    Raises:
        OcclusionError: if ``boxes`` have another dtype or shape, or one has a negative size or leaves the image.
    """
    array: npt.NDArray[Any] = validate.as_array("boxes", boxes)
    axes = len(image_shape)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != 2 * axes:
        raise OcclusionError(
            f"boxes: expected integers of shape [P, {2 * axes}], rows {_ROWS[axes]}; found {array.dtype} {array.shape}"
        )
    bad = leave_image(array, image_shape)
    if bad.any():
        row = int(bad.argmax())
        raise OcclusionError(
            f"boxes: row {row} {_ROWS[axes].replace(' ', '')} {array[row].tolist()} does not lie inside the image "
            f"{_SIZES[axes]} {tuple(image_shape)}; clip it first"
        )
    return np.ascontiguousarray(array, np.int32)


def check_rows(rows: npt.ArrayLike, name: str, dtype: type[_Entry], shape: tuple[int, ...]) -> npt.NDArray[_Entry]:
    """Check patches or a mask: an array of exactly the shape that the boxes ask for.

    Raises:
        OcclusionError: if ``rows`` have another dtype or shape, or are not finite.
    """
    array = validate.as_array(name, rows)
    if array.dtype != dtype or array.shape != shape:
        wanted = f"{np.dtype(dtype).name} {shape}"
        raise OcclusionError(
            f"{name}: expected {wanted}, a row a pixel of the boxes; found {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        raise OcclusionError(f"{name}: expected finite numbers")
    return np.ascontiguousarray(array, dtype)


def check_classes(classes: Sequence[int] | None, count: int) -> npt.NDArray[np.int64]:
    """Check class indices: int64, all ``count`` of them when ``classes`` is None.

    Raises:
        OcclusionError: if ``classes`` is no list of integers, or one of them is no class.
    """
    if classes is None:
        return np.arange(count)
    array: npt.NDArray[Any] = validate.as_array("classes", classes)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise OcclusionError(f"classes: expected a list of class indices, found {validate.show(classes)}")
    bad = (array < 0) | (array >= count)
    if bad.any():
        raise OcclusionError(f"class {array[bad.argmax()]}: expected one from 0 to {count - 1}")
    return array.astype(np.int64)
