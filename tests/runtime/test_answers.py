"""Pictures, spaces of scores, iteration, estimates, verification and files, on a small network."""

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
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.approximation.settings import EXACT, Approximation
from krypton_compile.runtime.engine.scorer import Scorer
from tests.support.linear import H, W
from tests.support.small import SHAPE, small_model


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
