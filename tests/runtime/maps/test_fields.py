"""Signals and volumes through a session: what it finds is the naive loop's; what is for pictures is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli.explain import main as explain_main
from krypton_compile.errors import ModelError, OcclusionError
from krypton_compile.runtime import Approximation, FieldExplanation, OcclusionSession
from tests.support.graphs import parse, run_naive

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) s = Gemm<transB=1>(f, fw, fb) y = Softmax<axis=1>(s)"
SIZES = {"signal": (60,), "volume": (6, 12, 14)}
PATCH, STRIDE = {"signal": (9,), "volume": (3, 4, 5)}, {"signal": (4,), "volume": (2, 3, 4)}
BASELINE = [0.5, -0.25]


def make_model(kind: str, symbolic: bool = False) -> onnx.ModelProto:
    sizes = SIZES[kind]
    ones = [1] * 2 * len(sizes)
    body = (
        f"c = Conv<pads={ones}>(x, w0, b0) r = Relu(c) "
        f"p = MaxPool<kernel_shape={[2] * len(sizes)}, strides={[2] * len(sizes)}>(r) "
        f"d = Conv<pads={ones}>(p, w1) h = Relu(d) {HEAD}"
    )
    shape = ",".join(("D", "H", "W")[-len(sizes) :] if symbolic else map(str, sizes))
    kernel = (3,) * len(sizes)
    weights = {"w0": (6, 2, *kernel), "b0": (6,), "w1": (8, 6, *kernel), "fw": (5, 8), "fb": (5,)}
    return parse(body, image=f"float[N,2,{shape}] x", **weights)


def make_image(kind: str) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((1, 2, *SIZES[kind])).astype(np.float32)


@pytest.fixture(scope="module", params=SIZES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def session(kind: str, tmp_path_factory: pytest.TempPathFactory) -> OcclusionSession:
    path = tmp_path_factory.mktemp("fields") / "m.krypton.onnx"
    compile(make_model(kind), path, labels=list("abcde"))
    return OcclusionSession(path, threads=2)


def occluded(kind: str, boxes: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    images = np.repeat(make_image(kind), len(boxes), axis=0)
    for image, box in zip(images, boxes, strict=True):
        area = tuple(slice(start, start + size) for start, size in zip(*np.split(box, 2), strict=True))
        image[(slice(None), *area)] = baseline[(slice(None), *area)]
    return images


def full(kind: str, baseline: object) -> np.ndarray:
    array = np.asarray(baseline, np.float32)
    return (
        np.broadcast_to(array.reshape(-1, *[1] * len(SIZES[kind])), (2, *SIZES[kind])) if array.ndim < 2 else array[0]
    )


@pytest.mark.parametrize("baseline", [None, 0.75, BASELINE, "array"])
def test_an_explanation_is_the_naive_loops(session: OcclusionSession, kind: str, baseline: object) -> None:
    image = make_image(kind)
    given = image[..., ::-1].copy() if baseline == "array" else baseline
    found = session.explain(image, PATCH[kind], STRIDE[kind], given)
    assert isinstance(found, FieldExplanation)
    shown = full(kind, 0.0 if given is None else given)
    expected = run_naive(make_model(kind), occluded(kind, found.boxes, shown))
    assert found.scores.reshape(len(found.boxes), -1) == pytest.approx(expected, abs=1e-6)
    assert expected.std(axis=0).max() > 1e-4, "windows do not matter"
    base = run_naive(make_model(kind), image)[0]
    assert found.base_scores == pytest.approx(base, abs=1e-6)
    assert found.target == int(base.argmax())
    drop = base[found.target] - expected[:, found.target]
    total, count = np.zeros(SIZES[kind]), np.zeros(SIZES[kind])
    for value, box in zip(drop, found.boxes, strict=True):
        area = tuple(slice(start, start + size) for start, size in zip(*np.split(box, 2), strict=True))
        total[area] += value
        count[area] += 1
    assert found.heatmap() == pytest.approx(total / count, abs=1e-6)
    assert found.heatmap(reduce="sum") == pytest.approx(total, abs=1e-5)
    assert found.heatmap(reduce="none").shape == found.scores.shape[:-1]
    assert found.exact


def test_the_grid_and_its_options(session: OcclusionSession, kind: str) -> None:
    image = make_image(kind)
    found = session.explain(image, 4, 3, target="b", classes=[1, 3], value="score", edge="valid")
    assert found.scores.shape == (*((size - 4) // 3 + 1 for size in SIZES[kind]), 2)
    assert found.values("d") == pytest.approx(found.scores[..., 1])
    assert "b," in repr(found)
    with pytest.raises(OcclusionError, match="not kept"):
        found.values("a")
    logits = session.explain(image, 4, 3, activation="pre")
    assert session.explain(image, 4, 3, activation="pre", batch_size=2).scores == pytest.approx(logits.scores, abs=1e-5)
    done: list[tuple[int, int]] = []
    session.explain(image, 4, 3, progress=lambda *at: done.append(at))
    assert done[-1] == (len(logits.boxes), len(logits.boxes))


def test_patches_and_masks_come_in_the_order_of_the_box(session: OcclusionSession, kind: str) -> None:
    image, axes = make_image(kind), len(SIZES[kind])
    rng = np.random.default_rng(2)
    boxes = np.array(
        [[1] * axes + [3] * axes, [0] * axes + [*SIZES[kind]], [0] * 2 * axes, [2] * axes + [2] * axes], np.int32
    )
    rows = int(np.prod(boxes[:, axes:], axis=1).sum())
    patches, mask = rng.standard_normal((rows, 2)).astype(np.float32), rng.random(rows) < 0.6
    prepared = session.prepare(image)
    found = session.score(prepared, boxes, patches=patches, mask=mask)
    images, row = np.repeat(image, len(boxes), axis=0), 0
    for one, box in zip(images, boxes, strict=True):
        for place in np.ndindex(*box[axes:]):
            if mask[row]:
                one[(slice(None), *(start + at for start, at in zip(box, place, strict=False)))] = patches[row]
            row += 1
    assert found.scores == pytest.approx(run_naive(make_model(kind), images), abs=1e-6)
    assert session.error < 1e-5


REFUSED = {
    "roi": {"roi": (0, 0, 4, 4)},
    "segments": {"segments": "slic:4"},
    "samples": {"samples": 3},
    "layout": {"layout": "HWC"},
    "baseline_space": {"baseline_space": "picture"},
    "approximation": {"approximation": Approximation(tau=0.5)},
    "patch_size": {"patch_size": [4, 8]},
    "stride": {"stride": (1, 2, 3, 4)},
    "exceeds": {"patch_size": 100},
    "baseline": {"baseline": "blur"},
    "channels": {"baseline": [1, 2, 3]},
    "target": {"target": 9},
    "value": {"value": "worth"},
    "batch_size": {"batch_size": 0},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_for_pictures_is_refused(session: OcclusionSession, kind: str, what: str) -> None:
    asked = {"patch_size": 4, "stride": 4, **REFUSED[what]}
    with pytest.raises(OcclusionError, match=what):
        session.explain(make_image(kind), **asked)


def test_what_does_not_fit_is_refused(session: OcclusionSession, kind: str) -> None:
    image = make_image(kind)
    explanation = session.explain(image, 4, 4)
    for draw in (explanation.overlay, explanation.figure, lambda: explanation.save("nowhere")):
        with pytest.raises(OcclusionError, match=f"a {kind} is not drawn"):
            draw()
    assert explanation.picture is None
    assert explanation._repr_png_() is None
    assert "<img" not in explanation._repr_html_()
    with pytest.raises(ValueError, match=f"not of a {kind}"):
        explanation.heatmap(reduce="none", upsample="nearest")
    for same in (image[0], image.astype(np.float64)):
        np.testing.assert_array_equal(session.explain(same, 4, 4).scores, explanation.scores)
    for wrong, message in ((image[..., :-1], "expected shape"), (image.astype(np.uint8), "found uint8")):
        with pytest.raises(OcclusionError, match=f"image: {message}"):
            session.explain(wrong, 4, 4)
    with pytest.raises(OcclusionError, match="boxes: expected integers"):
        session.score_boxes(image, np.zeros((1, 4), np.int32))
    with pytest.raises(OcclusionError, match="does not lie inside"):
        session.score_boxes(image, np.full((1, 2 * len(SIZES[kind])), 50, np.int32))
    for segments in ("slic:4", Path("labels.png")):
        with pytest.raises(OcclusionError, match=r"segments: for models of pictures.*give segments as an array"):
            session.explain(image, segments=segments)
    with pytest.raises(OcclusionError, match="expected integer labels of shape"):
        session.explain(image, segments=np.zeros((2, 2), int))


ROIS = {"signal": (13, 30), "volume": (1, 0, 9, 3, 3, 13)}


@pytest.mark.parametrize("edge", ["truncate", "valid", "shift"])
def test_a_region_of_interest_is_the_crop_of_the_whole_map(session: OcclusionSession, kind: str, edge: str) -> None:
    image, roi, axes = make_image(kind), ROIS[kind], len(SIZES[kind])
    part = session.explain(image, PATCH[kind], STRIDE[kind], edge=edge, roi=roi)
    whole = session.explain(image, PATCH[kind], STRIDE[kind], edge=edge)
    touching = [all(start < end and start + size > begin for start, size, begin, end in zip(
        box[:axes], box[axes:], roi[:axes], roi[axes:], strict=True)) for box in whole.boxes]  # fmt: skip
    np.testing.assert_array_equal(part.boxes, whole.boxes[touching])
    assert 0 < len(part.boxes) < len(whole.boxes)
    inside = np.zeros(SIZES[kind], bool)
    inside[tuple(slice(start, end) for start, end in zip(roi[:axes], roi[axes:], strict=True))] = True
    for reduce in ("mean", "sum"):
        heatmap = part.heatmap(reduce=reduce)
        np.testing.assert_allclose(heatmap[inside], whole.heatmap(reduce=reduce)[inside], atol=1e-6)
        assert np.isnan(heatmap[~inside]).all()
    for bad in (roi[:-1], tuple(reversed(roi)), (*roi[:-1], 1000)):
        with pytest.raises(OcclusionError, match="roi"):
            session.explain(image, 4, 4, roi=bad)


def labels_of(kind: str) -> np.ndarray:
    """A few labels, each of pieces that lie apart."""
    places = np.indices(SIZES[kind]).sum(axis=0)
    return (places // 5) % 4 * 10 + 3


def naive_regions(kind: str, labels: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Scores [labels, K], region by region, point by point."""
    images = np.repeat(make_image(kind), len(np.unique(labels)), axis=0)
    for image, label in zip(images, np.unique(labels), strict=True):
        for place in np.ndindex(*SIZES[kind]):
            if labels[place] == label:
                image[(slice(None), *place)] = shown[(slice(None), *place)]
    return run_naive(make_model(kind), images)


