"""A chunk's delta as ragged rows, and the same delta as one full map a position.

``values`` float32 [R, C] holds, for each of the B boxes in order, its pixels row by row; outside
its box a delta is zero. So with R = sum of h*w the two forms carry the same numbers:

    map_b[y0 + i, x0 + j, :] = values[offset_b + i*w + j, :]      offset_b = sum of h*w of the boxes before b

Whatever breaks that (a row count that is not R, a box outside its map) is a ValueError here and an
onnxruntime error in the kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.geometry import Boxes, Pair, is_empty, row_offsets, union_boxes
from krypton_compile.contract.layouts import as_volume

Floats = npt.NDArray[np.float32]
Offsets = npt.NDArray[np.int64]
"""The row of a caller's patches and mask at which each box begins."""
Table = npt.NDArray[np.int64]
"""The pixels of an axis that each output reads, [outputs, taps]."""

_LARGEST = int(np.iinfo(np.int32).max)


def check_boxes(name: str, boxes: Boxes, shape: Pair = (_LARGEST, _LARGEST)) -> None:
    """Raise ValueError unless ``boxes`` is int32 [B, 4] and each lies on a map of ``shape``."""
    if boxes.dtype != np.int32 or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name}: expected int32 [B, 4], found {boxes.dtype} {list(boxes.shape)}")
    corners = boxes.astype(np.int64)
    outside = (boxes < 0).any(axis=1) | (corners[:, :2] + corners[:, 2:] > shape).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(f"{name}: box {row} is {boxes[row].tolist()}, not inside a map of {shape[0]} x {shape[1]}")


def check_slices(name: str, boxes: Boxes, depth: int) -> None:
    """Raise ValueError unless there are ``depth`` boxes a position, one a slice."""
    if len(boxes) % depth:
        raise ValueError(f"{name}: expected {depth} boxes a position, found {len(boxes)} in all")


def check_regions(name: str, boxes: Boxes, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless ``boxes`` is int32 [B, 2n] and each lies on a map of these n sizes."""
    axes = len(shape)
    if boxes.dtype != np.int32 or boxes.ndim != 2 or boxes.shape[1] != 2 * axes:
        raise ValueError(f"{name}: expected int32 [B, {2 * axes}], found {boxes.dtype} {list(boxes.shape)}")
    wide = boxes.astype(np.int64)
    outside = (wide < 0).any(axis=1) | (wide[:, :axes] + wide[:, axes:] > shape).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(f"{name}: box {row} is {boxes[row].tolist()}, not inside a map of {list(shape)}")


def check_inside(hull: Boxes, parts: Sequence[Boxes]) -> None:
    """Raise ValueError unless each box of ``hull`` lies inside the hull of its parts."""
    check_boxes("y_boxes", hull)
    for part in parts:
        check_boxes("an input's boxes", part)
        if len(part) != len(hull):
            raise ValueError(f"an input has {len(part)} boxes, y_boxes has {len(hull)}")
    expected = union_boxes(parts)
    corner, wide = hull[:, :2].astype(np.int64), expected.astype(np.int64)
    beyond = (corner < wide[:, :2]).any(axis=1) | (corner + hull[:, 2:] > wide[:, :2] + wide[:, 2:]).any(axis=1)
    wrong = beyond & ~is_empty(hull)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"y_boxes: box {row} is {hull[row].tolist()}, expected one inside {expected[row].tolist()}")


def check_table(index: Table, size: int) -> None:
    """Raise ValueError unless the indices are [outputs, taps] of positions below ``size``, or -1."""
    if index.ndim != 2 or index.dtype != np.int64 or (index < -1).any() or (index >= size).any():
        raise ValueError(f"expected int64 indices [outputs, taps] from -1 to {size - 1}, found {index}")


def check_offsets(name: str, offsets: Offsets, boxes: Boxes) -> None:
    """Raise ValueError unless there is an int64 for each box."""
    if offsets.dtype != np.int64 or offsets.shape != (len(boxes),):
        raise ValueError(f"{name}: expected int64 [{len(boxes)}], found {offsets.dtype} {list(offsets.shape)}")


def check_rows(name: str, flags: npt.NDArray[np.bool_], rows: int) -> None:
    """Raise ValueError unless there is a bool for each of so many rows."""
    if flags.dtype != np.bool_ or flags.shape != (rows,):
        raise ValueError(f"{name}: expected bool [{rows}], found {flags.dtype} {list(flags.shape)}")


def check_map(name: str, tensor: Floats, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless ``tensor`` is float32 of ``shape``; -1 stands for any size."""
    fits = tensor.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, tensor.shape, strict=True))
    if not fits or tensor.dtype != np.float32:
        raise ValueError(f"{name}: expected float32 {list(shape)}, found {tensor.dtype} {list(tensor.shape)}")


