"""The options of an explanation, on a linear network whose maps can be worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from krypton_compile import compile
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime import OcclusionSession, Request
from krypton_compile.runtime.sweep.resolved import resolve_windows
from tests.support.linear import IMAGE, PIXELS, TOLERANCE, H, W, hidden, linear_model

RNG = np.random.default_rng(1)

EDGES = {
    # Windows of 3 x 4, 2 and 3 apart, on 5 x 7: along y 0, 2; along x 0, 3. Both divide.
    "truncate": ([0, 2], [0, 3]),
    "valid": ([0, 2], [0, 3]),
    "shift": ([0, 2], [0, 3]),
}


@pytest.mark.parametrize("edge", EDGES)
def test_windows_that_fit(linear, edge):
    found = linear.explain(IMAGE, (3, 4), (2, 3), edge=edge, target=0)
    expected = [[hidden(y, x, 3, 4) for x in EDGES[edge][1]] for y in EDGES[edge][0]]
    np.testing.assert_allclose(found.values(), expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("edge", "starts", "extents"),
    [
        ("truncate", ([0, 2, 4], [0, 3, 6]), ([2, 2, 1], [2, 2, 1])),
        ("valid", ([0, 2], [0, 3]), ([2, 2], [2, 2])),
        ("shift", ([0, 2, 3], [0, 3, 5]), ([2, 2, 2], [2, 2, 2])),
    ],
)
def test_windows_that_do_not(linear, edge, starts, extents):
    found = linear.explain(IMAGE, 2, (2, 3), edge=edge, target="sum")
    expected = [
        [hidden(y, x, h, w) for x, w in zip(starts[1], extents[1], strict=True)]
        for y, h in zip(starts[0], extents[0], strict=True)
    ]
    np.testing.assert_allclose(found.values(), expected, atol=TOLERANCE)
    np.testing.assert_allclose(found.scores[..., 0], PIXELS.sum() - expected, atol=TOLERANCE)


def by_hand(explanation, mean):
    """The map's formula, window by window."""
    total, count = np.zeros((H, W)), np.zeros((H, W))
    for value, (y0, x0, h, w) in zip(explanation.values().ravel(), explanation.boxes, strict=True):
        total[y0 : y0 + h, x0 : x0 + w] += value
        count[y0 : y0 + h, x0 : x0 + w] += 1
    with np.errstate(invalid="ignore"):
        return np.where(count == 0, np.nan, total / count if mean else total), count


@pytest.mark.parametrize("edge", ["truncate", "valid", "shift"])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_the_map_is_the_mean_or_the_sum_over_windows(linear, edge, reduce):
    found = linear.explain(IMAGE, (2, 3), 2, edge=edge)
    expected, count = by_hand(found, reduce == "mean")
    np.testing.assert_allclose(found.heatmap(reduce=reduce), expected, rtol=1e-5, atol=TOLERANCE)
    np.testing.assert_array_equal(found.coverage, count)
    assert np.isnan(found.heatmap()).any() == (edge == "valid")


def test_no_reduction_gives_the_grid_and_upsampling_goes_through_the_centres(linear):
    found = linear.explain(IMAGE, (1, 1), (2, 3), target=0)
    values = found.values()
    np.testing.assert_array_equal(values, PIXELS[::2, ::3])
    np.testing.assert_array_equal(found.heatmap(reduce="none"), values)
    for how in ("nearest", "bilinear", "bicubic"):
        full = found.heatmap(reduce="none", upsample=how)
        np.testing.assert_allclose(full[::2, ::3], values, atol=TOLERANCE)
    linear_between = found.heatmap(reduce="none", upsample="bilinear")
    np.testing.assert_allclose(linear_between[1, 0], (values[0, 0] + values[1, 0]) / 2, atol=TOLERANCE)
    np.testing.assert_allclose(linear_between[0, 1], values[0, 0] * 2 / 3 + values[0, 1] / 3, atol=TOLERANCE)


