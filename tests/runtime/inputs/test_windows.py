"""Which windows there are: counts and places by hand, for each edge, region of interest and label map."""

from __future__ import annotations

import numpy as np
import pytest

from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.inputs.windows import find_windows, grid_windows, segment_windows


def rows_of(boxes):
    """(start, extent) along the first axis, once each."""
    return sorted({(int(y0), int(h)) for y0, _, h, _ in boxes})


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        # 10 pixels, windows of 4, 3 apart: the third one ends exactly at the edge.
        ("truncate", [(0, 4), (3, 4), (6, 4)]),
        ("valid", [(0, 4), (3, 4), (6, 4)]),
        ("shift", [(0, 4), (3, 4), (6, 4)]),
    ],
)
def test_edges_do_not_matter_where_the_stride_divides(edge, expected):
    assert rows_of(occlusion_grid((10, 4), (4, 4), (3, 4), edge)) == expected


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        # 11 pixels: one is left over.
        ("truncate", [(0, 4), (3, 4), (6, 4), (9, 2)]),
        ("valid", [(0, 4), (3, 4), (6, 4)]),
        ("shift", [(0, 4), (3, 4), (6, 4), (7, 4)]),
    ],
)
def test_edges_where_it_does_not(edge, expected):
    assert rows_of(occlusion_grid((11, 4), (4, 4), (3, 4), edge)) == expected


@pytest.mark.parametrize("edge", ["truncate", "valid", "shift"])
@pytest.mark.parametrize(("size", "patch", "stride"), [(13, 3, 5), (7, 7, 2), (20, 6, 6), (9, 1, 1), (5, 2, 9)])
def test_windows_lie_inside_and_count_as_said(edge, size, patch, stride):
    found = rows_of(occlusion_grid((size, 1), (patch, 1), (stride, 1), edge))
    assert all(start >= 0 and start + extent <= size for start, extent in found)
    if edge != "truncate":
        assert {extent for _, extent in found} == {patch}
    if edge == "valid":
        assert len(found) == (size - patch) // stride + 1
    elif stride <= patch:
        assert len(found) == -(-(size - patch) // stride) + 1
        assert {y for start, extent in found for y in range(start, start + extent)} == set(range(size))


def test_an_unknown_edge_is_refused():
    with pytest.raises(OcclusionError, match="edge 'clip'; expected one of truncate, valid, shift"):
        grid_windows((8, 8), 2, 2, "clip")


def test_a_region_of_interest_takes_every_window_that_touches_it():
    whole, part = grid_windows((20, 24), 5, 3), grid_windows((20, 24), 5, 3, roi=(7, 10, 9, 11))
    y0, x0, h, w = whole.boxes.T
    touching = (y0 < 9) & (y0 + h > 7) & (x0 < 11) & (x0 + w > 10)
    np.testing.assert_array_equal(part.boxes, whole.boxes[touching])
    assert part.shape[0] * part.shape[1] == len(part.boxes)


@pytest.mark.parametrize("roi", [(0, 0, 0, 5), (0, 0, 21, 5), (-1, 0, 4, 4), (5, 5, 4, 9), (1, 2, 3), "all"])
def test_a_bad_region_is_refused(roi):
    with pytest.raises(OcclusionError, match="roi"):
        grid_windows((20, 24), 5, 3, roi=roi)


def test_a_region_between_the_windows_is_refused():
    with pytest.raises(OcclusionError, match="no window touches it"):
        grid_windows((20, 24), 2, 10, roi=(4, 4, 6, 6))


def test_several_sizes_share_a_stride_or_have_their_own():
    assert [windows.stride for windows in find_windows((20, 24), [4, (6, 8)], 3)] == [(3, 3), (3, 3)]
    assert [windows.stride for windows in find_windows((20, 24), [4, 6], [2, (3, 4)])] == [(2, 2), (3, 4)]
    with pytest.raises(OcclusionError, match="2 patch sizes and 3 strides"):
        find_windows((20, 24), [4, 6], [1, 2, 3])


LABELS = np.array([[7, 7, 0, 0], [7, 2, 2, 0], [7, 2, 7, 0]])


def test_each_label_is_a_region_of_its_own_pixels():
    windows = segment_windows(LABELS, (3, 4))
    assert windows.labels.tolist() == [0, 2, 7]
    assert windows.boxes.tolist() == [[0, 2, 3, 2], [1, 1, 2, 2], [0, 0, 3, 3]]
    assert windows.shape == (1, 3)
    assert windows.mask(np.array([1])).tolist() == [True, True, True, False]
    assert windows.mask(np.array([0, 1])).tolist() == [True, True, False, True, False, True, True, True, True, False]


def test_regions_outside_of_the_region_of_interest_are_left_out():
    windows = segment_windows(LABELS, (3, 4), roi=(1, 1, 3, 3))
    assert windows.labels.tolist() == [2, 7]
    assert windows.boxes.tolist() == [[1, 1, 2, 2], [0, 0, 3, 3]]


@pytest.mark.parametrize("labels", [LABELS.astype(np.float32), LABELS[:2], LABELS[None]])
def test_labels_of_another_kind_are_refused(labels):
    with pytest.raises(OcclusionError, match=r"expected integer labels of shape \(3, 4\)"):
        segment_windows(labels, (3, 4))
