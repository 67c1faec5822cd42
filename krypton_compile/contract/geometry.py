"""Geometry of growing boxes: pure integers, no tensors, no graphs.

A box is ``(y0, x0, h, w)``, int32, on one feature map; the empty box is ``(0, 0, 0, 0)``. Boxes come in arrays
``[P, 4]``, one row a patch position. Of signals and volumes callers give ``[P, 2n]``, all starts, then all sizes;
inside, a volume of D slices is D maps a position, row p*D + z that of slice z, and a signal a map of one row.

For one axis, a window op with kernel K, stride S, begin pad p and dilation d reads, for output o, the inputs
``o*S - p + d*k``, k in [0, K). With ``k_eff = d*(K-1) + 1`` the outputs that read anything of the half-open input
interval [lo, hi) are (DESIGN section 3; the paper's section 4.1 states the same for square patches)

    lo' = ceil((lo + p - k_eff + 1) / S)      hi' = floor((hi - 1 + p) / S) + 1

clipped to [0, out). ``out`` is given, so asymmetric pads and ceil_mode need no further rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pair = tuple[int, int]
Boxes = npt.NDArray[np.int32]
"""int32 [P, 4] rows of (y0, x0, h, w); [P, 2n] where callers give them."""

SMALLEST_CHUNK = 4
"""Positions below which a chunk costs more in calls of small ops than a thread more saves."""


@dataclass(frozen=True)
class Window:
    """A sliding window over a map: kernel, strides, begin pads, dilations, map sizes; (y, x) each."""

    kernel: Pair
    strides: Pair
    pads: Pair
    dilations: Pair
    input_shape: Pair
    output_shape: Pair


@dataclass(frozen=True)
class DepthWindow:
    """A sliding window along the slices of a volume; ``pad`` before them may be negative and drop some."""

    kernel: int
    stride: int
    pad: int
    dilation: int
    input_depth: int
    output_depth: int

    @property
    def trivial(self) -> bool:
        """Tell whether each slice becomes one by itself."""
        return (self.kernel, self.stride, self.pad) == (1, 1, 0) and self.input_depth == self.output_depth


def window_interval(
    lo: npt.NDArray[np.int64], hi: npt.NDArray[np.int64], window: Window, axis: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Outputs of ``window`` on one axis that read anything of the non-empty inputs [lo, hi)."""
    reach = window.dilations[axis] * (window.kernel[axis] - 1)
    stride, pad, size = window.strides[axis], window.pads[axis], window.output_shape[axis]
    first = -((-(lo + pad - reach)) // stride)
    last = (hi - 1 + pad) // stride + 1
    return np.clip(first, 0, size), np.clip(last, 0, size)


def window_boxes(boxes: Boxes, window: Window) -> Boxes:
    """Boxes after Conv, MaxPool or AveragePool: all outputs that read a changed input."""
    corners = boxes.astype(np.int64)
    starts, stops = [], []
    for axis in (0, 1):
        lo, hi = window_interval(corners[:, axis], corners[:, axis] + corners[:, axis + 2], window, axis)
        starts.append(lo)
        stops.append(hi)
    return _from_intervals(starts, stops, is_empty(boxes))


def crop_boxes(boxes: Boxes, shape: Pair, tau: float) -> Boxes:
    """Boxes cut around their centre to the share ``tau`` of the map, at least one cell (the paper's section 4.3).

    Per axis, for a box of width w on a map of width W, with ``limit = max(1, floor(tau * W + 0.5))``:
    where w > limit, the box begins floor((w - limit) / 2) later and is ``limit`` wide.
    """
    corners = boxes.astype(np.int64)
    starts, stops = [], []
    for axis in (0, 1):
        limit = max(1, math.floor(tau * shape[axis] + 0.5))
        width = corners[:, axis + 2]
        start = corners[:, axis] + np.maximum(width - limit, 0) // 2
        starts.append(start)
        stops.append(start + np.minimum(width, limit))
    return _from_intervals(starts, stops, is_empty(boxes))


def union_boxes(boxes: Sequence[Boxes]) -> Boxes:
    """The hull of several boxes per position; empty ones do not count."""
    stacked = np.stack(boxes).astype(np.int64)
    empty = (stacked[..., 2] <= 0) | (stacked[..., 3] <= 0)
    far = np.iinfo(np.int32).max
    starts = [np.where(empty, far, stacked[..., axis]).min(axis=0) for axis in (0, 1)]
    stops = [np.where(empty, 0, stacked[..., axis] + stacked[..., axis + 2]).max(axis=0) for axis in (0, 1)]
    return _from_intervals(starts, stops, np.asarray(empty.all(axis=0)))


def translate_boxes(boxes: Boxes, shift: Pair, output_shape: Pair) -> Boxes:
    """Boxes after a constant Pad: moved by the begin pads, cropped to the padded map."""
    corners = boxes.astype(np.int64)
    starts, stops = [], []
    for axis in (0, 1):
        lo = corners[:, axis] + shift[axis]
        starts.append(np.clip(lo, 0, output_shape[axis]))
        stops.append(np.clip(lo + corners[:, axis + 2], 0, output_shape[axis]))
    return _from_intervals(starts, stops, is_empty(boxes))


def transpose_boxes(boxes: Boxes) -> Boxes:
    """Boxes of a map whose rows and columns have changed places."""
    return boxes[:, [1, 0, 3, 2]]


def resample_boxes(boxes: Boxes, y_index: npt.NDArray[np.int64], x_index: npt.NDArray[np.int64]) -> Boxes:
    """Boxes after a resampling: the hull of the outputs o whose table index[o, :] names an input of the box."""
    starts, stops = [], []
    for axis, index in enumerate((y_index, x_index)):
        lo = boxes[:, axis, None, None].astype(np.int64)
        hi = lo + boxes[:, axis + 2, None, None]
        reads: npt.NDArray[np.bool_] = np.logical_or.reduce((index >= lo) & (index < hi), axis=2)
        some: npt.NDArray[np.bool_] = np.logical_or.reduce(reads, axis=1)
        starts.append(np.where(some, reads.argmax(axis=1), 0))
        stops.append(np.where(some, reads.shape[1] - reads[:, ::-1].argmax(axis=1), 0))
    return _from_intervals(starts, stops, is_empty(boxes))


def slice_boxes(
    boxes: Boxes, offsets: npt.NDArray[np.int64], shape: Sequence[int]
) -> tuple[Boxes, npt.NDArray[np.int64]]:
    """Boxes [P, 2n] on a map of n sizes as those of its slices, [P * D, 4], and the first row of each."""
    axes = len(shape)
    depth = shape[0] if axes == 3 else 1
    wide = boxes.astype(np.int64)
    if axes == 1:
        planes = np.stack([np.zeros_like(wide[:, 0]), wide[:, 0], np.ones_like(wide[:, 0]), wide[:, 1]], axis=1)
    else:
        planes = np.concatenate([wide[:, axes - 2 : axes], wide[:, 2 * axes - 2 :]], axis=1)
    first, count = (wide[:, 0], wide[:, 3]) if axes == 3 else (np.zeros(len(wide), np.int64), np.ones(len(wide)))
    z = np.arange(depth)[None, :]
    inside = (z >= first[:, None]) & (z < (first + count)[:, None]) & ~is_empty(boxes)[:, None]
    sliced = np.where(inside[..., None], planes[:, None, :], 0)
    rows = offsets[:, None] + np.where(inside, (z - first[:, None]) * (planes[:, 2] * planes[:, 3])[:, None], 0)
    return sliced.reshape(-1, 4).astype(np.int32), rows.reshape(-1).astype(np.int64)


def depth_sources(window: DepthWindow, tap: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The slice that ``tap`` reads for each output slice, and whether there is one; both [D_out]."""
    source = np.arange(window.output_depth) * window.stride - window.pad + tap * window.dilation
    inside = (source >= 0) & (source < window.input_depth)
    return np.where(inside, source, 0), inside


def depth_boxes(boxes: Boxes, window: DepthWindow) -> Boxes:
    """Boxes after a window along the slices: for each output slice the hull of those that it reads."""
    volumes = boxes.reshape(-1, window.input_depth, 4)
    read = []
    for tap in range(window.kernel):
        source, inside = depth_sources(window, tap)
        read.append(np.where(inside[None, :, None], volumes[:, source], 0).reshape(-1, 4).astype(np.int32))
    return union_boxes(read)


def is_empty(boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Tell which boxes hold no pixel: bool [P]."""
    return np.asarray((boxes[:, boxes.shape[1] // 2 :] <= 0).any(axis=1))


def areas(boxes: Boxes) -> npt.NDArray[np.int64]:
    """Pixels of each box; int64 [P]."""
    sizes = boxes[:, boxes.shape[1] // 2 :].astype(np.int64)
    return np.where(is_empty(boxes), 0, sizes.prod(axis=1))


def row_offsets(boxes: Boxes) -> npt.NDArray[np.int64]:
    """First row of each box in the concatenated values; int64 [P + 1], the last is the row count."""
    return np.concatenate([[0], np.cumsum(areas(boxes))]).astype(np.int64)


def overlapping_taps(source: Boxes, target: Boxes, window: Window) -> npt.NDArray[np.int64]:
    """(output pixel, tap) pairs of each position that read a pixel of the source box; int64 [P].

    The pairs factor by axis, so each axis is counted alone and the counts multiply.
    """
    count = np.ones(len(source), np.int64)
    for axis in (0, 1):
        lo, hi = source[:, axis].astype(np.int64), source[:, axis].astype(np.int64) + source[:, axis + 2]
        start, stop = target[:, axis].astype(np.int64), target[:, axis].astype(np.int64) + target[:, axis + 2]
        along = np.zeros(len(source), np.int64)
        for tap in range(window.kernel[axis]):
            shift = tap * window.dilations[axis] - window.pads[axis]
            first = np.maximum(-((-(lo - shift)) // window.strides[axis]), start)
            last = np.minimum((hi - 1 - shift) // window.strides[axis] + 1, stop)
            along += np.maximum(last - first, 0)
        count *= along
    return np.where(is_empty(source) | is_empty(target), 0, count)


EDGES = ("truncate", "valid", "shift")


_AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def occlusion_grid(
    image_shape: Sequence[int], patch: Sequence[int], stride: Sequence[int], edge: str = "truncate"
) -> Boxes:
    """Patch positions of an occlusion map, row by row; of signals, pictures and volumes.

    Per axis they start at multiples of the stride; what becomes of the last one at the far edge, ``edge`` says:

    - "truncate": ``ceil((size - patch) / stride) + 1`` positions, the last one cut at the edge (Captum);
    - "valid": full windows only, ``floor((size - patch) / stride) + 1`` of them (Xplique's count);
    - "shift": the last one moved inside instead (MONAI).

    The first and the last cover every pixel as long as the stride is at most the patch. With a larger stride, positions
    that would start off the image are left out.

    Raises:
        ValueError: if a patch or stride is below 1, a patch is larger than the image, or ``edge`` is unknown.
    """
    if edge not in EDGES:
        raise ValueError(f"edge {edge!r}; expected one of {', '.join(EDGES)}")
    axes = []
    for axis, name in enumerate(_AXES[len(image_shape)]):
        size, extent, step = image_shape[axis], patch[axis], min(stride[axis], image_shape[axis])
        if step < 1:
            raise ValueError(f"stride {step} on the {name} axis; expected at least 1")
        if extent < 1:
            raise ValueError(f"patch size {extent} on the {name} axis; expected at least 1")
        if extent > size:
            raise ValueError(f"patch {name} {extent} exceeds the image's {name} {size}; use at most {size}")
        count = (size - extent) // step + 1 if edge == "valid" else -(-(size - extent) // step) + 1
        start = np.arange(count, dtype=np.int64) * step
        if edge == "shift":
            start = np.minimum(start, size - extent)
        start = start[start < size]  # a stride beyond the patch may step off the image
        axes.append((start, np.minimum(start + extent, size) - start))
    columns = [np.meshgrid(*(axis[part] for axis in axes), indexing="ij") for part in (0, 1)]
    return np.stack([column.ravel() for part in columns for column in part], axis=1).astype(np.int32)


def touching(boxes: Boxes, region: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Bool [P]: which boxes share a pixel with ``region``, all starts, then all ends, half-open: (y0, x0, y1, x1)."""
    axes = boxes.shape[1] // 2
    wide = boxes.astype(np.int64)
    starts, sizes = wide[:, :axes], wide[:, axes:]
    inside = ((starts < region[axes:]) & (starts + sizes > region[:axes])).all(axis=1)
    return np.asarray(inside & ~is_empty(boxes))


def resize_boxes(boxes: Boxes, extent: Pair, image_shape: Pair) -> Boxes:
    """Boxes of ``extent`` (h, w) around the centres of others, cut at the image's edges."""
    corners = boxes.astype(np.int64)
    starts, stops = [], []
    for axis in (0, 1):
        start = corners[:, axis] + (corners[:, axis + 2] - extent[axis]) // 2
        starts.append(np.clip(start, 0, image_shape[axis]))
        stops.append(np.clip(start + extent[axis], 0, image_shape[axis]))
    return _from_intervals(starts, stops, is_empty(boxes))


def _from_intervals(
    starts: list[npt.NDArray[np.int64]], stops: list[npt.NDArray[np.int64]], empty: npt.NDArray[np.bool_]
) -> Boxes:
    extents = [stop - start for start, stop in zip(starts, stops, strict=True)]
    gone = empty | (extents[0] <= 0) | (extents[1] <= 0)
    boxes = np.stack([*starts, *extents], axis=1)
    return np.where(gone[:, None], 0, boxes).astype(np.int32)


def neighbour_order(boxes: Boxes) -> npt.NDArray[np.int64]:
    """An order in which boxes that lie close together stand together: the Z-order curve of their corners."""
    axes = boxes.shape[1] // 2
    key = np.zeros(len(boxes), np.int64)
    for bit in range(62 // axes):
        for axis in range(axes):
            key |= ((boxes[:, axis].astype(np.int64) >> bit) & 1) << (axes * bit + axes - 1 - axis)
    return np.argsort(key, kind="stable")


def count_chunks(positions: int, chunk: int, workers: int) -> int:
    """Count the chunks of equal size, at most ``chunk`` positions each, that a map is cut into for ``workers`` threads.

    A multiple of the workers, so that all end together, unless chunks would fall below SMALLEST_CHUNK positions.
    """
    needed = -(-positions // chunk)
    return max(needed, min(-(-needed // workers) * workers, positions // SMALLEST_CHUNK))
