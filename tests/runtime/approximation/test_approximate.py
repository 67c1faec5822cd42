"""Approximate and progressive maps of a small network: exact where nothing is left out, honest where something is."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator

from krypton_compile import get_library_path
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.errors import OcclusionError
from krypton_compile.ort.library import multiplies_bfloat16
from krypton_compile.reference import REFERENCE_OPS
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.approximation import lattice
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import EXACT, Approximation, DrillDown
from krypton_compile.runtime.maps.quality import compare
from tests.support.small import SHAPE, TOLERANCE

PATCH, STRIDE = (6, 5), (2, 3)
THRESHOLDS = [(0.5, 0.0), (1.0, 0.05), (0.6, 0.02), (1e-6, 0.0), (1.0, 0.9)]


@pytest.fixture(scope="module")
def exact(session: OcclusionSession, image: np.ndarray):
    return session.explain(image, PATCH, STRIDE)


def explain(session, image, approximation, **options):
    return session.explain(image, PATCH, STRIDE, approximation=approximation, **options)


@pytest.mark.parametrize(("tau", "eps"), THRESHOLDS)
def test_thresholds_mean_the_same_everywhere(compiled, session, image, exact, tau, eps) -> None:
    """The file by itself, the file split in two, and the reference."""
    boxes = occlusion_grid(SHAPE[2:], PATCH, STRIDE)
    feeds = {"x": image, "boxes": boxes, "baseline": np.zeros_like(image)}
    feeds |= {"krypton_tau": np.array([tau], np.float32), "krypton_eps": np.array([eps], np.float32)}
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(get_library_path())
    whole = ort.InferenceSession(str(compiled), options).run(["scores"], feeds)[0]
    split = session.run(image, boxes, tau=tau, eps=eps).scores
    np.testing.assert_allclose(split, whole, atol=TOLERANCE)
    some = slice(None, None, 7)
    feeds["boxes"] = boxes[some]
    reference = ReferenceEvaluator(str(compiled), new_ops=list(REFERENCE_OPS)).run(["scores"], feeds)[0]
    np.testing.assert_allclose(split[some], reference, atol=TOLERANCE)
    assert np.abs(split - exact.scores.reshape(split.shape)).max() > 100 * TOLERANCE


def test_a_threshold_for_each_layer_group(session, image, exact) -> None:
    groups = session.annotation.layer_groups
    assert groups == ("20x24", "10x12", "5x6")
    one = session.run(image, exact.boxes, tau=0.5, eps=0.02).scores
    same = session.run(image, exact.boxes, tau=[0.5] * 3, eps=[0.02] * 3).scores
    last = session.run(image, exact.boxes, tau=[1, 1, 0.5]).scores
    np.testing.assert_array_equal(one, same)
    assert np.abs(last - one).max() > 100 * TOLERANCE
    with pytest.raises(OcclusionError, match="20x24, 10x12, 5x6"):
        session.run(image, exact.boxes, tau=[1, 1])


@pytest.mark.parametrize(
    "approximation",
    [Approximation(), Approximation(drill_down=DrillDown(r=1)), Approximation(sampling=Sampling(share=1))],
)
def test_nothing_left_out_is_exact(session, image, exact, approximation) -> None:
    found = explain(session, image, approximation)
    np.testing.assert_array_equal(found.scores, exact.scores)
    assert found.exact
    assert found.check is None


@pytest.mark.parametrize("r", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("coarse_stride", [(2, 3), (4, 6), (7, 7), (50, 50)])
def test_scored_windows_are_exact_and_the_others_lie_between(session, image, exact, r, coarse_stride) -> None:
    found = explain(session, image, Approximation(drill_down=DrillDown(r, coarse_stride)))
    np.testing.assert_array_equal(found.scores[found.scored], exact.scores[found.scored])
    rows, columns = (-(-coarse // step) for coarse, step in zip(coarse_stride, STRIDE, strict=True))
    assert found.scored[::rows, ::columns].all()
    coarse = len(range(0, found.scored.shape[0], rows)) * len(range(0, found.scored.shape[1], columns))
    assert found.scored.sum() <= found.scored.size
    assert found.scored.sum() >= min(coarse, found.scored.size)
    assert found.exact == (found.approximation.exact and found.scored.all())
    if coarse_stride == STRIDE:
        np.testing.assert_array_equal(found.scores, exact.scores)
    low, high = exact.scores.min(axis=(0, 1)), exact.scores.max(axis=(0, 1))
    assert ((found.scores >= low - TOLERANCE) & (found.scores <= high + TOLERANCE)).all()


def test_drill_down_goes_where_the_effect_is(session, image, exact) -> None:
    found = explain(session, image, Approximation(drill_down=DrillDown(0.4, (4, 6))))
    effect = np.abs(exact.base_scores[exact.target] - exact.scores[..., exact.target])
    assert effect[found.scored].mean() > effect[~found.scored].mean()


def test_drill_down_looks_at_all_classes_that_are_asked_for(session, image) -> None:
    drill = Approximation(drill_down=DrillDown(0.3, (4, 6)))
    chosen = [explain(session, image, drill, target=target).scored for target in (0, 3)]
    both = explain(session, image, drill, target=0, classes=[0, 3])
    assert (chosen[0] != chosen[1]).any()
    assert (both.scored != chosen[0]).any()
    assert both.scores.shape[2] == 2


def test_a_larger_first_patch_only_points_the_way(session, image, exact) -> None:
    found = explain(session, image, Approximation(drill_down=DrillDown(0.3, (4, 6), coarse_patch=(10, 9))))
    assert found.scored.sum() == int(np.ceil(0.3 * found.scored.size))
    np.testing.assert_array_equal(found.scores[found.scored], exact.scores[found.scored])


@pytest.mark.parametrize("share", [0.01, 0.2, 0.7])
def test_a_share_of_the_windows(session, image, exact, share) -> None:
    calls = []
    sampled = Approximation(sampling=Sampling(share=share))
    found = explain(session, image, sampled, progress=lambda *call: calls.append(call))
    np.testing.assert_array_equal(
        found.scored, lattice.first(found.scored.shape, int(np.ceil(share * lattice.GROUPS - 1e-9)))
    )
    np.testing.assert_array_equal(found.scores[found.scored], exact.scores[found.scored])
    assert (found.scores[~found.scored] != exact.base_scores).any()
    assert found.check.windows == 8
    assert not found.exact
    assert found.estimated_quality == {}
    assert calls[-1] == (found.scored.sum(), found.scored.sum())


def test_windows_are_scored_until_the_map_seems_good(session, image) -> None:
    """At stride 1, where there are enough windows to leave some out; and a better map takes more of them."""
    exact = session.explain(image, PATCH, 1)
    shares = []
    for bound in (0.6, 0.8, 0.95):
        sampling = Sampling(bounds=(Bound("ssim", bound),))
        found = session.explain(image, PATCH, 1, approximation=Approximation(sampling=sampling))
        np.testing.assert_array_equal(found.scores[found.scored], exact.scores[found.scored])
        assert found.estimated_quality["ssim"] >= bound
        assert compare(exact.heatmap(), found.heatmap()).ssim >= bound
        shares.append(found.scored.mean())
    assert shares == sorted(shares)
    assert shares[0] < 0.5


def test_reduced_precision_is_close_and_says_so(session, image, exact) -> None:
    reduced = Approximation(precision="bfloat16")
    found = explain(session, image, reduced)
    assert np.abs(found.scores - exact.scores).max() < 2e-2
    if not multiplies_bfloat16():  # else it depends on whether layers so small are worth it
        np.testing.assert_array_equal(found.scores, exact.scores)
    assert (found.precision, found.exact) == ("bfloat16", False)
    assert found.check.largest < 2e-2
    np.testing.assert_array_equal(session.explain(image, PATCH, STRIDE).scores, exact.scores)
    with pytest.raises(OcclusionError, match="precision bfloat16 or None, found 'float16'"):
        Approximation(precision="float16")


def test_a_sampled_map_under_thresholds(session, image, exact) -> None:
    both = Approximation(0.6, 0.02, sampling=Sampling(share=0.5))
    found, alone = explain(session, image, both), explain(session, image, Approximation(0.6, 0.02))
    np.testing.assert_array_equal(found.scores[found.scored], alone.scores[found.scored])
    assert (found.scores[found.scored] != exact.scores[found.scored]).any()


def test_windows_that_change_nothing_are_known(session, image) -> None:
    """Beside the black half of an image, a black window's scores are the base's and not interpolated."""
    half = image.copy()
    half[..., 12:] = 0
    for approximation in (
        Approximation(sampling=Sampling(share=0.1)),
        Approximation(drill_down=DrillDown(0.1, (4, 6))),
    ):
        found = explain(session, half, approximation)
        nothing = (found.boxes[:, 1] >= 12).reshape(found.scored.shape)
        assert nothing.any()
        np.testing.assert_array_equal(
            found.scores[nothing], np.broadcast_to(found.base_scores, found.scores.shape)[nothing]
        )
        assert found.scored[nothing].all()
        assert found.changed == pytest.approx(1 - nothing.mean())


def test_sampling_looks_at_all_classes_that_are_asked_for(session, image) -> None:
    sampling = Approximation(sampling=Sampling(bounds=(Bound("ssim", 0.8),)))
    alone = [session.explain(image, PATCH, 1, target=target, approximation=sampling) for target in (0, 3)]
    both = session.explain(image, PATCH, 1, target=0, classes=[0, 3], approximation=sampling)
    assert both.scored.sum() >= max(found.scored.sum() for found in alone)
    assert both.scores.shape[2] == 2


@pytest.mark.parametrize(
    "approximation",
    [Approximation(0.5, 0.1, DrillDown()), Approximation(0.5, 0.1, sampling=Sampling(bounds=(Bound("ssim", 0.9),)))],
)
def test_a_map_without_variation(session, image, approximation) -> None:
    found = session.explain(image, PATCH, STRIDE, baseline=image, approximation=approximation)
    assert (found.heatmap() == 0).all()
    assert found.check.largest == 0
    maps = list(session.explain_progressively(image, PATCH, STRIDE, baseline=image))
    assert maps[-1].exact
    assert (maps[-1].heatmap() == 0).all()


def test_the_check_measures_the_error(session, image, exact) -> None:
    found = explain(session, image, Approximation(tau=0.3))
    error = np.abs(found.scores - exact.scores)[..., exact.target]
    assert 0 < found.check.mean <= found.check.largest <= error.max() + TOLERANCE
    assert not found.exact


def test_progressive_maps_end_exact_and_score_no_window_twice(session, image, exact, monkeypatch) -> None:
    asked = []
    score = session.scorer.iter_score

    def counting(prepared, occlusion, *thresholds, **options):
        asked.append(len(occlusion.boxes))
        return score(prepared, occlusion, *thresholds, **options)

    monkeypatch.setattr(session.scorer, "iter_score", counting)
    maps = list(session.explain_progressively(image, PATCH, STRIDE))
    assert sum(asked) == len(exact.boxes)
    assert len(maps) > 3
    shares = [found.scored.mean() for found in maps]
    assert shares == sorted(shares)
    assert maps[0].scored.sum() == lattice.first(exact.scored.shape, 1).sum() < exact.scored.size / 20
    assert np.isnan(maps[0].estimated_error)
    assert maps[1].estimated_error > 0
    assert all(found.estimated_quality["ssim"] <= 1 for found in maps if found.estimated_quality)
    assert sum(bool(found.estimated_quality) for found in maps) > 3
    np.testing.assert_array_equal(maps[-1].scores, exact.scores)
    assert maps[-1].exact
    assert maps[-1].estimated_error == 0
    assert all(np.isfinite(found.heatmap()).all() for found in maps)
    assert not any(found.exact for found in maps[:-1])


def test_the_space_of_scores_is_that_of_the_sampled_map(session, image) -> None:
    """A bound on a map of logits is kept in logits: windows are interpolated in the space that was asked for."""
    sampled = Approximation(sampling=Sampling(share=0.3))
    exact, found = (explain(session, image, one, activation="pre") for one in (EXACT, sampled))
    np.testing.assert_array_equal(found.scores[found.scored], exact.scores[found.scored])
    probabilities = explain(session, image, sampled)
    exponents = np.exp(found.scores - found.scores.max(axis=2, keepdims=True))
    np.testing.assert_allclose(
        (exponents / exponents.sum(axis=2, keepdims=True))[found.scored], probabilities.scores[found.scored], atol=1e-5
    )


@pytest.mark.parametrize(
    "approximation", [Approximation(sampling=Sampling(share=0.3)), Approximation(drill_down=DrillDown(0.3, (4, 6)))]
)
def test_regions_are_not_interpolated(session, image, approximation) -> None:
    labels = np.arange(np.prod(SHAPE[2:])).reshape(SHAPE[2:]) // 40
    with pytest.raises(OcclusionError, match="regions of a label map are no grid"):
        session.explain(image, segments=labels, approximation=approximation)
    assert not session.explain(image, segments=labels, approximation=Approximation(tau=0.3)).exact


@pytest.mark.parametrize("baseline", ["patch-mean", "blur:2"])
def test_an_occluder_of_its_own_for_each_window_is_sampled_too(session, image, baseline) -> None:
    exact = explain(session, image, EXACT, baseline=baseline)
    found = explain(session, image, Approximation(sampling=Sampling(share=0.3)), baseline=baseline)
    np.testing.assert_allclose(found.scores[found.scored], exact.scores[found.scored], atol=TOLERANCE)
    assert not found.scored.all()
    assert found.check.windows == 8


def test_a_quality_of_a_region_is_judged_there(session, image) -> None:
    """Everything beyond it is NaN, which no measure may count as alike."""
    roi = (4, 5, 16, 20)
    bound = Approximation(sampling=Sampling(bounds=(Bound("ssim", 0.8),)))
    found = session.explain(image, PATCH, 1, roi=roi, approximation=bound)
    exact = session.explain(image, PATCH, 1, roi=roi)
    assert compare(exact.heatmap(), found.heatmap(), ("ssim",)).ssim > 0.7
    assert np.isfinite(found.heatmap()).sum() == 12 * 15


def test_settings_for_a_quality(session) -> None:
    assert session.settings_for("ssim>=0.8") == Approximation(sampling=Sampling(bounds=(Bound("ssim", 0.8),)))
    with pytest.raises(ValueError, match="expected MEASURE>=VALUE"):
        session.settings_for("good")
    with pytest.raises(OcclusionError, match="found both"):
        Approximation(drill_down=DrillDown(), sampling=Sampling(share=0.5))


def test_a_progressive_map_can_be_left(session, image) -> None:
    first = next(session.explain_progressively(image, PATCH, STRIDE))
    assert first.heatmap().shape == SHAPE[2:]


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [({"tau": 0}, "tau"), ({"tau": 1.1}, "tau"), ({"tau": "x"}, "tau"), ({"eps": -1e-3}, "eps"), ({"eps": 1}, "eps"),
     ({"eps": np.nan}, "eps"), ({"tau": [[1.0]]}, "tau")],
)  # fmt: skip
def test_bad_thresholds_are_refused(session, image, thresholds, message) -> None:
    with pytest.raises(OcclusionError, match=message):
        session.run(image, [[0, 0, 4, 4]], **thresholds)
