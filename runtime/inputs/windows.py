"""The parts of an image that are hidden, one at a time: a grid of windows, or the regions of a label map.

windows  boxes of one size on a grid (geometry.occlusion_grid); of a region of interest, those that touch it
regions  one a label: the box around its pixels, and which pixels of the box are its own

Of signals (L,), pictures (H, W) and volumes (D, H, W) alike.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes, Pair
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.by_value import ByValue

Roi = tuple[int, ...]
Size = int | tuple[int, ...]
Strides = Size | list[Size]
Labels = npt.NDArray[np.integer]

_AXES = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
_SIZES = {1: "(l,)", 2: "(h, w)", 3: "(d, h, w)"}


@dataclass(frozen=True, eq=False)
class Windows(ByValue):
    """The parts of an image of ``image_shape`` that are hidden, in the order of their scores.

    Attributes:
        image_shape: the sizes of the image's spatial axes.
        boxes: int32 [P, 4], (y0, x0, h, w); [P, 2n] of n spatial axes.
        shape: of the grid, (rows, columns) of a picture; of regions (1, labels).
        patch, stride: of a grid in pixels, one number an axis; None of regions.
        edge: "truncate", "valid" or "shift".
        roi: (y0, x0, y1, x1), all starts, then all ends, half-open: the map is wanted there only; None for everywhere.
        labels: the label of each region, ascending; None of windows.
        regions: int64 of the image's shape, the label of each pixel; None of windows.
    """

    image_shape: tuple[int, ...]
    boxes: Boxes
    shape: tuple[int, ...]
    patch: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    edge: str = "truncate"
    roi: Roi | None = None
    labels: npt.NDArray[np.int64] | None = None
    regions: npt.NDArray[np.int64] | None = None

    @property
    def grid(self) -> Pair:
        """(rows, columns) of a picture's windows."""
        rows, columns = self.shape
        return rows, columns

    @property
    def steps(self) -> Pair:
        """From one window of a picture to the next, (y, x) in pixels; regions have none and count as 1."""
        y, x = self.stride or (1, 1)
        return y, x

    @property
    def overlap(self) -> float:
        """The number of windows that share a pixel, in the middle of the image."""
        if self.patch is None or self.stride is None:
            return 1.0
        return math.prod(self.patch) / math.prod(self.stride)

    def mask(self, at: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_] | None:
        """Bool [sum of h*w]: which pixels of the boxes ``at`` are hidden, box after box; None for all of them."""
        if self.regions is None or self.labels is None:
            return None
        axes = len(self.image_shape)
        rows = []
        for index in at.tolist():
            box = self.boxes[index].tolist()
            area = tuple(slice(start, start + size) for start, size in zip(box[:axes], box[axes:], strict=True))
            rows.append((self.regions[area] == self.labels[index]).ravel())
        return np.concatenate(rows) if rows else np.zeros(0, np.bool_)

    def describe(self) -> str:
        """The windows in a few words."""
        if self.patch is None or self.stride is None:
            return f"{len(self.boxes)} regions"
        extent = f"{_times(self.patch)} pixels, stride {_times(self.stride)}"
        if len(self.shape) == 1:
            return f"{len(self.boxes)} of {extent}"
        return f"{_times(self.shape)} = {len(self.boxes)} of {extent}"


def find_windows(
    image_shape: Sequence[int],
    patch_sizes: Sequence[Size],
    stride: Strides,
    edge: str = "truncate",
    roi: Sequence[int] | None = None,
) -> list[Windows]:
    """One grid for each patch size; a list of strides gives each its own.

    Raises:
        OcclusionError: if there are no sizes, or another number of strides; and as :func:`grid_windows`.
    """
    strides = stride if isinstance(stride, list) else [stride] * len(patch_sizes)
    if not patch_sizes or len(strides) != len(patch_sizes):
        raise OcclusionError(
            f"{len(patch_sizes)} patch sizes and {len(strides)} strides; expected one stride, or one for each size"
        )
    pairs = zip(patch_sizes, strides, strict=True)
    return [grid_windows(image_shape, size, step, edge, roi) for size, step in pairs]