def test_upsampling_ends_where_the_windows_do(linear):
    found = linear.explain(IMAGE, 2, (2, 4), edge="valid")
    full = found.heatmap(reduce="none", upsample="bicubic")
    covered = np.zeros((H, W), bool)
    covered[:4, :6] = True
    np.testing.assert_array_equal(np.isfinite(full), covered)


def test_scores_instead_of_differences(linear):
    found = linear.explain(IMAGE, 2, 1, value="score", target="pixel")
    np.testing.assert_array_equal(found.values(), found.scores[..., 1])
    assert found.values().min() == min(0, PIXELS[1, 2])
    assert set(found.values().ravel()) == {np.float32(0), PIXELS[1, 2]}


def test_the_second_class_depends_on_one_pixel(linear):
    heatmap = linear.explain(IMAGE, 1, 1, target="pixel").heatmap()
    expected = np.zeros((H, W), np.float32)
    expected[1, 2] = PIXELS[1, 2]
    np.testing.assert_array_equal(heatmap, expected)


@pytest.mark.parametrize("upsample", ["nearest", "bilinear", "bicubic"])
def test_a_region_cannot_be_upsampled_from_within(linear, upsample):
    """The windows beyond it would change its values."""
    found = linear.explain(IMAGE, 2, 1, roi=(1, 1, 4, 4))
    with pytest.raises(ValueError, match="depends on windows beyond it"):
        found.heatmap(reduce="none", upsample=upsample)
    assert found.heatmap(reduce="none").shape == found.scores.shape[:2]


@pytest.mark.parametrize("roi", [(0, 0, 1, 1), (1, 2, 4, 5), (4, 6, 5, 7), (0, 0, H, W)])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("edge", ["truncate", "shift"])
def test_a_region_of_interest_is_the_crop_of_the_whole_map(linear, roi, reduce, edge):
    y0, x0, y1, x1 = roi
    whole = linear.explain(IMAGE, (2, 3), (1, 2), edge=edge).heatmap(reduce=reduce)
    found = linear.explain(IMAGE, (2, 3), (1, 2), edge=edge, roi=roi)
    part = found.heatmap(reduce=reduce)
    np.testing.assert_allclose(part[y0:y1, x0:x1], whole[y0:y1, x0:x1], atol=TOLERANCE)
    outside = np.ones((H, W), bool)
    outside[y0:y1, x0:x1] = False
    assert np.isnan(part[outside]).all()


def test_several_sizes_are_separate_runs_and_their_mean(linear):
    calls = []
    sizes = [1, 3, (2, 4)]
    found = linear.explain(IMAGE, patch_sizes=sizes, stride=2, target=0, progress=lambda *call: calls.append(call))
    alone = [linear.explain(IMAGE, size, 2, target=0) for size in sizes]
    for part, one in zip(found.parts, alone, strict=True):
        np.testing.assert_array_equal(part.scores, one.scores)
    maps = np.stack([one.heatmap() for one in alone])
    assert np.isnan(maps).any()  # windows of one pixel leave gaps
    np.testing.assert_allclose(found.heatmap(), np.nanmean(maps, axis=0), atol=TOLERANCE)
    total = sum(len(one.boxes) for one in alone)
    assert calls[-1] == (total, total)
    with pytest.raises(ValueError, match="grids differ"):
        found.heatmap(reduce="none")
    assert found.overlay().shape == (H, W, 3)
    assert found.figure().startswith(b"\x89PNG")
    assert [part["patch_size"] for part in found.meta["parts"]] == [(1, 1), (3, 3), (2, 4)]


