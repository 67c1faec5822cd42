"""What the options of an explanation mean, on networks whose maps can be worked out by hand.

The linear network's first score is the sum of all pixels, its second the value of pixel (1, 2). A window of zeros takes
from the first the sum of the pixels that it hides, from the second that one pixel or nothing.
"""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import onnx
import pytest
from PIL import Image

from krypton_compile import compile
from krypton_compile.errors import ModelError, OcclusionError
from krypton_compile.runtime import OcclusionSession, Preprocessing, Request
from krypton_compile.runtime.approximation.settings import EXACT, Approximation
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.sweep.resolved import resolve_windows
from tests.support.small import SHAPE, small_model

H, W = 5, 7
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(-8, 9, (H, W)).astype(np.float32)
IMAGE = PIXELS[None, None]
TOLERANCE = 1e-4
"""Sums of 35 small integers are exact in float32 but for the order of division."""


def linear_model(tail=""):
    weights = np.zeros((H * W, 3), np.float32)
    weights[:, 0], weights[1 * W + 2, 1] = 1, 1
    output = "output = Softmax <axis = 1> (s)" if tail == "softmax" else "output = Identity (s)"
    text = f"""
        <ir_version: 9, opset_import: ["" : 17]>
        linear (float[1, 1, {H}, {W}] image) => (float[1, 3] output)
        <float[1, 1, 1, 1] one = {{1}}>
        {{ c = Conv (image, one)
           f = Flatten (c)
           s = MatMul (f, weights)
           {output} }}
    """
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "weights"))
    return model


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    path = tmp_path_factory.mktemp("linear") / "linear.krypton.onnx"
    compile(linear_model(), path, labels=["sum", "pixel", "nothing"])
    return OcclusionSession(path, threads=2)


def hidden(y0, x0, h, w):
    """What the window takes from the sum."""
    return PIXELS[max(y0, 0) : y0 + h, max(x0, 0) : x0 + w].sum()


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


def test_the_time_is_that_of_base_pass_windows_and_check(small, image, monkeypatch):
    prepare = Scorer.prepare

    def slow(self, *arguments):
        time.sleep(0.2)
        return prepare(self, *arguments)

    monkeypatch.setattr(Scorer, "prepare", slow)
    for approximation in (EXACT, Approximation(tau=0.5)):
        assert small.explain(image, 6, 3, approximation=approximation).seconds > 0.2
    sizes = small.explain(image, patch_sizes=[6, 8], stride=3)
    assert 0.2 < sizes.seconds < 0.4


def test_a_class_without_names_is_refused(small):
    with pytest.raises(OcclusionError, match="have no names"):
        small.explain(np.zeros(SHAPE, np.float32), 4, 4, target="cat")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.krypton.onnx"
    compile(small_model(), path, preprocessing=Preprocessing(scale=255.0))
    return OcclusionSession(path, threads=2)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)


def test_activations(small, image):
    probabilities = small.explain(image, 6, 3)
    logits = small.explain(image, 6, 3, activation="pre")
    exponents = np.exp(logits.scores.astype(np.float64))
    np.testing.assert_allclose(exponents / exponents.sum(axis=2, keepdims=True), probabilities.scores, atol=1e-6)
    with pytest.warns(UserWarning, match="applied twice"):
        twice = small.explain(image, 6, 3, activation="sigmoid", target=2, classes=[2, 4])
    np.testing.assert_allclose(twice.scores, 1 / (1 + np.exp(-probabilities.scores[..., [2, 4]])), atol=1e-6)
    with pytest.warns(UserWarning, match="applied twice"):
        soft = small.explain(image, 6, 3, activation="softmax", target=2, classes=[2, 4])
    again = np.exp(probabilities.scores)
    np.testing.assert_allclose(soft.scores, (again / again.sum(axis=2, keepdims=True))[..., [2, 4]], atol=1e-6)