def test_the_regions_of_a_label_map_are_the_naive_loops(session: OcclusionSession, kind: str) -> None:
    image, labels = make_image(kind), labels_of(kind)
    explanation = session.explain(image, segments=labels, baseline=BASELINE)
    expected = naive_regions(kind, labels, full(kind, BASELINE))
    assert explanation.scores.shape == (1, 4, 5)
    np.testing.assert_allclose(explanation.scores[0], expected, atol=1e-6)
    assert expected.std(axis=0).max() > 1e-4, "regions do not matter"
    heatmap = explanation.heatmap()
    for label, scores in zip(np.unique(labels), expected, strict=True):
        drop = explanation.base_scores[explanation.target] - scores[explanation.target]
        np.testing.assert_allclose(heatmap[labels == label], drop, atol=1e-6)
    assert (explanation.coverage == 1).all()
    assert explanation.windows.labels.tolist() == [3, 13, 23, 33]
    chunks = list(session.iter_explain(image, segments=labels, baseline=BASELINE))
    np.testing.assert_array_equal(np.sort(np.concatenate([chunk.index for chunk in chunks])), np.arange(4))
    for chunk in chunks:
        np.testing.assert_allclose(chunk.scores, expected[chunk.index], atol=1e-6)
    (only,) = session.explain_progressively(image, segments=labels, baseline=BASELINE)
    np.testing.assert_array_equal(only.scores, explanation.scores)
    assert only.exact