def test_regions_take_what_their_own_pixels_hold(linear):
    labels = RNG.integers(0, 4, (H, W)) * 10
    found = linear.explain(IMAGE, segments=labels, target=0)
    expected = np.zeros((H, W), np.float32)
    for label in np.unique(labels):
        expected[labels == label] = PIXELS[labels == label].sum()
    np.testing.assert_allclose(found.heatmap(), expected, atol=TOLERANCE)
    assert found.scores.shape == (1, len(np.unique(labels)), 3)
    assert (found.coverage == 1).all()
    part = linear.explain(IMAGE, segments=labels, target=0, roi=(1, 1, 3, 4)).heatmap()
    np.testing.assert_allclose(part[1:3, 1:4], expected[1:3, 1:4], atol=TOLERANCE)
    assert np.isfinite(part).sum() == 6


def test_regions_hidden_by_their_own_mean_keep_the_sum(linear):
    labels = RNG.integers(0, 4, (H, W))
    found = linear.explain(IMAGE, segments=labels, target=0, baseline="patch-mean")
    np.testing.assert_allclose(found.heatmap(), 0, atol=TOLERANCE)


def test_baselines_of_the_linear_network(linear):
    def drop(baseline, **options):
        return linear.explain(IMAGE, (2, 3), (2, 3), target=0, baseline=baseline, edge="valid", **options).values()

    sums = np.array([[hidden(y, x, 2, 3) for x in (0, 3)] for y in (0, 2)])
    np.testing.assert_allclose(drop(2.0), sums - 6 * 2, atol=TOLERANCE)
    np.testing.assert_allclose(drop("mean"), sums - 6 * PIXELS.mean(), atol=TOLERANCE)
    np.testing.assert_allclose(drop("patch-mean"), 0, atol=TOLERANCE)
    other = RNG.standard_normal(IMAGE.shape).astype(np.float32)
    expected = [[hidden(y, x, 2, 3) - other[0, 0, y : y + 2, x : x + 3].sum() for x in (0, 3)] for y in (0, 2)]
    np.testing.assert_allclose(drop(other), expected, atol=TOLERANCE)


def test_pda_averages_the_scores_of_its_samples(linear):
    found = linear.explain(IMAGE, 2, 2, target=0, baseline="pda", samples=3)
    request = Request(2, 2, baseline="pda", target=0, samples=3)
    resolved, (windows,) = resolve_windows(linear.scorer, IMAGE, request)
    rows = [resolved.occluder.rows(windows.boxes, None, number) for number in range(3)]
    ends = np.cumsum(windows.boxes[:, 2] * windows.boxes[:, 3])
    expected = [
        hidden(*box) - np.mean([one[end - box[2] * box[3] : end].sum() for one in rows])
        for box, end in zip(windows.boxes.tolist(), ends, strict=True)
    ]
    np.testing.assert_allclose(found.values().ravel(), expected, atol=10 * TOLERANCE)
    assert np.abs(np.ptp(rows, axis=0)).max() > 1  # the samples differ


@pytest.mark.parametrize("baseline", [IMAGE, "patch-mean"])
def test_what_hides_nothing_gives_a_map_of_zeros_and_a_legal_picture(linear, baseline):
    found = linear.explain(IMAGE if baseline is IMAGE else np.full_like(IMAGE, 3), 2, 1, baseline=baseline)
    assert not found.heatmap().any()
    assert np.isfinite(found.heatmap()).all()
    assert (found.flip_map == found.base_scores.argmax()).all()
    assert found.overlay().dtype == np.uint8
    assert found.figure().startswith(b"\x89PNG")


def test_a_constant_network_has_a_map_of_zeros(tmp_path):
    model = linear_model()
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.zeros((H * W, 3), np.float32), "weights"))
    compile(model, tmp_path / "constant.krypton.onnx")
    found = OcclusionSession(tmp_path / "constant.krypton.onnx").explain(IMAGE, 2, 1)
    assert not found.heatmap().any()
    assert found.figure().startswith(b"\x89PNG")
    assert json.dumps(found.meta, allow_nan=False)


def test_the_flip_map_names_the_class_that_wins_under_each_window(linear):
    found = linear.explain(IMAGE, 2, 2)
    np.testing.assert_array_equal(found.flip_map, found.scores.argmax(axis=2))
    assert len(np.unique(found.flip_map)) > 1


