"""What is said of an approximate map: always a number, never too much, and exact where that costs no more."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krypton_compile.cli.summary import summary
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation import calibration, lattice
from krypton_compile.runtime.approximation.bounds import MEASURES, Bound, parse_bound
from krypton_compile.runtime.approximation.sampling import STAGES, Sampling, estimate_loss
from krypton_compile.runtime.approximation.settings import EXACT, Approximation
from krypton_compile.runtime.maps.explanation import Check
from krypton_compile.runtime.maps.quality import compare
from tests.support.small import SHAPE

PATCH = (6, 5)
RNG = np.random.default_rng(3)
MAP = RNG.random((20, 30), np.float32)
OTHER = MAP + RNG.normal(0, 0.2, MAP.shape).astype(np.float32)


def bounded(*texts: str) -> Approximation:
    return Approximation(sampling=Sampling(bounds=tuple(map(parse_bound, texts))))


@pytest.mark.parametrize("scale", [1e-3, 1e-12, 1e-22, 1e-30, 1e-36, 1e30])
def test_measures_do_not_depend_on_the_unit(scale: float) -> None:
    """A class of tiny probability has squares that float32 does not hold."""
    tiny = [(values * np.float32(scale)).astype(np.float32) for values in (MAP, OTHER)]
    found, expected = compare(*tiny), compare(MAP, OTHER)
    for measure in MEASURES:
        assert getattr(found, measure) == pytest.approx(getattr(expected, measure), abs=2e-3), measure


@given(measure=st.sampled_from(MEASURES), loss=st.floats(0, 1e6) | st.just(math.inf))
def test_an_estimate_is_a_number_from_0_to_1(measure: str, loss: float) -> None:
    assert 0 <= Bound(measure, 0.5).measured(loss) <= 1


@given(
    measure=st.sampled_from(MEASURES),
    changes=st.lists(st.floats(0, 3) | st.just(math.inf), min_size=len(STAGES), max_size=len(STAGES)),
    overlap=st.sampled_from([1.0, 4.0, 16.0, 100.0]),
    first_class=st.booleans(),
)
def test_whatever_maps_do_sampling_ends_and_keeps_its_word(measure, changes, overlap, first_class) -> None:
    bound = Bound(measure, 0.2 if measure == "error" else 0.8)
    if calibration.find(measure, overlap) is None:
        return
    sampling = Sampling(bounds=(bound,))
    count, (loss,) = sampling.run(lambda g: [changes[STAGES.index(g)]], overlap, first_class)
    assert count in STAGES
    assert 0 <= loss.about <= loss.limit <= bound.allowed + 1e-12
    assert (count == lattice.GROUPS) == (loss.limit == 0 and loss.about == 0) or not changes[STAGES.index(count)]


def test_a_measure_without_calibration_is_refused_before_any_window(session, image, monkeypatch) -> None:
    monkeypatch.setattr(calibration, "TABLE", {("ssim", 16.0): calibration.Calibration(1.4, 1.4, (1.0,) * len(STAGES))})
    monkeypatch.setattr(session.scorer, "iter_score", None)
    for bound, patch, stride in (("error<=0.1", PATCH, 1), ("ssim>=0.9", 3, 3)):
        with pytest.raises(OcclusionError, match="krypton-tune --quality") as refused:
            session.explain(image, patch, stride, approximation=bounded(bound))
        assert bound[:4] in str(refused.value)
    tuned = Approximation(sampling=Sampling(bounds=(parse_bound("error<=0.1"),), scale=1.0))
    monkeypatch.undo()
    assert session.explain(image, PATCH, 1, approximation=tuned) is not None


def test_finer_windows_take_the_calibration_of_coarser_ones() -> None:
    for measure, overlap in calibration.TABLE:
        table = calibration.TABLE[measure, overlap]
        assert calibration.find(measure, overlap) == table
        assert calibration.find(measure, overlap * 1.2) == table
        assert len(table.ratios) == len(STAGES)
        assert min(table.ratios[:-1]) > 0
        assert table.ratios[-1] == 0
        assert min(table.careful, table.careful_of_others) >= 1
    assert calibration.find("ssim", 0.2) is None


def test_few_windows_are_all_scored_at_once(session, image) -> None:
    """Maps that would be judged cost more than the windows that they save."""
    exact = session.explain(image, PATCH, (14, 19))
    found = session.explain(image, PATCH, (14, 19), approximation=bounded("ssim>=0.9"))
    np.testing.assert_array_equal(found.scores, exact.scores)
    assert found.exact
    assert found.check is None
    assert found.estimated_quality == found.estimated_limit == {"ssim": 1.0}
    assert "faster than to estimate" in found.every_window
    assert "exact (ssim>=0.9: to score all 4 windows" in str(found)
    assert any("every window     ssim>=0.9: to score all 4" in line for line in summary(found, found.heatmap()))
    assert json.loads(json.dumps(found.meta))["every_window"] == found.every_window


def test_where_nearly_all_windows_are_needed_all_are_scored_and_it_says_so(session) -> None:
    noise = RNG.standard_normal(SHAPE).astype(np.float32)
    found = session.explain(noise, (3, 3), 3, approximation=bounded("ssim>=0.999"))
    assert found.exact
    assert "nearly every window is needed" in found.every_window
    assert found.approximation == EXACT
    assert session.explain(noise, (3, 3), 3).every_window == ""


def test_scores_that_are_no_numbers_are_not_interpolated(session, image, monkeypatch) -> None:
    score = session.scorer.iter_score

    def broken(*arguments, **options):
        for rows, outputs in score(*arguments, **options):
            outputs.scores[3:5] = np.nan
            yield rows, outputs

    monkeypatch.setattr(session.scorer, "iter_score", broken)
    found = session.explain(image, PATCH, 1, approximation=bounded("ssim>=0.9"))
    assert found.scored.all()
    assert all(np.isfinite(value) for value in found.estimated_quality.values())


def test_a_saturated_score_is_not_taken_for_a_flat_map(session, image, monkeypatch) -> None:
    """One window in 300 changes the score: maps of some windows are all alike, and tell nothing."""
    score = session.scorer.iter_score

    def saturated(prepared, occlusion, *arguments, **options):
        for rows, outputs in score(prepared, occlusion, *arguments, **options):
            outputs.scores[:] = 1.0
            outputs.scores[(occlusion.boxes[rows][:, :2] == (9, 11)).all(axis=1)] = 0.0
            yield rows, outputs

    monkeypatch.setattr(session.scorer, "iter_score", saturated)
    found = session.explain(image, PATCH, 1, approximation=bounded("ssim>=0.9"))
    assert found.exact
    assert (found.scores == 0).any()


def test_estimates_are_those_of_the_stage() -> None:
    table = calibration.find("ssim", 16)
    loss = estimate_loss("ssim", 16, True, 32, 0.1)
    assert loss.about == pytest.approx(0.1 * table.ratios[STAGES.index(32)])
    assert loss.limit == pytest.approx(loss.about * table.careful)
    assert estimate_loss("ssim", 16, False, 32, 0.1).limit == pytest.approx(loss.about * table.careful_of_others)


@pytest.mark.parametrize(("windows", "of", "unseen"), [(8, 2000, 0.3123), (1, 50, 0.95), (59, 60, 0.0495), (8, 8, 0)])
def test_a_check_tells_what_so_few_windows_can(windows: int, of: int, unseen: float) -> None:
    check = Check(windows, of, 0.3, 0.1, 0, 0)
    assert check.unseen == pytest.approx(unseen, abs=1e-3)
    assert (f"up to {100 * unseen:.0f} % of them may be off by more" in check.describe()) == (unseen > 0)


def test_the_share_that_a_check_does_not_see_holds_as_often_as_it_says() -> None:
    """Whatever the errors are: the largest of 8 is exceeded by more than that share on 5 of 100 draws at most."""
    rng, broken, draws = np.random.default_rng(0), 0, 4000
    errors = rng.pareto(1.1, 500)
    for _ in range(draws):
        largest = rng.choice(errors, 8, replace=False).max()
        broken += (errors > largest).mean() > Check(8, 500, largest, 0, 0, 0).unseen
    assert broken / draws < 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_a_check_draws_from_what_may_be_off(session, image) -> None:
    found = session.explain(image, PATCH, 1, approximation=Approximation(sampling=Sampling(share=0.5)))
    assert found.check.of == (~found.scored).sum()
    cut = session.explain(image, PATCH, 1, approximation=Approximation(tau=0.3))
    assert cut.check.of == round(cut.changed * cut.scored.size)