@pytest.mark.parametrize("baseline", ["black", "blur", "patch-mean", "pda"])
def test_the_batch_size_and_iteration_change_no_number(small, image, baseline):
    whole = small.explain(image, 6, 3, baseline=baseline, samples=2)
    for batch_size in (1, 7, 1000):
        again = small.explain(image, 6, 3, baseline=baseline, samples=2, batch_size=batch_size)
        np.testing.assert_allclose(again.scores, whole.scores, atol=1e-6)
        assert again.heatmap().shape == whole.heatmap().shape
    seen = []
    for chunk in small.iter_explain(image, 6, 3, baseline=baseline, samples=2):
        np.testing.assert_array_equal(chunk.boxes, whole.boxes[chunk.index])
        np.testing.assert_allclose(chunk.scores, whole.scores.reshape(-1, 5)[chunk.index], atol=1e-6)
        seen += chunk.index.tolist()
    assert sorted(seen) == list(range(len(whole.boxes)))


def test_threads_may_share_a_session(tmp_path):
    """The first explanations of a fresh session at once, while it packs weights and checks itself."""
    compile(small_model(), tmp_path / "shared.krypton.onnx")
    images = np.random.default_rng(3).standard_normal((6, *SHAPE)).astype(np.float32)
    expected = [OcclusionSession(tmp_path / "shared.krypton.onnx").explain(one, 5, 2).scores for one in images]
    shared = OcclusionSession(tmp_path / "shared.krypton.onnx", threads=2)
    found, barrier = {}, threading.Barrier(len(images))

    def work(index):
        barrier.wait()
        found[index] = shared.explain(images[index], 5, 2).scores

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, scores in enumerate(expected):
        np.testing.assert_array_equal(found[index], scores)


