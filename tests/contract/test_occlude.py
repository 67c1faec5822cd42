"""Hidden windows against plain loops: every axis order, one window after another, by arrays, rows and masks."""

from __future__ import annotations

import numpy as np
import pytest

from krypton_compile.contract.layouts import FULL_LAYOUTS, axes_of, channel_axis
from krypton_compile.contract.occlude import box_sums, changed_boxes, occlude

SIZES = (4, 5, 6)


def make(layout: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    sizes = SIZES[: axes_of(layout)]
    shape = (1, 3, *sizes) if channel_axis(layout) == 1 else (1, *sizes, 3)
    starts = np.stack([rng.integers(0, size, 7) for size in sizes], axis=1)
    extents = np.stack([rng.integers(0, size - starts[:, axis] + 1) for axis, size in enumerate(sizes)], axis=1)
    return rng.standard_normal(shape).astype(np.float32), np.concatenate([starts, extents], axis=1).astype(np.int32)


@pytest.mark.parametrize("layout", FULL_LAYOUTS)
@pytest.mark.parametrize("kind", ["number", "array", "rows"])
@pytest.mark.parametrize("masked", [False, True])
def test_only_the_box_changes(layout: str, kind: str, masked: bool) -> None:
    rng = np.random.default_rng(0)
    image, boxes = make(layout, rng)
    axes, channels = axes_of(layout), channel_axis(layout)
    rows = rng.standard_normal((int(boxes[:, axes:].prod(axis=1).sum()), 3)).astype(np.float32)
    other = rng.standard_normal(image.shape).astype(np.float32)
    mask = rng.random(len(rows)) < 0.5 if masked else None
    shown = {"number": 0.25, "array": other, "rows": rows}[kind]
    expected, row = np.repeat(image, len(boxes), axis=0), 0
    for copy, box in zip(expected, boxes, strict=True):
        for place in np.ndindex(*box[axes:]):
            at = [start + step for start, step in zip(box[:axes], place, strict=True)]
            at.insert(channels - 1, slice(None))
            new = {"number": 0.25, "array": other[(0, *at)], "rows": rows[row]}[kind]
            if mask is None or mask[row]:
                copy[tuple(at)] = new
            row += 1
    np.testing.assert_array_equal(occlude(image, boxes, shown, layout, mask), expected)


def test_the_image_itself_stays() -> None:
    image = np.ones((1, 1, 3, 3), np.float32)
    assert occlude(image, np.array([[0, 0, 3, 3]], np.int32), 0.0, "NCHW").sum() == 0
    assert image.all()
    assert occlude(image, np.zeros((0, 4), np.int32), 0.0, "NCHW").shape == (0, 1, 3, 3)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_sums_over_boxes(axes: int) -> None:
    rng = np.random.default_rng(1)
    _, boxes = make({1: "NCL", 2: "NCHW", 3: "NCDHW"}[axes], rng)
    numbers = rng.integers(-5, 5, SIZES[:axes])
    areas = [tuple(slice(a, a + n) for a, n in zip(box[:axes], box[axes:], strict=True)) for box in boxes]
    assert box_sums(numbers, boxes).tolist() == [int(numbers[area].sum()) for area in areas]
    different = rng.random(SIZES[:axes]) < 0.1
    assert changed_boxes(different, boxes).tolist() == [bool(different[area].any()) for area in areas]
