"""What few tuning images tell of the next one; and choices that no clock makes."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.approximation.bounds import Bound, Goal, Quality
from krypton_compile.runtime.approximation.settings import EXACT, Approximation
from krypton_compile.runtime.engine.counted_work import WorkCounter
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.maps import explanation
from krypton_compile.runtime.tuning import screening, search
from krypton_compile.runtime.tuning.few_images import Margin
from krypton_compile.runtime.tuning.replay import Explainer, Sample
from krypton_compile.runtime.tuning.tuner import UnreachableError, tune
from tests.support.small import SHAPE

GOAL = Goal((Bound("ssim", 0.8),))


def qualities(*ssim: float) -> list[Quality]:
    return [Quality(value, 1, 1, 1, 0) for value in ssim]


@pytest.mark.parametrize(("images", "keep", "enough"), [(4, 1.0, 19), (19, 1.0, 19), (3, 0.8, 4), (1, 0.5, 1)])
def test_a_margin_is_taken_where_images_are_few(images: int, keep: float, enough: int) -> None:
    margin = Margin(Goal(GOAL.bounds, keep), images)
    assert margin.enough == enough
    assert (margin.deviations > 0) == (images < enough)
    assert f"{images} of {images + 1} cases" in margin.describe()
    assert ("standard deviations" in margin.describe()) == (images < enough)


def test_the_margin_is_the_normal_prediction_bound() -> None:
    """t(0.95, 3) = 2.353 of the tables."""
    some = qualities(0.9, 0.95, 0.93, 0.97)
    expected = np.mean([0.1, 0.15, 0.13, 0.17]) - 2.3534 * np.sqrt(1.25) * np.std([0.1, 0.15, 0.13, 0.17], ddof=1)
    assert Margin(GOAL, 4).slack(some) == pytest.approx(expected, abs=1e-4)
    assert Margin(GOAL, 30).slack(some) == pytest.approx(0.1)
    assert [Margin(GOAL, images).deviations for images in (4, 8, 18)] == pytest.approx([2.631, 2.010, 1.787], abs=1e-3)


@pytest.mark.parametrize("images", [1, 2, 3])
def test_of_very_few_images_equal_slacks_prove_nothing(images: int) -> None:
    assert Margin(GOAL, images).slack(qualities(*[0.81] * images)) < 0
    assert Margin(GOAL, images).slack(qualities(*[0.95] * images)) > 0


@pytest.mark.parametrize("images", [4, 6, 10, 19])
def test_the_next_image_keeps_what_so_many_images_pass(images: int) -> None:
    """Where slacks are drawn alike, of those that pass the margin the next is above 0 about as often as is said."""
    rng, passed, kept = np.random.default_rng(images), 0, 0
    for mean in np.linspace(-0.05, 0.2, 26):
        slacks = np.clip(rng.normal(mean, 0.04, (400, images + 1)), -0.8, 0.2)
        for row in slacks:
            if Margin(GOAL, images).slack(qualities(*(0.8 + row[:-1]))) >= 0:
                passed += 1
                kept += row[-1] >= 0
    assert kept / passed > 0.95


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "TAUS", (1.0, 0.7))
    monkeypatch.setattr(screening, "EPSES", (0.0, 0.01))
    monkeypatch.setattr(screening, "DRILL_STEPS", (2,))


def samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: SHAPE[2], : SHAPE[3]]
    spots = [np.exp(-((y - rng.uniform(4, 16)) ** 2 + (x - rng.uniform(4, 20)) ** 2) / 12) for _ in range(count)]
    images = [(3 * spot[None, None] * np.ones((1, 3, 1, 1)) + 0.2).astype(np.float32) for spot in spots]
    return [Sample(f"image {i}", image, np.zeros_like(image)) for i, image in enumerate(images)]


@pytest.mark.usefixtures("few_candidates")
def test_no_clock_chooses(session: OcclusionSession, monkeypatch) -> None:
    """Whatever the clocks say, the choice is the same; they only see whether the chosen one is faster in the end."""
    monkeypatch.setattr(search.Search, "_in_turn", lambda *_: ((1.0, 0.5), True))
    chosen = [tune(session, samples(4), GOAL, patch_size=(6, 5), stride=1).chosen]
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        jumps = itertools.accumulate(iter(lambda rng=rng: float(rng.exponential(0.3)), None))
        monkeypatch.setattr(time, "perf_counter", lambda jumps=jumps: next(jumps))
        monkeypatch.setattr(time, "process_time", lambda jumps=jumps: next(jumps))
        chosen.append(tune(session, samples(4), GOAL, patch_size=(6, 5), stride=1).chosen)
    assert chosen[0] == chosen[1] == chosen[2]


@pytest.mark.usefixtures("few_candidates")
def test_what_is_no_faster_than_exact_maps_is_not_stored(session: OcclusionSession, monkeypatch) -> None:
    monkeypatch.setattr(search.Search, "_in_turn", lambda *_: ((1.0, 1.5), False))
    with pytest.raises(UnreachableError, match="faster than exact maps, which keep any bound"):
        tune(session, samples(4), GOAL, patch_size=(6, 5), stride=1)


def test_work_is_counted(session: OcclusionSession, image: np.ndarray) -> None:
    """Thresholds leave less of it, a black window on black nothing, and the same count comes again."""
    counter, scorer = WorkCounter(session.scorer), session.scorer
    prepared = scorer.prepare(image)
    boxes = np.array([[0, 0, 6, 5], [7, 9, 6, 5]], np.int32)

    def cost(approximation: Approximation, some: np.ndarray = boxes) -> float:
        return sum(layer.cost for layer in counter.count(prepared, Occlusion(some), approximation.thresholds))

    exact = cost(EXACT)
    assert exact == cost(EXACT) > cost(Approximation(eps=0.05)) > 0
    assert exact > cost(Approximation(tau=0.3)) > 0
    assert cost(EXACT, boxes[:1]) < exact
    assert counter.count(scorer.prepare(np.zeros_like(image)), Occlusion(boxes)) == []


def test_every_setting_says_what_it_leaves_of_the_work(session: OcclusionSession, monkeypatch) -> None:
    monkeypatch.setattr(screening, "TAUS", (1.0, 0.5))
    monkeypatch.setattr(screening, "EPSES", (0.0, 0.05))
    explain = Explainer(session.scorer, (6, 5), (1, 1))
    given = samples(1)
    exact = {given[0].name: explain(given[0], EXACT)}
    assert isinstance(exact[given[0].name], explanation.Explanation)
    screened = screening.Screening(explain, exact, Goal((Bound("ssim", 0.01),)))
    screened.screen(given, lambda _: None)
    costs = {each.approximation: each.cost for each in screened.candidates()}
    half = screened.plays[EXACT][given[0].name].cost(0)
    assert all(cost > 0 for cost in costs.values())
    assert half < screened.work(EXACT)[1] * 300
    shares = sorted(
        (s.sampling.share, cost) for s, cost in costs.items() if s.thresholds.exact and s.sampling and s.sampling.share
    )
    assert [cost for _, cost in shares] == sorted(cost for _, cost in shares)
    assert shares[0][1] < 0.3 < shares[-1][1]