def grid_windows(
    image_shape: Sequence[int],
    patch_size: Size,
    stride: Size,
    edge: str = "truncate",
    roi: Sequence[int] | None = None,
) -> Windows:
    """The windows of a grid; with ``roi``, those that touch it, so that the map there is that of the whole grid.

    Raises:
        OcclusionError: if ``patch_size`` is larger than the image, ``stride`` is below 1, ``edge`` is unknown, or
            ``roi`` does not lie inside the image or no window touches it.
    """
    sizes, axes = tuple(image_shape), len(image_shape)
    patch, step = as_sizes(patch_size, "patch_size", axes), as_sizes(stride, "stride", axes)
    try:
        boxes = geometry.occlusion_grid(sizes, patch, step, edge)
    except ValueError as error:
        raise OcclusionError(str(error)) from error
    wanted = None if roi is None else check_roi(roi, sizes)
    if wanted is not None:
        boxes = boxes[geometry.touching(boxes, wanted)]
        if not len(boxes):
            raise OcclusionError(f"roi {wanted}: no window touches it; use a smaller stride or a larger patch")
    shape = tuple(len(np.unique(boxes[:, axis])) for axis in range(axes))
    return Windows(sizes, boxes, shape, patch, step, edge, wanted)


def segment_windows(labels: npt.ArrayLike, image_shape: Sequence[int], roi: Sequence[int] | None = None) -> Windows:
    """One region for each label of ``labels``, integers of the image's shape; every label counts, 0 too.

    Raises:
        OcclusionError: if ``labels`` are no integers of the image's shape, or ``roi`` does not lie inside the image.
    """
    array, sizes = np.asarray(labels), tuple(image_shape)
    if array.dtype.kind not in "iu" or array.shape != sizes:
        others = ", a file or 'slic:N'" if len(sizes) == 2 else ""
        raise OcclusionError(
            f"segments: expected integer labels of shape {sizes}, the model's image size{others}; "
            f"found {array.dtype} {array.shape}"
        )
    from scipy import ndimage  # 0.1 s to import

    known, dense = np.unique(array, return_inverse=True)
    index = dense.reshape(sizes)
    areas = ndimage.find_objects(index + 1)
    boxes = np.array([[*(a.start for a in area), *(a.stop - a.start for a in area)] for area in areas], np.int32)
    wanted = None if roi is None else check_roi(roi, sizes)
    if wanted is not None:
        some = np.unique(index[inside(wanted)])
        known, boxes = known[some], boxes[some]
    return Windows(
        sizes,
        boxes,
        (1, len(boxes)),
        roi=wanted,
        labels=known.astype(np.int64),
        regions=array.astype(np.int64),
    )


def check_roi(roi: Sequence[int], image_shape: Sequence[int]) -> Roi:
    """A region of interest inside the image: (y0, x0, y1, x1), and likewise of signals and volumes.

    Raises:
        OcclusionError: if ``roi`` does not hold two integers for each axis, or does not lie inside the image.
    """
    names = _AXES[len(image_shape)]
    try:
        numbers = tuple(operator.index(n) for n in roi)
    except (TypeError, ValueError):
        numbers = ()
    order = ", ".join([f"{name}0" for name in names] + [f"{name}1" for name in names])
    if len(numbers) != 2 * len(names):
        raise OcclusionError(f"roi: expected {2 * len(names)} integers {order}, found {roi!r}")
    starts, ends = numbers[: len(names)], numbers[len(names) :]
    if not all(0 <= start < end <= size for start, end, size in zip(starts, ends, image_shape, strict=True)):
        limits = " and ".join(f"0 <= {n}0 < {n}1 <= {size}" for n, size in zip(names, image_shape, strict=True))
        raise OcclusionError(f"roi {numbers}: expected {limits} ({order}; each end is the first pixel outside)")
    return numbers


def inside(roi: Roi) -> tuple[slice, ...]:
    """The region of interest as an index into arrays of the image's shape."""
    axes = len(roi) // 2
    return tuple(slice(start, end) for start, end in zip(roi[:axes], roi[axes:], strict=True))


def as_sizes(value: object, name: str, axes: int) -> tuple[int, ...]:
    """One number for each of ``axes`` axes, from as many or from one for all.

    Raises:
        OcclusionError: if ``value`` is anything else.
    """
    numbers: tuple[int, ...] = ()
    try:
        if isinstance(value, (int, np.integer)):
            numbers = (operator.index(value),) * axes
        elif isinstance(value, Sequence | np.ndarray):
            numbers = tuple(map(operator.index, value))
    except TypeError:
        numbers = ()
    if len(numbers) != axes:
        raise OcclusionError(f"{name}: expected an integer, or a tuple {_SIZES[axes]}; found {value!r}")
    return numbers


def as_pair(value: object, name: str) -> Pair:
    """(h, w) from a number or two.

    Raises:
        OcclusionError: if ``value`` is anything else.
    """
    height, width = as_sizes(value, name, 2)
    return height, width


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
