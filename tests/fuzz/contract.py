"""Hostile inputs of a compiled model, and whether its contract (DESIGN section 5) allows them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EDGES = (-(2**31), -1000, -2, -1, 0, 1, 2, 3, 11, 12, 13, 14, 25, 2**15, 2**30, 2**31 - 2, 2**31 - 1)
FLOATS = (np.nan, np.inf, -np.inf, 3e38, -1e-42, 0.0)
THRESHOLDS = (np.nan, np.inf, -np.inf, -1.0, -0.0, 0.0, 1e-30, 0.25, 0.5, 1.0, 1.0000001, 2.0, 3e38)


@dataclass(frozen=True)
class Signature:
    """Of one compiled model: names in the order image, boxes, baseline, patches, mask; groups of thresholds."""

    names: tuple[str, ...]
    image: tuple[int, ...]
    size: tuple[int, int]
    channels: int
    groups: int


Feeds = dict[str, np.ndarray]


def valid_feeds(rng: np.random.Generator, of: Signature) -> Feeds:
    """An image, a baseline, some boxes inside."""
    count = int(rng.choice([0, 1, 2, 7, 33])) if rng.random() < 0.98 else int(rng.integers(1000, 4000))
    y, x = rng.integers(0, of.size[0] + 1, count), rng.integers(0, of.size[1] + 1, count)
    sizes = rng.integers(0, 6, (count, 2))
    ends = np.minimum([*of.size], np.stack([y, x], axis=1) + sizes)
    boxes = np.stack([y, x, ends[:, 0] - y, ends[:, 1] - x], axis=1).astype(np.int32)
    image, baseline = (rng.standard_normal(of.image).astype(np.float32) for _ in range(2))
    feeds = {of.names[0]: image, of.names[1]: boxes, of.names[2]: baseline}
    rows = _rows(boxes)
    if rng.random() < 0.3:
        feeds[of.names[3]] = rng.standard_normal((rows, of.channels)).astype(np.float32)
    if rng.random() < 0.3:
        feeds[of.names[4]] = rng.random(rows) < 0.5
    if rng.random() < 0.3:
        feeds["krypton_tau"] = rng.uniform(0.01, 1, int(rng.choice([1, of.groups]))).astype(np.float32)
    if rng.random() < 0.3:
        feeds["krypton_eps"] = rng.uniform(0, 0.1, int(rng.choice([1, of.groups]))).astype(np.float32)
    return feeds


def hostile_feeds(rng: np.random.Generator, of: Signature) -> Feeds:
    """Valid ones of which one or two were spoilt."""
    feeds = valid_feeds(rng, of)
    for _ in range(int(rng.integers(0, 3))):
        with contextlib.suppress(KeyError):  # one that is missing already
            SPOILERS[int(rng.integers(len(SPOILERS)))](rng, feeds, of)
    return feeds


def is_allowed(feeds: Feeds, of: Signature) -> bool:
    """Whether the contract allows them."""
    image, boxes, baseline = (feeds.get(name) for name in of.names[:3])
    if image is None or boxes is None or baseline is None:
        return False
    for array in (image, baseline):
        if array.dtype != np.float32 or array.shape != of.image or not np.isfinite(array).all():
            return False
    if boxes.dtype != np.int32 or boxes.ndim != 2 or boxes.shape[1] != 4:
        return False
    wide = boxes.astype(np.int64)
    if (wide < 0).any() or (wide[:, :2] + wide[:, 2:] > of.size).any():
        return False
    rows = _rows(boxes)
    patches, mask = feeds.get(of.names[3]), feeds.get(of.names[4])
    if patches is not None and not _fits(patches, np.float32, [(rows, of.channels)], rows_only=True):
        return False
    if mask is not None and not _fits(mask, np.bool_, [(0,), (rows,)]):
        return False
    for name, valid in (("krypton_tau", lambda t: (t > 0) & (t <= 1)), ("krypton_eps", lambda e: e >= 0)):
        values = feeds.get(name)
        if values is not None and not (
            _fits(values, np.float32, [(1,), (of.groups,)]) and np.isfinite(values).all() and valid(values).all()
        ):
            return False
    return True


def _fits(array: np.ndarray, dtype: type, shapes: list[tuple[int, ...]], rows_only: bool = False) -> bool:
    if array.dtype != dtype:
        return False
    empty = rows_only and array.ndim == 2 and array.shape[0] == 0
    finite = array.dtype.kind != "f" or not rows_only or bool(np.isfinite(array).all())
    return finite and (empty or array.shape in shapes)


def _rows(boxes: np.ndarray) -> int:
    wide = boxes.astype(np.int64)
    return int((wide[:, 2] * wide[:, 3]).sum()) if boxes.ndim == 2 and boxes.shape[1:] == (4,) else 0


Spoiler = Callable[[np.random.Generator, Feeds, Signature], None]


def _box_entry(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    boxes = feeds[of.names[1]].copy()
    for _ in range(int(rng.integers(1, 4))):
        if boxes.size:
            boxes.reshape(-1)[int(rng.integers(boxes.size))] = rng.choice(EDGES)
    feeds[of.names[1]] = boxes


def _box_row(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    boxes = feeds[of.names[1]]
    if boxes.ndim == 2 and len(boxes) and boxes.shape[1] == 4 and boxes.dtype == np.int32:
        boxes[int(rng.integers(len(boxes)))] = rng.choice(EDGES, 4)


def _float_entry(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    name = str(rng.choice([name for name in feeds if feeds[name].dtype.kind == "f"] or [of.names[1]]))
    array = feeds[name].copy()
    if array.size and array.dtype.kind == "f":
        array.reshape(-1)[int(rng.integers(array.size))] = rng.choice(THRESHOLDS if "krypton" in name else FLOATS)
    feeds[name] = array


def _reshape(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    name = str(rng.choice(list(feeds)))
    array = feeds[name]
    choice = int(rng.integers(6))
    if choice == 0:
        array = array[None]
    elif choice == 1:
        array = array.reshape(-1)
    elif choice == 2:
        array = array.T
    elif choice == 3 and array.ndim:
        array = array[: max(0, len(array) - 1)]
    elif choice == 4 and array.ndim:
        array = np.concatenate([array, array[:1]])
    elif array.ndim:
        array = array[..., : max(0, array.shape[-1] - 1)]
    feeds[name] = np.ascontiguousarray(array)


def _retype(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    name = str(rng.choice(list(feeds)))
    kinds = (np.int64, np.float64, np.float32, np.int32, np.uint8, np.bool_, np.float16)
    with np.errstate(all="ignore"):
        feeds[name] = feeds[name].astype(kinds[int(rng.integers(len(kinds)))])


def _threshold(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    name = str(rng.choice(["krypton_tau", "krypton_eps"]))
    count = int(rng.choice([0, 1, 2, of.groups, of.groups + 1]))
    feeds[name] = rng.choice(THRESHOLDS, count).astype(np.float32)


def _rows_of_other_boxes(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    rows = int(rng.choice([1, 7, 2**16]))
    feeds[of.names[3]] = np.zeros((rows, int(rng.choice([0, 1, of.channels]))), np.float32)
    feeds[of.names[4]] = np.zeros(int(rng.choice([0, 1, rows])), bool)


def _missing(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    del feeds[str(rng.choice(list(feeds)))]


def _unknown(rng: np.random.Generator, feeds: Feeds, of: Signature) -> None:
    feeds[str(rng.choice(["nonsense", ""]))] = np.zeros(1, np.float32)


SPOILERS: tuple[Spoiler, ...] = (
    *(_box_entry,) * 4,
    *(_box_row,) * 3,
    *(_float_entry, _float_entry, _reshape, _reshape, _retype, _threshold, _threshold, _rows_of_other_boxes, _missing),
)