def test_windows_as_they_get_done_are_the_naive_loops(session: OcclusionSession, kind: str) -> None:
    image, seen = make_image(kind), []
    whole = session.explain(image, PATCH[kind], STRIDE[kind], 0.75)
    expected = run_naive(make_model(kind), occluded(kind, whole.boxes, full(kind, 0.75)))
    for chunk in session.iter_explain(image, PATCH[kind], STRIDE[kind], 0.75, batch_size=7):
        np.testing.assert_array_equal(chunk.boxes, whole.boxes[chunk.index])
        np.testing.assert_allclose(chunk.scores, expected[chunk.index], atol=1e-6)
        seen += chunk.index.tolist()
    assert sorted(seen) == list(range(len(whole.boxes)))
    some = list(session.iter_explain(image, PATCH[kind], STRIDE[kind], roi=ROIS[kind], classes=[2]))
    assert sum(len(chunk.index) for chunk in some) < len(whole.boxes)
    assert {chunk.scores.shape[1] for chunk in some} == {1}


def test_an_estimate_counts_what_changes(session: OcclusionSession, kind: str) -> None:
    image = make_image(kind)
    image[..., SIZES[kind][-1] // 2 :] = 0
    explanation = session.explain(image, PATCH[kind], STRIDE[kind])
    expected = session.estimate(image, PATCH[kind], STRIDE[kind])
    changing = sum(
        image[(0, slice(None), *(slice(a, a + n) for a, n in zip(*np.split(box, 2), strict=True)))].any()
        for box in explanation.boxes
    )
    assert (expected.windows, expected.scored) == (len(explanation.boxes), changing)
    assert 0 < changing < len(explanation.boxes)
    assert explanation.changed == pytest.approx(changing / len(explanation.boxes))
    assert 0 < expected.seconds < 10


def test_verification_runs_the_original(session: OcclusionSession, kind: str, tmp_path: Path) -> None:
    image, path = make_image(kind), tmp_path / "original.onnx"
    onnx.save(make_model(kind), path)
    for options in ({}, {"activation": "pre"}, {"segments": labels_of(kind)}, {"roi": ROIS[kind]}):
        explanation = session.explain(image, PATCH[kind], STRIDE[kind], BASELINE, **options)
        for original in (None, path):
            checked = session.verify(explanation, image, original, 4, baseline=BASELINE)
            assert checked.windows == 4
            assert 0 <= checked.largest <= checked.resolution, options
    explanation.scores[...] += 1e-2
    assert session.verify(explanation, image, path, 4, baseline=BASELINE).largest > 5e-3
    with pytest.raises(OcclusionError, match="give the same baseline"):
        session.verify(explanation, image, path, 4)


def test_progressive_maps_end_exact_and_score_no_window_twice(
    session: OcclusionSession, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, asked = make_image(kind), []
    exact = session.explain(image, PATCH[kind], 1)
    score = session.scorer.iter_score

    def counting(prepared, occlusion, *thresholds, **options):
        asked.append(len(occlusion.boxes))
        return score(prepared, occlusion, *thresholds, **options)

    monkeypatch.setattr(session.scorer, "iter_score", counting)
    maps = list(session.explain_progressively(image, PATCH[kind], 1))
    assert sum(asked) == len(exact.boxes)
    assert len(maps) >= 3
    shares = [one.scored.mean() for one in maps]
    assert shares == sorted(shares)
    assert shares[0] < 0.3
    assert np.isnan(maps[0].estimated_error)
    assert maps[1].estimated_error > 0
    for one in maps:
        np.testing.assert_allclose(one.scores[one.scored], exact.scores[one.scored], atol=1e-6)
        assert np.isfinite(one.heatmap()).all()
    off = [np.abs(one.scores - exact.scores).mean() for one in maps]
    assert off == sorted(off, reverse=True)
    np.testing.assert_allclose(maps[-1].scores, exact.scores, atol=1e-6)
    assert maps[-1].exact
    assert not any(one.exact for one in maps[:-1])


def test_several_sizes_are_separate_runs_and_their_mean(session: OcclusionSession, kind: str) -> None:
    image, sizes = make_image(kind), [3, PATCH[kind]]
    both = session.explain(image, patch_sizes=sizes, stride=3)
    alone = [session.explain(image, size, 3) for size in sizes]
    for part, one in zip(both.parts, alone, strict=True):
        np.testing.assert_array_equal(part.scores, one.scores)
    np.testing.assert_allclose(both.heatmap(), np.nanmean([one.heatmap() for one in alone], axis=0), atol=1e-6)


def test_the_command_line_compiles_and_explains_pictures_alone(kind: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(make_model(kind, symbolic=True), path)
    assert compile_cli.main([str(path)]) == 2
    assert "--image-size" in capsys.readouterr().err
    assert compile_cli.main([str(path), "--image-size", "20", "24"]) == 2
    assert f"expected an image size of {len(SIZES[kind])} numbers" in capsys.readouterr().err
    sizes = [str(size) for size in SIZES[kind]]
    assert compile_cli.main(["--image-size", *sizes, str(path), "--patch-size", "4"]) == 0
    said = capsys.readouterr().out
    assert f"patch {'x'.join(['4'] * len(sizes))}, stride" in said
    assert "incremental: 100.0%" in said
    opened = OcclusionSession(tmp_path / "m.krypton.onnx")
    assert opened.image_shape == (1, 2, *SIZES[kind])
    assert explain_main([str(tmp_path / "m.krypton.onnx"), str(path)]) == 2
    assert f"its input is a {kind}" in capsys.readouterr().err


def test_a_preprocessing_is_refused(kind: str, session: OcclusionSession, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="preprocessing: for pictures"):
        compile(make_model(kind), preprocessing="unit")
    path = tmp_path / "m.krypton.onnx"
    compile(make_model(kind), path, verify=False)
    with pytest.raises(OcclusionError, match="for pictures"):
        OcclusionSession(path, preprocessing="unit")
