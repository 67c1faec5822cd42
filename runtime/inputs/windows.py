"""What is hidden, one part at a time: a grid of windows, or the regions of a label map. Pure geometry.

windows  rows x columns boxes (geometry.occlusion_grid); of a region of interest, those that touch it
regions  one a label: the box around its pixels, and which pixels of the box are its own
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes, Pair
from krypton_compile.errors import OcclusionError

Roi = tuple[int, int, int, int]
Size = int | tuple[int, int]
Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Windows:
    """The parts of an image of ``image_shape`` (H, W) that are hidden, in the order of their scores.

    Attributes:
        boxes: int32 [rows * columns, 4], (y0, x0, h, w).
        shape: (rows, columns); of regions (1, labels).
        patch, stride: (h, w) in pixels; None of regions.
        edge: "truncate", "valid" or "shift".
        roi: (y0, x0, y1, x1), half-open: the map is wanted there only; None for everywhere.
        labels: the label of each region, ascending; None of windows.
        regions: int64 [H, W], the label of each pixel; None of windows.
    """

    image_shape: Pair
    boxes: Boxes
    shape: Pair
    patch: Pair | None = None
    stride: Pair | None = None
    edge: str = "truncate"
    roi: Roi | None = None
    labels: npt.NDArray[np.int64] | None = None
    regions: npt.NDArray[np.int64] | None = None

    @property
    def overlap(self) -> float:
        """How many windows share a pixel, in the middle of the image."""
        if self.patch is None or self.stride is None:
            return 1.0
        return self.patch[0] * self.patch[1] / (self.stride[0] * self.stride[1])

    def mask(self, at: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_] | None:
        """Bool [sum of h*w]: which pixels of the boxes ``at`` are hidden, box after box; None for all of them."""
        if self.regions is None or self.labels is None:
            return None
        rows = []
        for index in at.tolist():
            y0, x0, h, w = self.boxes[index].tolist()
            rows.append((self.regions[y0 : y0 + h, x0 : x0 + w] == self.labels[index]).ravel())
        return np.concatenate(rows) if rows else np.zeros(0, np.bool_)

    def describe(self) -> str:
        """In a few words."""
        if self.patch is None or self.stride is None:
            return f"{len(self.boxes)} regions"
        rows, columns = self.shape
        extent = f"{self.patch[0]} x {self.patch[1]} pixels, stride {self.stride[0]} x {self.stride[1]}"
        return f"{rows} x {columns} = {len(self.boxes)} of {extent}"


def find_windows(
    image_shape: Pair,
    patch_size: Size | list[Size],
    stride: Size | list[Size],
    edge: str = "truncate",
    roi: Sequence[int] | None = None,
) -> list[Windows]:
    """One grid a patch size; a list of strides gives each its own.

    Raises:
        OcclusionError: no sizes, another number of strides, or as :func:`grid_windows`.
    """
    sizes = patch_size if isinstance(patch_size, list) else [patch_size]
    strides = stride if isinstance(stride, list) else [stride] * len(sizes)
    if not sizes or len(strides) != len(sizes):
        raise OcclusionError(f"{len(sizes)} patch sizes and {len(strides)} strides; expected one stride, or one a size")
    return [grid_windows(image_shape, size, step, edge, roi) for size, step in zip(sizes, strides, strict=True)]


def grid_windows(
    image_shape: Pair,
    patch_size: Size,
    stride: Size,
    edge: str = "truncate",
    roi: Sequence[int] | None = None,
) -> Windows:
    """The windows of a grid; with ``roi``, those that touch it, so that the map there is that of the whole grid.

    Raises:
        OcclusionError: a patch larger than the image, a stride below 1, another edge, a roi that does not lie inside
            the image or that no window touches.
    """
    patch, step = as_pair(patch_size, "patch_size"), as_pair(stride, "stride")
    try:
        boxes = geometry.occlusion_grid(image_shape, patch, step, edge)
    except ValueError as error:
        raise OcclusionError(str(error)) from error
    wanted = None if roi is None else check_roi(roi, image_shape)
    if wanted is not None:
        boxes = boxes[geometry.touching(boxes, wanted)]
        if not len(boxes):
            raise OcclusionError(f"roi {wanted}: no window touches it; use a smaller stride or a larger patch")
    rows = len(np.unique(boxes[:, 0]))
    return Windows(image_shape, boxes, (rows, len(boxes) // rows), patch, step, edge, wanted)


def segment_windows(labels: npt.ArrayLike, image_shape: Pair, roi: Sequence[int] | None = None) -> Windows:
    """One region a label of ``labels``, integers [H, W]; every label counts, 0 too.

    Raises:
        OcclusionError: no integers of the image's shape, or a bad roi.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.shape != image_shape:
        raise OcclusionError(
            f"segments: expected integer labels of shape {image_shape}, the model's image size, a file or 'slic:N'; "
            f"found {array.dtype} {array.shape}"
        )
    from scipy import ndimage  # 0.1 s to import

    found, dense = np.unique(array, return_inverse=True)
    index = dense.reshape(image_shape)
    slices = ndimage.find_objects(index + 1)
    boxes = np.array([[y.start, x.start, y.stop - y.start, x.stop - x.start] for y, x in slices], np.int32)
    wanted = None if roi is None else check_roi(roi, image_shape)
    if wanted is not None:
        y0, x0, y1, x1 = wanted
        kept = np.unique(index[y0:y1, x0:x1])
        found, boxes = found[kept], boxes[kept]
    return Windows(
        image_shape,
        boxes,
        (1, len(boxes)),
        roi=wanted,
        labels=found.astype(np.int64),
        regions=array.astype(np.int64),
    )


def check_roi(roi: Sequence[int], image_shape: Pair) -> Roi:
    """(y0, x0, y1, x1) inside the image.

    Raises:
        OcclusionError: it is not.
    """
    try:
        y0, x0, y1, x1 = (operator.index(n) for n in roi)
    except (TypeError, ValueError):
        raise OcclusionError(f"roi: expected four integers y0, x0, y1, x1, found {roi!r}") from None
    height, width = image_shape
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise OcclusionError(
            f"roi {(y0, x0, y1, x1)}: expected 0 <= y0 < y1 <= {height} and 0 <= x0 < x1 <= {width} "
            "(y0, x0, y1, x1; y1 and x1 are the first row and column outside)"
        )
    return y0, x0, y1, x1


def as_pair(value: int | Sequence[int], name: str) -> Pair:
    """(h, w) from a number or two.

    Raises:
        OcclusionError: anything else.
    """
    try:
        numbers = [operator.index(value)] * 2 if isinstance(value, (int, np.integer)) else [*map(operator.index, value)]
    except TypeError:
        numbers = []
    if len(numbers) != 2:
        raise OcclusionError(f"{name}: expected an integer or two (h, w), found {value!r}")
    return numbers[0], numbers[1]
