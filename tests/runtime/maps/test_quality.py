"""Measures of quality on maps whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from krypton_compile.runtime.approximation.bounds import Bound, Quality, parse_bound
from krypton_compile.runtime.maps.quality import compare, worst

RNG = np.random.default_rng(0)
MAP = RNG.random((20, 30), np.float32)


def test_a_map_equals_itself() -> None:
    found = compare(MAP, MAP)
    assert found == Quality(1, 1, 1, 1, 0) or found == pytest.approx(Quality(1, 1, 1, 1, 0))


def test_measures_of_a_map_upside_down() -> None:
    found = compare(MAP, -MAP)
    assert found.rank == pytest.approx(-1)
    assert found.top10 == 0
    assert found.error == pytest.approx(2 * MAP.max() / np.ptp(MAP), rel=1e-6)


def test_ssim_is_scikit_images_with_the_exact_maps_range() -> None:
    other = MAP + RNG.normal(0, 0.2, MAP.shape).astype(np.float32)
    expected = structural_similarity(MAP, other, win_size=7, data_range=float(np.ptp(MAP)))
    assert compare(MAP, other).ssim == pytest.approx(expected, abs=1e-5)


def test_ranks_do_not_see_a_monotonic_change() -> None:
    found = compare(MAP, np.exp(MAP))
    assert found.rank == pytest.approx(1)
    assert found.top10 == 1
    ties = np.round(MAP * 4)
    assert compare(ties, 2 * ties).rank == pytest.approx(1)


def test_pixels_that_nothing_covers_are_left_out() -> None:
    holes = MAP.copy()
    holes[3:5, 6:9] = np.nan
    other = holes + np.float32(0.1)
    assert compare(holes, other).error == pytest.approx(0.1 / np.nanmax(holes - np.nanmin(holes)), rel=1e-4)
    with pytest.raises(ValueError, match="same pixels"):
        compare(holes, MAP)
    with pytest.raises(ValueError, match="shapes"):
        compare(MAP, MAP[1:])


def test_maps_without_variation() -> None:
    flat = np.full((8, 8), 2.0, np.float32)
    assert compare(flat, flat) == Quality(1, 1, 1, 1, 0)
    assert compare(flat, flat + MAP[:8, :8]) == Quality(0, 0, 0, 0, 1)
    assert compare(MAP, np.zeros_like(MAP)).rank == 0


def test_a_tiny_map_still_has_a_window() -> None:
    assert compare(MAP[:4, :3], MAP[:4, :3]).ssim == pytest.approx(1)


def test_the_worst_of_several() -> None:
    assert worst([Quality(0.9, 0.5, 1, 0.7, 0.1), Quality(0.8, 0.6, 0.9, 1, 0.3)]) == Quality(0.8, 0.5, 0.9, 0.7, 0.3)


def test_bounds() -> None:
    bound = parse_bound(" ssim >= 0.9 ")
    assert bound == Bound("ssim", 0.9)
    assert str(bound) == "ssim>=0.9"
    assert bound.holds(Quality(0.9, 0, 0, 0, 1))
    assert not bound.holds(Quality(0.89, 1, 1, 1, 0))
    error = parse_bound("error<=0.1")
    assert error.slack(Quality(1, 1, 1, 1, 0.25)) == pytest.approx(-0.15)
    assert str(error) == "error<=0.1"


@pytest.mark.parametrize(
    "text",
    ["", "ssim", "ssim=0.9", "ssim<=0.9", "error>=0.1", "psnr>=3", "ssim>=0", "ssim>=1", "rank>=-1", "ssim>=1e"],
)
def test_bad_bounds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quality"):
        parse_bound(text)
