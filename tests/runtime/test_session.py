"""OcclusionSession: what it computes, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from krypton_compile import get_library_path
from krypton_compile.contract.exactness import SELF_CHECK_BOUND
from krypton_compile.contract.occlude import occlude
from krypton_compile.errors import LibraryError, ModelError, OcclusionError
from krypton_compile.ort.library import multiplies_bfloat16x3
from krypton_compile.runtime import Approximation, OcclusionSession
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.engine import self_check, sessions
from tests.support.small import TOLERANCE, small_model


def naive(images: np.ndarray) -> np.ndarray:
    return ort.InferenceSession(small_model().SerializeToString()).run(None, {"x": images})[0]


def test_scores_are_those_of_really_occluded_images(session: OcclusionSession, image: np.ndarray) -> None:
    boxes = np.array([(0, 0, 20, 24), (3, 4, 5, 6), (0, 0, 0, 0), (19, 23, 1, 1), (3, 4, 5, 6)])
    occluded = np.repeat(image, len(boxes), axis=0)
    for row, (y, x, h, w) in enumerate(boxes):
        occluded[row, :, y : y + h, x : x + w] = 0.25
    np.testing.assert_allclose(session.score_boxes(image, boxes, 0.25), naive(occluded), atol=TOLERANCE)


def test_patches_and_mask_replace_their_own_pixels(session: OcclusionSession, image: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    boxes = np.array([(1, 2, 4, 5), (0, 0, 0, 0), (10, 3, 2, 7)])
    rows = 4 * 5 + 2 * 7
    patches, mask = rng.standard_normal((rows, 3)).astype(np.float32), rng.random(rows) < 0.5
    occluded, offset = np.repeat(image, 3, axis=0), 0
    for row, (y, x, h, w) in enumerate(boxes):
        for i in range(h * w):
            if mask[offset + i]:
                occluded[row, :, y + i // w, x + i % w] = patches[offset + i]
        offset += h * w
    found = session.score_boxes(image, boxes, patches=patches, mask=mask)
    np.testing.assert_allclose(found, naive(occluded), atol=TOLERANCE)


def test_both_ways_of_running_agree(compiled: Path, session: OcclusionSession, image: np.ndarray) -> None:
    explanation = session.explain(image, patch_size=(5, 4), stride=3)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(get_library_path())
    whole = ort.InferenceSession(str(compiled), options)
    outputs = ["scores", "base_scores", "logits", "base_logits"]
    feeds = {"x": image, "boxes": explanation.boxes, "baseline": np.zeros_like(image)}
    scores, base, logits, base_logits = whole.run(outputs, feeds)
    before = session.explain(image, patch_size=(5, 4), stride=3, activation="pre")
    np.testing.assert_allclose(explanation.scores.reshape(scores.shape), scores, atol=TOLERANCE)
    np.testing.assert_allclose(before.scores.reshape(logits.shape), logits, atol=10 * TOLERANCE)
    np.testing.assert_allclose(explanation.base_scores, base[0], atol=TOLERANCE)
    np.testing.assert_allclose(before.base_scores, base_logits[0], atol=10 * TOLERANCE)


def test_no_boxes_give_no_scores(session: OcclusionSession, image: np.ndarray) -> None:
    assert session.score_boxes(image, np.zeros((0, 4), np.int32)).shape == (0, 5)


def test_a_baseline_equal_to_the_image_changes_nothing(session: OcclusionSession, image: np.ndarray) -> None:
    explanation = session.explain(image, baseline=image, patch_size=8, stride=8)
    assert explanation.changed == 0
    assert not explanation.heatmap().any()


def test_threads_options_and_progress_change_no_number(compiled: Path, image: np.ndarray) -> None:
    calls: list[tuple[int, int]] = []
    options = ort.SessionOptions()
    options.log_severity_level = 3
    sessions = [OcclusionSession(compiled, threads=1), OcclusionSession(compiled, session_options=options)]
    results = [s.explain(image, stride=2, progress=lambda *call: calls.append(call)) for s in sessions]
    np.testing.assert_array_equal(results[0].scores, results[1].scores)
    total = len(results[0].boxes)
    assert calls[-1] == (total, total)
    assert sorted(calls[: len(calls) // 2]) == calls[: len(calls) // 2]


def test_only_the_classes_asked_for_are_kept(session: OcclusionSession, image: np.ndarray) -> None:
    every = session.explain(image, patch_size=6, stride=3)
    some = session.explain(image, patch_size=6, stride=3, target=2, classes=[4, 2])
    np.testing.assert_array_equal(some.scores, every.scores[..., [4, 2]])
    np.testing.assert_array_equal(some.base_scores, every.base_scores)
    expected = session.explain(image, patch_size=6, stride=3, target=2).heatmap()
    np.testing.assert_array_equal(some.heatmap(), expected)
    with pytest.raises(OcclusionError, match="target 1: its scores were not kept"):
        session.explain(image, patch_size=6, stride=3, target=1, classes=[4]).heatmap()


@pytest.mark.parametrize("classes", [[5], [-1], [1.5], 3, ["a"]])
def test_classes_that_are_none_are_refused(session: OcclusionSession, image: np.ndarray, classes) -> None:
    with pytest.raises(OcclusionError, match="class"):
        session.run(image, [[0, 0, 1, 1]], classes=classes)


def test_an_interrupted_run_ends_at_once(session: OcclusionSession, image: np.ndarray) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.explain(image, stride=1, progress=stop)


BAD = {
    "float64 image": (lambda a: {"image": a.astype(np.float64)}, "float32"),
    "image of another shape": (lambda a: {"image": a[:, :, :-1]}, "shape"),
    "NaN in the image": (lambda a: {"image": np.where(a == a.max(), np.nan, a)}, "finite"),
    "infinity in the image": (lambda a: {"image": np.where(a == a.max(), np.inf, a)}, "finite"),
    "baseline of another shape": (lambda a: {"baseline": a[0]}, "baseline"),
    "NaN baseline": (lambda a: {"baseline": float("nan")}, "baseline"),
    "float boxes": (lambda a: {"boxes": [[0.5, 0, 4, 4]]}, "boxes"),
    "boxes of three numbers": (lambda a: {"boxes": [[0, 0, 4]]}, "boxes"),
    "negative box": (lambda a: {"boxes": [[-1, 0, 4, 4]]}, "inside the image"),
    "box outside": (lambda a: {"boxes": [[0, 0, 1, 1], [18, 0, 4, 4]]}, "row 1"),
    "patches of another size": (lambda a: {"patches": np.zeros((3, 3), np.float32)}, "patches"),
    "mask of another dtype": (lambda a: {"mask": np.zeros(16, np.uint8)}, "mask"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_arguments_are_refused_by_name(session: OcclusionSession, image: np.ndarray, kind: str) -> None:
    change, message = BAD[kind]
    arguments = {"image": image, "boxes": [[0, 0, 4, 4]], "baseline": 0.0, **change(image)}
    with pytest.raises(OcclusionError, match=message):
        session.run(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": 21}, "exceeds"),
        ({"stride": 0}, "stride"),
        ({"patch_size": 0}, "patch"),
        ({"patch_size": (1, 2, 3)}, "patch_size"),
        ({"target": 5}, "class from 0 to 4"),
        ({"target": -1}, "class from 0 to 4"),
    ],
)
def test_bad_explanations_are_refused(session: OcclusionSession, image: np.ndarray, options, message) -> None:
    with pytest.raises(OcclusionError, match=message):
        session.explain(image, **options)


CONTRACT = {
    "image dtype": lambda f: {**f, "x": f["x"].astype(np.float64)},
    "image shape": lambda f: {**f, "x": f["x"][:, :, 1:]},
    "boxes dtype": lambda f: {**f, "boxes": f["boxes"].astype(np.int64)},
    "boxes shape": lambda f: {**f, "boxes": f["boxes"][:, :3]},
    "box outside": lambda f: {**f, "boxes": np.array([[0, 0, 21, 1]], np.int32)},
    "box negative": lambda f: {**f, "boxes": np.array([[0, -1, 2, 1]], np.int32)},
    "baseline shape": lambda f: {**f, "baseline": f["baseline"][:, :, 1:]},
    "baseline NaN": lambda f: {**f, "baseline": np.full_like(f["baseline"], np.nan)},
    "patches rows": lambda f: {**f, "patches": np.zeros((3, 3), np.float32)},
    "patches channels": lambda f: {**f, "patches": np.zeros((16, 2), np.float32)},
    "patches NaN": lambda f: {**f, "patches": np.full((16, 3), np.nan, np.float32)},
    "mask rows": lambda f: {**f, "mask": np.zeros(3, bool)},
    "mask dtype": lambda f: {**f, "mask": np.zeros(16, np.float32)},
    "tau": lambda f: {**f, "krypton_tau": np.array([0.0], np.float32)},
    "eps": lambda f: {**f, "krypton_eps": np.array([-0.1], np.float32)},
    "tau of another model": lambda f: {**f, "krypton_tau": np.ones(7, np.float32)},
    "tau shape": lambda f: {**f, "krypton_tau": np.ones((1, 1), np.float32)},
}


@pytest.mark.parametrize("kind", CONTRACT)
def test_the_file_itself_refuses_bad_inputs(compiled: Path, image: np.ndarray, kind: str) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.register_custom_ops_library(get_library_path())
    whole = ort.InferenceSession(str(compiled), options)
    good = {"x": image, "boxes": np.array([[0, 0, 4, 4]], np.int32), "baseline": np.zeros_like(image)}
    assert whole.run(["scores"], good)[0].shape == (1, 5)
    with pytest.raises(Exception, match=r"[Ii]nvalid|[Uu]nexpected|krypton"):
        whole.run(["scores"], CONTRACT[kind](good))


def test_a_model_that_is_not_compiled_is_named(tmp_path: Path) -> None:
    onnx.save(small_model(), tmp_path / "plain.onnx")
    with pytest.raises(ModelError, match="krypton-compile"):
        OcclusionSession(tmp_path / "plain.onnx")


@pytest.mark.parametrize("kept", [0, 10, 1000, 15_000])
def test_a_truncated_file_is_refused(compiled: Path, tmp_path: Path, kept: int) -> None:
    (tmp_path / "cut.onnx").write_bytes(compiled.read_bytes()[:kept])
    with pytest.raises(ModelError):
        OcclusionSession(tmp_path / "cut.onnx")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        OcclusionSession(tmp_path / "none.onnx")


def test_a_missing_library_is_named(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRYPTON_OPS_LIBRARY", "/nowhere/libkrypton_ops.so")
    with pytest.raises(LibraryError, match=r"/nowhere/libkrypton_ops\.so"):
        OcclusionSession(compiled)


def test_a_library_that_is_none_is_named(compiled: Path, tmp_path: Path) -> None:
    broken = tmp_path / "libkrypton_ops.so"
    broken.write_bytes(b"no library")
    script = f"from krypton_compile.runtime import OcclusionSession; OcclusionSession({str(compiled)!r})"
    environment = {**os.environ, "KRYPTON_OPS_LIBRARY": str(broken)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert "LibraryError" in done.stderr
    assert str(broken) in done.stderr


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_occlude_shows_a_baseline_or_a_patch_where_the_mask_says(layout: str) -> None:
    rng = np.random.default_rng(3)
    image, baseline = rng.standard_normal((2, 1, 6, 5, 2)).astype(np.float32)
    box, patch, mask = np.array([1, 2, 3, 2], np.int32), rng.standard_normal((6, 2)), np.array([1, 0, 1, 1, 0, 0], bool)

    def stored(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(array, 3, 1)) if layout == "NCHW" else array

    expected = image.copy()
    expected[0, 1:4, 2:4] = baseline[0, 1:4, 2:4]
    np.testing.assert_array_equal(occlude(stored(image), box[None], stored(baseline), layout), stored(expected))
    expected = image.copy()
    for i in np.flatnonzero(mask):
        expected[0, 1 + i // 2, 2 + i % 2] = patch[i]
    np.testing.assert_array_equal(
        occlude(stored(image), box[None], patch.astype(np.float32), layout, mask), stored(expected)
    )


def test_chosen_windows_change_the_image_most_or_are_spread() -> None:
    image = np.zeros((1, 1, 64, 4), np.float32)
    image[0, 0, 40:42, 0], image[0, 0, 30, 1] = 2, -9
    boxes = np.array([[y, 0, 2, 2] for y in range(62)], np.int32)
    rows = self_check.choose_windows(image, np.zeros_like(image), boxes, "NCHW")
    assert rows.tolist() == [0, 29, 30, 61]
    later = self_check.choose_windows(image, np.zeros_like(image), boxes, "NCHW", later=True)
    assert later.tolist() == [29]
    assert len(self_check.choose_windows(image, np.zeros_like(image), boxes[:1], "NCHW")) == 1


def test_the_first_use_measures_the_error(compiled: Path, image: np.ndarray) -> None:
    session = OcclusionSession(compiled, threads=1)
    assert np.isnan(session.error)
    explanation = session.explain(image, 8, 4)
    assert explanation.error == session.error
    assert explanation.precision == session.precision == ("bfloat16x3" if multiplies_bfloat16x3() else "float32")
    assert 0 <= session.error <= SELF_CHECK_BOUND


def test_each_picture_has_an_error_of_its_own(
    compiled: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first picture's says nothing about the next one's, and neither does its silence."""
    session = OcclusionSession(compiled, threads=1)
    sessions, worse = session.scorer.sessions, 3 * image
    right = sessions.run_chunk

    def run_chunk(work, at):
        factor = 1.001 if np.array_equal(work.prepared.image, worse) else 1.0
        return [found * np.float32(factor) for found in right(work, at)]

    monkeypatch.setattr(sessions, "run_chunk", run_chunk)
    first = session.explain(image, 8, 4)
    with pytest.warns(UserWarning, match=r"1 window differed from the model"):
        second = session.explain(worse, 8, 4)
    third = session.explain(image, 8, 4, approximation=Approximation(sampling=Sampling(share=0.5)), check=False)
    assert max(first.error, third.error) <= SELF_CHECK_BOUND < 5e-4 < second.error < 2e-3
    assert session.error == second.error
    assert second.resolution > first.resolution
    unchanged = session.explain(image, 8, 4, baseline=image)
    assert np.isnan(unchanged.error)
    boxes = first.boxes[:3]
    session.score(session.prepare(worse), boxes)  # tells no error: without a warning
    for part in session.explain(image, patch_sizes=[4, 8], stride=4).parts:
        assert part.error <= SELF_CHECK_BOUND


