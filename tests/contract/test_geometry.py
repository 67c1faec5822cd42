"""Geometry against brute force: every rule is checked by marking pixels one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Window

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    strides = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    dilations = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pads = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    ends = draw(st.tuples(st.integers(0, 5), st.integers(0, 5)))  # more than a pad: what ceil_mode adds
    sizes = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    outputs = []
    for axis in (0, 1):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        outputs.append(max(1, (sizes[axis] + pads[axis] + ends[axis] - reach) // strides[axis] + 1))
    return Window(kernel, strides, pads, dilations, sizes, (outputs[0], outputs[1]))


@st.composite
def boxes_on(draw: st.DrawFn, shape: tuple[int, int], count: int = 4) -> geometry.Boxes:
    rows = []
    for _ in range(count):
        y0, x0 = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        h, w = draw(st.integers(0, shape[0] - y0)), draw(st.integers(0, shape[1] - x0))
        rows.append((y0, x0, h, w) if h and w else (0, 0, 0, 0))
    return np.array(rows, np.int32)


def marked(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    y, x, h, w = box
    mask[y : y + h, x : x + w] = True
    return mask


def hull(mask: np.ndarray) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    if len(ys) == 0:
        return 0, 0, 0, 0
    return ys.min(), xs.min(), ys.max() - ys.min() + 1, xs.max() - xs.min() + 1


def taps_inside(mask: np.ndarray, window: Window, oy: int, ox: int) -> int:
    count = 0
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            y = oy * window.strides[0] - window.pads[0] + ky * window.dilations[0]
            x = ox * window.strides[1] - window.pads[1] + kx * window.dilations[1]
            count += 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and bool(mask[y, x])
    return count


@SETTINGS
@given(st.data())
def test_window_boxes_hold_every_output_that_reads_a_changed_input(data: st.DataObject) -> None:
    window = data.draw(windows())
    source = data.draw(boxes_on(window.input_shape))
    target = geometry.window_boxes(source, window)
    pairs = geometry.overlapping_taps(source, target, window)
    for before, after, counted in zip(source, target, pairs, strict=True):
        mask = marked(before, window.input_shape)
        reads = np.array(
            [
                [taps_inside(mask, window, y, x) for x in range(window.output_shape[1])]
                for y in range(window.output_shape[0])
            ]
        )
        inside = marked(after, window.output_shape)
        assert not (reads > 0)[~inside].any(), "an output outside the box reads a changed input"
        assert counted == reads.sum()
        if max(window.dilations) == 1 and all(s <= k for s, k in zip(window.strides, window.kernel, strict=True)):
            assert tuple(after) == hull(reads > 0), "the box is not tight"


@SETTINGS
@given(st.data())
def test_union_is_the_hull_of_the_boxes_that_are_not_empty(data: st.DataObject) -> None:
    shape = (9, 7)
    parts = [data.draw(boxes_on(shape)) for _ in range(3)]
    united = geometry.union_boxes(parts)
    for row, box in enumerate(united):
        assert tuple(box) == hull(np.any([marked(part[row], shape) for part in parts], axis=0))


@SETTINGS
@given(st.data(), st.tuples(st.integers(-3, 3), st.integers(-3, 3)))
def test_translate_moves_and_crops(data: st.DataObject, shift: tuple[int, int]) -> None:
    shape, output = (6, 8), (7, 7)
    source = data.draw(boxes_on(shape))
    moved = geometry.translate_boxes(source, shift, output)
    for before, after in zip(source, moved, strict=True):
        mask = np.zeros(output, bool)
        for y, x in zip(*np.nonzero(marked(before, shape)), strict=True):
            if 0 <= y + shift[0] < output[0] and 0 <= x + shift[1] < output[1]:
                mask[y + shift[0], x + shift[1]] = True
        assert tuple(after) == hull(mask)


@SETTINGS
@given(st.data(), st.integers(1, 3), st.integers(1, 3))
def test_resampling_marks_what_reads_the_box(data: st.DataObject, rows: int, columns: int) -> None:
    shape, output = (6, 8), (7, 5)
    source = data.draw(boxes_on(shape))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    ys, xs = rng.integers(-1, shape[0], (output[0], rows)), rng.integers(-1, shape[1], (output[1], columns))
    for before, after in zip(source, geometry.resample_boxes(source, ys, xs), strict=True):
        mask, inside = np.zeros(output, bool), marked(before, shape)
        for oy, ox in np.ndindex(*output):
            mask[oy, ox] = any(inside[y, x] for y in ys[oy] for x in xs[ox] if y >= 0 and x >= 0)
        assert tuple(after) == hull(mask)


@SETTINGS
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
def test_grid_covers_every_pixel_and_stays_inside(shape, patch, stride) -> None:
    if any(p > s for p, s in zip(patch, shape, strict=True)):
        with pytest.raises(ValueError, match="exceeds"):
            geometry.occlusion_grid(shape, patch, stride)
        return
    grid = geometry.occlusion_grid(shape, patch, stride)
    if all(step <= p for step, p in zip(stride, patch, strict=True)):
        counts = [-(-(size - p) // step) + 1 for size, p, step in zip(shape, patch, stride, strict=True)]
        assert len(grid) == counts[0] * counts[1]
    covered = np.zeros(shape, bool)
    for box in grid:
        assert box[2] >= 1
        assert box[3] >= 1
        assert box[0] + box[2] <= shape[0]
        assert box[1] + box[3] <= shape[1]
        covered |= marked(box, shape)
    if all(step <= p for step, p in zip(stride, patch, strict=True)):
        assert covered.all()


@pytest.mark.parametrize(("patch", "stride", "match"), [((0, 1), (1, 1), "patch"), ((1, 1), (0, 1), "stride")])
def test_grid_refuses_nonsense(patch, stride, match) -> None:
    with pytest.raises(ValueError, match=match):
        geometry.occlusion_grid((8, 8), patch, stride)


def test_row_offsets_count_the_pixels() -> None:
    boxes = np.array([[0, 0, 2, 3], [0, 0, 0, 0], [1, 1, 1, 4]], np.int32)
    assert geometry.row_offsets(boxes).tolist() == [0, 6, 6, 10]


@given(st.data())
@SETTINGS
def test_crop_boxes(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    boxes = data.draw(boxes_on(shape))
    tau = data.draw(st.one_of(st.just(1.0), st.floats(1e-6, 1.0)))
    for box, cropped in zip(boxes, geometry.crop_boxes(boxes, shape, tau), strict=True):
        for axis in (0, 1):
            cells = list(range(box[axis], box[axis] + box[axis + 2]))
            # Cells go one by one from the far and the near end, the far one first, until few enough are left.
            far = True
            while len(cells) > max(1, np.floor(tau * shape[axis] + 0.5)):
                cells = cells[:-1] if far else cells[1:]
                far = not far
            if (box[2:] == 0).any():
                assert cropped.tolist() == [0, 0, 0, 0]
            else:
                assert (cropped[axis], cropped[axis + 2]) == (cells[0], len(cells))
        if tau == 1:
            assert (cropped == box).all()


def test_resize_boxes_keeps_centres_and_stays_inside() -> None:
    boxes = np.array([(10, 12, 4, 6), (0, 0, 4, 4), (28, 26, 4, 4), (0, 0, 0, 0)], np.int32)
    expected = [(6, 11, 12, 8), (0, 0, 8, 6), (24, 24, 8, 8), (0, 0, 0, 0)]
    assert geometry.resize_boxes(boxes, (12, 8), (32, 32)).tolist() == [list(box) for box in expected]


def test_neighbour_order_keeps_neighbours_together() -> None:
    """Sixteen positions in a row of the order lie in a square of 4 x 4, not in a line of 16."""
    boxes = geometry.occlusion_grid((64, 64), (4, 4), (4, 4))
    order = geometry.neighbour_order(boxes[::-1])
    assert sorted(order) == list(range(len(boxes)))
    squares = boxes[::-1][order].reshape(16, 16, 4)
    np.testing.assert_array_equal(np.ptp(squares[:, :, :2], axis=1), 12)


def test_neighbour_order_of_equal_corners_is_theirs() -> None:
    np.testing.assert_array_equal(geometry.neighbour_order(np.zeros((5, 4), np.int32)), range(5))
    assert len(geometry.neighbour_order(np.zeros((0, 4), np.int32))) == 0


@pytest.mark.parametrize(
    ("positions", "chunks"),
    [(0, 0), (1, 1), (7, 1), (8, 2), (16, 2), (32, 2), (64, 2), (65, 4), (3200, 100)],
)
def test_chunks_are_even_and_not_too_small(positions: int, chunks: int) -> None:
    assert geometry.count_chunks(positions, chunk=32, workers=2) == chunks


@SETTINGS
@given(st.integers(1, 5000), st.integers(1, 600), st.integers(1, 64))
def test_no_chunk_exceeds_its_size(positions: int, chunk: int, workers: int) -> None:
    pieces = np.array_split(np.arange(positions), geometry.count_chunks(positions, chunk, workers))
    assert max(map(len, pieces)) <= chunk
    assert min(map(len, pieces)) >= min(positions, geometry.SMALLEST_CHUNK, chunk // 2 + 1)