def test_a_picture_is_its_file_its_array_and_its_tensor(small, tmp_path):
    pixels = np.random.default_rng(4).integers(0, 256, (*SHAPE[2:], 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    tensor = (pixels.astype(np.float32) / 255).transpose(2, 0, 1)[None]
    expected = small.explain(tensor, 6, 3)
    for picture in (tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.fromarray(pixels), pixels):
        found = small.explain(picture, 6, 3)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
        np.testing.assert_array_equal(found.picture, pixels)
    np.testing.assert_array_equal(expected.picture, pixels)  # drawn back from the tensor


def test_white_is_one_and_black_zero_of_the_unit_range(small):
    pixels = np.random.default_rng(4).integers(0, 256, (*SHAPE[2:], 3), np.uint8)
    tensor = (pixels.astype(np.float32) / 255).transpose(2, 0, 1)[None]
    for name, number, value in (("white", 255, 1.0), ("black", 0, 0.0), ("51,102,255", (51, 102, 255), None)):
        found = small.explain(pixels, 6, 3, baseline=name)
        np.testing.assert_array_equal(found.scores, small.explain(pixels, 6, 3, baseline=number).scores)
        if value is not None:
            np.testing.assert_allclose(found.scores, small.explain(tensor, 6, 3, baseline=value).scores, atol=1e-6)
    default = small.explain(pixels, 6, 3)
    np.testing.assert_array_equal(default.scores, small.explain(pixels, 6, 3, baseline="black").scores)


def test_arrays_that_could_be_read_two_ways_name_the_option(small, linear):
    ambiguous = np.zeros((3, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="layout="):
        small.explain(ambiguous, 6, 3)
    chw = np.random.default_rng(4).integers(0, 256, SHAPE[1:], np.uint8)
    found = small.explain(chw, 6, 3, layout="CHW")
    np.testing.assert_array_equal(found.scores, small.explain(chw.transpose(1, 2, 0), 6, 3).scores)
    with pytest.raises(OcclusionError, match="does not say how pictures become its input"):
        linear.explain(np.zeros((H, W), np.uint8), 2, 2)


def test_superpixels_and_label_pictures(small, tmp_path):
    pixels = np.zeros((*SHAPE[2:], 3), np.uint8)
    pixels[:, 12:, 0], pixels[10:, :, 1] = 200, 250
    found = small.explain(pixels, segments="slic:4")
    assert 2 <= len(found.boxes) <= 8
    labels = np.repeat(np.repeat([[3, 5], [5, 200]], 10, axis=0), 12, axis=1)
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "labels.png")
    by_file = small.explain(pixels, segments=tmp_path / "labels.png")
    by_array = small.explain(pixels, segments=labels)
    np.testing.assert_array_equal(by_file.scores, by_array.scores)
    assert by_file.windows.labels.tolist() == [3, 5, 200]
    large = Image.fromarray(labels.astype(np.uint8)).resize((96, 80), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(small.explain(pixels, segments=large).scores, by_array.scores)


def test_an_estimate_counts_and_times(small, image):
    found = small.estimate(image, 6, 3)
    explained = small.explain(image, 6, 3)
    assert found.windows == len(explained.boxes)
    assert found.scored == round(explained.changed * found.windows)
    assert 0 < found.seconds < 10
    assert found.memory > 2**20
    assert "windows" in found.describe()


def test_verification_against_the_original(small, image, tmp_path):
    onnx.save(small_model(), tmp_path / "small.onnx")
    labels = np.arange(SHAPE[2] * SHAPE[3]).reshape(SHAPE[2:]) % 7  # of many pieces each
    cases = (
        ({}, {}),
        ({"activation": "pre"}, {}),
        ({}, {"baseline": "pda", "samples": 2}),
        ({}, {"baseline": "patch-mean"}),
        ({"segments": labels}, {"baseline": "mean"}),
        ({"segments": labels}, {"baseline": "patch-mean"}),
    )
    for options, occluder in cases:
        found = small.explain(image, 6, 3, **options, **occluder)
        for original in (tmp_path / "small.onnx", None):
            checked = small.verify(found, image, original, 5, **occluder)
            assert checked.windows == min(5, len(found.boxes))
            assert 0 <= checked.largest <= checked.resolution, options
            assert "within" in checked.describe()


def test_verification_finds_a_wrong_score_and_another_model(small, image, tmp_path):
    found = small.explain(image, 6, 3)
    found.scores[...] += 1e-3
    onnx.save(small_model(), tmp_path / "small.onnx")
    checked = small.verify(found, image, tmp_path / "small.onnx", 5)
    assert checked.largest > checked.resolution
    assert "ABOVE" in checked.describe()
    found.scores[...] = np.nan
    assert "ABOVE" in small.verify(found, image, None, 5).describe()
    with pytest.raises(OcclusionError, match="give the same baseline"):
        small.verify(found, image, None, 5, baseline="mean")
    other = small_model()
    other.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w1"))
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(OcclusionError, match="not the one it was made of"):
        small.verify(found, image, tmp_path / "other.onnx", 5)
    with pytest.raises(ModelError, match="cannot be read"):
        small.verify(found, image, tmp_path / "nowhere.onnx", 5)


def test_saved_results_say_what_was_asked(small, image, tmp_path):
    found = small.explain(image, (6, 5), 3, baseline="blur:2", activation="pre", edge="shift")
    overlay, heatmap, result = found.save(tmp_path / "one")
    np.testing.assert_array_equal(np.load(heatmap), found.heatmap())
    with Image.open(overlay) as picture:
        assert picture.format == "PNG"
    facts = json.loads(result.read_text())
    expected = {
        "patch_size": [6, 5],
        "stride": [3, 3],
        "edge": "shift",
        "baseline": "blur:2",
        "activation": "pre",
        "target": found.target,
        "exact": True,
        "windows": list(found.scores.shape[:2]),
    }
    assert {name: facts[name] for name in expected} == expected
    assert facts["base_score"] == pytest.approx(float(found.base_scores[found.target]))
    assert len(facts["model_sha256"]) == 64
    assert found.resolution == pytest.approx(facts["resolution"])


def test_a_notebook_shows_the_picture_and_a_terminal_one_line(small, image):
    found = small.explain(image, 6, 3)
    assert found._repr_png_().startswith(b"\x89PNG")
    assert "\n" not in repr(found)
    assert f"class {found.target}" in repr(found)
    assert "exact" in repr(found)