def test_a_later_picture_may_make_float32_take_over(
    compiled: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quietly, where the pieces of bfloat16 were the cause: where float32 is exact and they are not."""
    monkeypatch.setattr(sessions, "multiplies_bfloat16x3", lambda: True)
    session = OcclusionSession(compiled, threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.explain(image, 8, 4)
        assert session.precision == "bfloat16x3"
        errors = iter([6e-6, 4e-6, 6e-6, 3e-5, 1e-6])
        monkeypatch.setattr(self_check, "measure_error", lambda *_: next(errors))
        kept = session.explain(2 * image, 8, 4)  # 6e-6, and 4e-6 in float32
        assert (kept.precision, kept.error) == ("bfloat16x3", 6e-6)
        assert session.explain(3 * image, 8, 4).error == 6e-6  # not compared again
        found = session.explain(4 * image, 8, 4)
    assert found.precision == session.precision == "float32"
    assert found.error == 1e-6


def test_far_better_float32_takes_over(compiled: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the bound that is promised too: a few windows do not see the largest error."""
    monkeypatch.setattr(sessions, "multiplies_bfloat16x3", lambda: True)
    errors = iter([6e-6, 2e-6])
    monkeypatch.setattr(self_check, "measure_error", lambda *_: next(errors))
    found = OcclusionSession(compiled, threads=1).explain(image, 8, 4)
    assert (found.precision, found.error) == ("float32", 2e-6)


def test_results_that_are_not_exact_make_float32_take_over(
    compiled: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bound that nothing meets: the session falls back and says so, once; what was asked for is kept."""
    monkeypatch.setattr(sessions, "SELF_CHECK_BOUND", -1.0)
    monkeypatch.setattr(sessions, "PIECES_BOUND", -1.0)
    monkeypatch.setattr(sessions, "multiplies_bfloat16x3", lambda: True)
    session = OcclusionSession(compiled, threads=1)
    assert session.precision == "bfloat16x3"
    with pytest.warns(UserWarning, match="differed from the model on really occluded images"):
        session.explain(image, 8, 4)
    assert session.precision == "float32"
    asked = OcclusionSession(compiled, threads=1, precision="bfloat16x3")
    with pytest.warns(UserWarning, match="differ"):
        asked.explain(image, 8, 4)
    assert asked.precision == "bfloat16x3"
    OcclusionSession(compiled, threads=1, precision="bfloat16").explain(image, 8, 4)


def test_a_wrong_result_is_noticed(compiled: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    session = OcclusionSession(compiled, threads=1)
    sessions = session.scorer.sessions
    right = sessions.run_chunk
    monkeypatch.setattr(sessions, "run_chunk", lambda work, at: [found * 1.001 for found in right(work, at)])
    with pytest.warns(UserWarning, match=r"up to 1\.0e-03"):
        session.explain(image, 8, 4)


def test_an_unknown_precision_is_refused(compiled: Path) -> None:
    with pytest.raises(OcclusionError, match="precision: expected one of float32, bfloat16x3, bfloat16"):
        OcclusionSession(compiled, precision="half")