def split(name: str, values: Floats, boxes: Boxes) -> list[Floats]:
    """The rows of each box as a picture [h, w, C]."""
    offsets = row_offsets(boxes)
    check_map(name, values, (int(offsets[-1]), -1))
    return [
        values[first:last].reshape(int(h), int(w), values.shape[1])
        for first, last, (_, _, h, w) in zip(offsets[:-1], offsets[1:], boxes, strict=True)
    ]


def join(pictures: Iterable[Floats], channels: int) -> Floats:
    """The inverse of ``split``."""
    rows = [picture.reshape(picture.shape[0] * picture.shape[1], channels) for picture in pictures]
    return np.concatenate([np.zeros((0, channels), np.float32), *rows]).astype(np.float32)


def read_box(picture: Floats, box: npt.NDArray[np.int32], target: Iterable[int]) -> Floats:
    """What the delta ``picture`` on ``box`` holds on the pixels of ``target`` (y0, x0, h, w); zero where they miss."""
    y0, x0, h, w = (int(number) for number in box)
    ty, tx, th, tw = (int(number) for number in target)
    result = np.zeros((th, tw, picture.shape[2]), np.float32)
    top, bottom = max(y0, ty), min(y0 + h, ty + th)
    left, right = max(x0, tx), min(x0 + w, tx + tw)
    if top < bottom and left < right:
        result[top - ty : bottom - ty, left - tx : right - tx] = picture[top - y0 : bottom - y0, left - x0 : right - x0]
    return result


def delta_maps(name: str, values: Floats, boxes: Boxes, shape: Pair) -> Iterator[Floats]:
    """One full map [H, W, C] a position."""
    check_boxes(f"{name}'s boxes", boxes, shape)
    pictures = split(name, values, boxes)
    return (read_box(picture, box, (0, 0, *shape)) for picture, box in zip(pictures, boxes, strict=True))


def volume_maps(values: Floats, boxes: Boxes, shape: Sequence[int]) -> npt.NDArray[np.float64]:
    """One full map [D, H, W, C] a position."""
    depth, height, width = as_volume(shape)
    check_slices("boxes", boxes, depth)
    full = np.zeros((len(boxes), height, width, values.shape[1]))
    for row, delta in enumerate(delta_maps("X", values, boxes, (height, width))):
        full[row] = delta
    return full.reshape(-1, depth, height, width, values.shape[1])


def read_hull(name: str, values: Floats, boxes: Boxes, hull: Iterable[Iterable[int]]) -> Floats:
    """A delta on ``boxes`` as rows of ``hull``, zero where the box misses."""
    pictures = split(name, values, boxes)
    return join(
        (read_box(picture, box, target) for picture, box, target in zip(pictures, boxes, hull, strict=True)),
        values.shape[1],
    )


def cut_boxes(maps: Iterable[Floats], boxes: Boxes, channels: int) -> Floats:
    """The rows of ``boxes`` cut out of one full map a position: values [R, channels]."""
    return join(
        (full[y0 : y0 + h, x0 : x0 + w] for full, (y0, x0, h, w) in zip(maps, boxes.astype(np.int64), strict=True)),
        channels,
    )


def base_rows(name: str, base: Floats, boxes: Boxes, channels: int) -> Floats:
    """The base map's rows under each box: values [R, C], aligned with the delta's rows; of volumes, of its slice."""
    slices = slices_of(name, base, channels)
    check_boxes("boxes", boxes, slices[0].shape[:2])
    check_slices("boxes", boxes, len(slices))
    return cut_boxes((slices[b % len(slices)] for b in range(len(boxes))), boxes, channels)


def slices_of(name: str, base: Floats, channels: int) -> Floats:
    """A base map [H, W, C], or [D, H, W, C] of a volume, as [D, H, W, C]."""
    check_map(name, base, (-1, -1, -1, channels) if base.ndim == 4 else (-1, -1, channels))
    return base if base.ndim == 4 else base[None]