def test_all_classes_at_once(linear, tmp_path):
    found = linear.explain(IMAGE, 2, 2, target="all")
    for index in range(3):
        np.testing.assert_array_equal(found.heatmap(index), linear.explain(IMAGE, 2, 2, target=index).heatmap())
    paths = found.save(tmp_path / "all")
    assert [path.name for path in paths] == ["all_overlay.png", "all_heatmap.npy", "all_result.json"]
    np.testing.assert_array_equal(np.load(paths[1]), np.stack([found.heatmap(index) for index in range(3)]))


def test_the_target_alone_may_be_kept(linear):
    whole = linear.explain(IMAGE, 2, 2, target=1)
    found = linear.explain(IMAGE, 2, 2, target=1, classes="target")
    np.testing.assert_array_equal(found.scores, whole.scores[..., 1:2])
    np.testing.assert_array_equal(found.heatmap(), whole.heatmap())
    assert linear.explain(IMAGE, 2, 2, target="all", classes="target").scores.shape[2] == 3
    with pytest.raises(OcclusionError, match="or 'target'"):
        linear.explain(IMAGE, 2, 2, classes="best")


@pytest.mark.parametrize("name", ["sum", 0, "0", "Sum"])
def test_a_class_by_index_or_name(linear, name):
    found = linear.explain(IMAGE, 2, 2, target=name)
    assert found.target == 0
    assert found.class_name() == "sum"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "cat"}, "cat"),
        ({"target": 3}, "class from 0 to 2"),
        ({"target": "-1"}, "class from 0 to 2"),
        ({"target": 1.5}, "target 1.5"),
        ({"value": "drop"}, "expected one of difference, score"),
        ({"activation": "relu"}, "expected one of none, softmax, sigmoid, pre"),
        ({"activation": "pre"}, "does not end in Softmax"),
        ({"edge": "wrap"}, "expected one of truncate, valid, shift"),
        ({"roi": (0, 0, 9, 9)}, "roi"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": "large"}, "batch_size"),
        ({"samples": 0}, "samples"),
        ({"baseline_space": "pixel"}, "baseline_space"),
        ({"segments": "slic:0"}, "slic:N"),
        ({"segments": "slic:1"}, "one superpixel is left"),
        ({"patch_sizes": [2, 3], "segments": np.zeros((H, W), int)}, "expected regions or windows"),
        ({"patch_size": 2.0}, "patch_size"),
        ({"stride": "3"}, "stride"),
        ({"samples": 1.5}, "samples"),
        ({"progress": 5}, "progress"),
        ({"roi": (0.5, 0, 2, 2)}, "roi"),
        ({"baseline": "pda", "segments": np.arange(H * W).reshape(H, W) % 3}, "not regions"),
        ({"activation": "softmaxx"}, "activation"),
        ({"segments": np.zeros((2, 2), int)}, "segments"),
    ],
)
def test_bad_questions_are_refused(linear, options, message):
    with pytest.raises(OcclusionError, match=message):
        linear.explain(IMAGE if "segments" not in options else 0 * IMAGE, **{"patch_size": 2, "stride": 2, **options})


def test_what_takes_one_size_refuses_several(linear):
    for ask in (linear.iter_explain, linear.explain_progressively):
        with pytest.raises(OcclusionError, match="expected one size"):
            ask(IMAGE, patch_sizes=[2, 3], stride=1)
        with pytest.raises(OcclusionError, match="exceeds"):
            ask(IMAGE, 99)  # before the first window is asked for
    with pytest.raises(OcclusionError, match="a map is of one class"):
        linear.explain(IMAGE, 2, 2).heatmap("all")
    with pytest.raises(AttributeError, match=r"take one of \.parts"):
        _ = linear.explain(IMAGE, patch_sizes=[2, 3], stride=2).scores
