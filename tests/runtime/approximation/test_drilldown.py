"""Drill-down's geometry: small grids, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation import drilldown
from krypton_compile.runtime.approximation.settings import EXACT, Approximation, DrillDown, choose_coarse_stride


@pytest.mark.parametrize(
    ("count", "step", "expected"),
    [(1, 1, [0]), (1, 5, [0]), (5, 1, [0, 1, 2, 3, 4]), (7, 3, [0, 3, 6]), (8, 3, [0, 3, 6, 7]), (4, 9, [0, 3])],
)
def test_coarse_rows_are_of_the_grid_and_reach_its_end(count: int, step: int, expected: list[int]) -> None:
    assert drilldown.coarse(count, step).tolist() == expected


@pytest.mark.parametrize(("shape", "steps"), [((7, 9), (3, 2)), ((8, 5), (3, 4)), ((1, 4), (2, 2)), ((1, 1), (1, 1))])
def test_interpolation_keeps_planes_and_what_is_known(shape, steps) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = np.stack([2.0 * y - x + 3, 0.5 * x], axis=2).astype(np.float32)
    rows, columns = (drilldown.coarse(count, step) for count, step in zip(shape, steps, strict=True))
    known = plane[np.ix_(rows, columns)]
    np.testing.assert_allclose(drilldown.interpolate(known, rows, columns, shape), plane, atol=1e-5)
    noise = np.random.default_rng(0).random(known.shape, np.float32)
    found = drilldown.interpolate(noise, rows, columns, shape)
    np.testing.assert_array_equal(found[np.ix_(rows, columns)], noise)


def test_the_largest_are_exactly_as_many() -> None:
    effect = np.array([[0.0, 3.0, 1.0], [2.0, 3.0, 0.0]])
    assert drilldown.largest(effect, 0).sum() == 0
    assert drilldown.largest(effect, 1 / 3).tolist() == [[False, True, False], [False, True, False]]
    assert drilldown.largest(effect, 0.4).sum() == 3
    assert drilldown.largest(effect, 1).all()
    assert drilldown.largest(np.zeros((2, 5)), 0.5).sum() == 5


@pytest.mark.parametrize(("r", "speed_up", "expected"), [(0.25, 3, 16), (0, 16, 16), (0.25, 1, 8), (0.5, 1.9, 28)])
def test_the_coarse_stride_for_a_speed_up(r: float, speed_up: float, expected: int) -> None:
    assert choose_coarse_stride(4, r, speed_up) == expected


@pytest.mark.parametrize(("r", "speed_up"), [(0.25, 4), (0.5, 3), (1, 1), (0.25, 0.5), (-0.1, 2), (1.1, 2)])
def test_a_speed_up_that_no_stride_reaches_is_refused(r: float, speed_up: float) -> None:
    with pytest.raises(OcclusionError, match="drill-down"):
        choose_coarse_stride(4, r, speed_up)


def test_what_is_exact_says_so() -> None:
    assert EXACT.exact
    assert Approximation(1.0, 0.0, DrillDown(r=1.0)).exact
    assert EXACT.describe() == "exact"
    for some in (Approximation(tau=0.9), Approximation(eps=1e-3), Approximation(drill_down=DrillDown()),
                 Approximation(tau=(1.0, 0.5))):  # fmt: skip
        assert not some.exact
    assert "r 0.25, S1 16 x 16" in Approximation(drill_down=DrillDown()).describe()


@pytest.mark.parametrize("arguments", [{"r": -0.1}, {"r": 1.5}, {"coarse_stride": (0, 4)}, {"coarse_patch": (8, 0)}])
def test_a_bad_drill_down_is_refused(arguments) -> None:
    with pytest.raises(OcclusionError, match="drill-down"):
        DrillDown(**arguments)
