"""What a caller gives to a session, checked before any of it reaches onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import OcclusionError
from krypton_compile.geometry import Boxes


def check_image(image: object, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """The array if it is a finite float32 of exactly ``shape``.

    Raises:
        OcclusionError: naming what differs and the remedy.
    """
    array = np.asarray(image)
    if array.dtype != np.float32:
        raise OcclusionError(f"{name}: expected float32, found {array.dtype}; convert with .astype(numpy.float32)")
    if array.shape != shape:
        raise OcclusionError(f"{name}: expected shape {shape}, found {array.shape}")
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(index) for index in np.argwhere(~finite)[0])
        raise OcclusionError(
            f"{name}: holds {array[where]} at {where}; expected finite numbers. Check its preprocessing."
        )
    return np.ascontiguousarray(array)


def make_baseline(baseline: object, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """A baseline of the image's shape from a number or an array.

    Raises:
        OcclusionError: neither a finite number nor a finite array of the image's shape.
    """
    if isinstance(baseline, (int, float, np.floating, np.integer)):
        return check_image(np.full(shape, baseline, np.float32), "baseline", shape)
    return check_image(baseline, "baseline", shape)


def check_boxes(boxes: object, image_shape: tuple[int, int]) -> Boxes:
    """int32 [P, 4] boxes inside the image.

    Raises:
        OcclusionError: another dtype or shape, a negative size, or a box outside the image (named).
    """
    array = np.asarray(boxes)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != 4:
        raise OcclusionError(
            f"boxes: expected integers of shape [P, 4], rows (y0, x0, h, w); found {array.dtype} {array.shape}"
        )
    wide = array.astype(np.int64)
    end_y, end_x = wide[:, 0] + wide[:, 2], wide[:, 1] + wide[:, 3]
    bad = (wide < 0).any(axis=1) | (end_y > image_shape[0]) | (end_x > image_shape[1])
    if bad.any():
        row = int(bad.argmax())
        raise OcclusionError(
            f"boxes: row {row} (y0,x0,h,w) {wide[row].tolist()} does not lie inside the image "
            f"(H, W) {tuple(image_shape)}; clip it first"
        )
    return np.ascontiguousarray(array, np.int32)


def check_rows(rows: object | None, name: str, dtype: type, shape: tuple[int, ...]) -> npt.NDArray[np.generic] | None:
    """Patches or mask: None, or an array of exactly the shape that the boxes ask for.

    Raises:
        OcclusionError: another dtype or shape, or not finite.
    """
    if rows is None:
        return None
    array = np.asarray(rows)
    if array.dtype != dtype or array.shape != shape:
        wanted = f"{np.dtype(dtype).name} {shape}"
        raise OcclusionError(
            f"{name}: expected {wanted}, a row a pixel of the boxes; found {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        raise OcclusionError(f"{name}: expected finite numbers")
    return np.ascontiguousarray(array)


def make_tau(value: float | Sequence[float], groups: Sequence[str]) -> npt.NDArray[np.float32]:
    """The propagation threshold, float32 [1] or [G], from a number or one for each layer group.

    Raises:
        OcclusionError: another number of values, or one that is not in (0, 1].
    """
    tau = _per_group("tau", value, groups)
    if not ((tau > 0) & (tau <= 1)).all():
        raise OcclusionError(f"tau: expected more than 0 and at most 1 (exact), found {value!r}")
    return tau


def make_eps(value: float | Sequence[float], groups: Sequence[str]) -> npt.NDArray[np.float32]:
    """The value threshold, likewise.

    Raises:
        OcclusionError: another number of values, or one that is not in [0, 1).
    """
    eps = _per_group("eps", value, groups)
    if not ((eps >= 0) & (eps < 1)).all():
        raise OcclusionError(f"eps: expected 0 (exact) or more, and less than 1, found {value!r}")
    return eps


def _per_group(name: str, value: float | Sequence[float], groups: Sequence[str]) -> npt.NDArray[np.float32]:
    try:
        array = np.atleast_1d(np.asarray(value, np.float32))
    except (TypeError, ValueError):
        array = np.zeros((0, 0), np.float32)
    if array.ndim != 1 or len(array) not in (1, len(groups)):
        raise OcclusionError(
            f"{name}: expected one number, or {len(groups)} for the layer groups {', '.join(groups)}; found {value!r}"
        )
    return array


def check_classes(classes: Sequence[int] | None, count: int) -> npt.NDArray[np.int64]:
    """int64 class indices: those given, or all ``count`` of them when None.

    Raises:
        OcclusionError: not a list of integers, or one that is no class.
    """
    if classes is None:
        return np.arange(count)
    array = np.asarray(classes)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise OcclusionError(f"classes: expected a list of class indices, found {classes!r}")
    bad = (array < 0) | (array >= count)
    if bad.any():
        raise OcclusionError(f"class {array[bad.argmax()]}: expected one from 0 to {count - 1}")
    return array.astype(np.int64)


def changed_boxes(different: npt.NDArray[np.bool_], boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Which boxes hold any pixel that differs; ``different`` bool [H, W], by a summed-area table."""
    table = np.zeros((different.shape[0] + 1, different.shape[1] + 1), np.int64)
    table[1:, 1:] = different.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    y0, x0, h, w = (boxes[:, i].astype(np.int64) for i in range(4))
    y1, x1 = y0 + h, x0 + w
    inside = table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]
    changed: npt.NDArray[np.bool_] = inside > 0
    return changed
