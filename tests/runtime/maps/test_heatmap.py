"""Heat maps against the plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.runtime.maps.heatmap import accumulate

# The difference array sums in float64; what remains is the rounding of the result to float32.
TOLERANCE = 1e-6


def mean_by_loop(values, boxes, shape):
    total, count = np.zeros(shape), np.zeros(shape)
    for value, (y0, x0, h, w) in zip(values, boxes, strict=True):
        total[y0 : y0 + h, x0 : x0 + w] += value
        count[y0 : y0 + h, x0 : x0 + w] += 1
    with np.errstate(invalid="ignore"):
        return total / count


@st.composite
def windows(draw):
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    boxes = []
    for _ in range(draw(st.integers(0, 8))):
        y0, x0 = draw(st.integers(0, height)), draw(st.integers(0, width))
        boxes.append((y0, x0, draw(st.integers(0, height - y0)), draw(st.integers(0, width - x0))))
    values = draw(st.lists(st.floats(-5, 5), min_size=len(boxes), max_size=len(boxes)))
    return np.array(values, np.float64), np.array(boxes, np.int32).reshape(-1, 4), (height, width)


@given(windows())
def test_accumulate_is_the_mean_over_the_covering_windows(case):
    values, boxes, shape = case
    found = accumulate(values, boxes, shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mean_by_loop(values, boxes, shape), atol=TOLERANCE)


def test_accumulate_on_a_whole_grid():
    boxes = occlusion_grid((37, 50), (16, 10), (4, 3))
    values = np.random.default_rng(0).normal(size=len(boxes))
    found = accumulate(values, boxes, (37, 50))
    assert not np.isnan(found).any()
    np.testing.assert_allclose(found, mean_by_loop(values, boxes, (37, 50)), atol=TOLERANCE)


def test_pixels_whose_windows_change_nothing_are_exactly_zero():
    boxes = occlusion_grid((64, 64), (8, 8), (2, 2))
    values = np.where(boxes[:, 0] < 16, 1 / 3, 0.0)
    found = accumulate(values, boxes, (64, 64))
    assert (found[24:] == 0).all()
    assert (found[:16] != 0).all()


@pytest.mark.parametrize(
    ("values", "boxes", "message"),
    [
        ([1.0, np.nan], [(0, 0, 2, 2), (0, 0, 1, 1)], "1 of 2 values are NaN"),
        ([1.0], [(0, 3, 2, 2)], "box 0 = .* leaves the image"),
        ([1.0], [(-1, 0, 2, 2)], "leaves the image"),
        ([1.0, 2.0], [(0, 0, 2, 2)], r"expected \[P\] and \[P, 4\]"),
    ],
)
def test_accumulate_refuses(values, boxes, message):
    with pytest.raises(ValueError, match=message):
        accumulate(values, np.array(boxes, np.int32), (4, 4))
