"""Which windows are sampled, what the others are taken to be, and when sampling stops: by hand and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation import interpolation, lattice
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.sampling import RATIOS, STAGES, Loss, Sampling, usual_loss

SHAPES = [(53, 53), (20, 20), (37, 61), (1, 1), (1, 9), (2, 3), (8, 8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_groups_part_the_grid(shape: tuple[int, int]) -> None:
    groups = lattice.groups(shape)
    assert groups.shape == shape
    assert 0 <= groups.min() <= groups.max() < lattice.GROUPS
    before = np.zeros(shape, np.bool_)
    for count in range(1, lattice.GROUPS + 1):
        chosen = lattice.first(shape, count)
        assert chosen.any()
        if (groups < count).any():
            assert not (before & ~chosen).any() or count == 1 or not (groups < count - 1).any()
            np.testing.assert_array_equal(chosen, groups < count)
        before = chosen
    assert before.all()


@pytest.mark.parametrize(("count", "norm"), [(1, 160), (2, 80), (4, 40), (8, 20), (16, 10), (32, 5)])
def test_the_first_groups_are_square_lattices(count: int, norm: int) -> None:
    """One window in ``norm``, the nearest sqrt(norm) apart, and all phases of a network's strides alike."""
    places = np.argwhere(lattice.first((80, 80), count))
    assert len(places) == 80 * 80 // norm
    away = ((places[:, None] - places) ** 2).sum(axis=2)
    assert np.unique(away[away > 0])[0] == norm
    if norm == 5:
        for period in (2, 4, 8):
            phases = np.bincount((places % period) @ [period, 1], minlength=period**2)
            assert phases.min() == phases.max()


def test_coarse_strides_along_the_axes_see_one_phase() -> None:
    """What the lattice is turned against the grid for."""
    places = np.argwhere(np.ones((80, 80), np.bool_)[::2, ::2]) * 2
    assert len(np.unique(places % 2, axis=0)) == 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 12, 32, 160])
def test_interpolation_keeps_constants_and_what_is_known(shape: tuple[int, int], count: int) -> None:
    fill = interpolation.from_groups(shape, count, (4, 4))
    values = np.random.default_rng(0).random((*shape, 3), np.float32)
    before = values.copy()
    found = fill(values)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(found[fill.known], values[fill.known])
    np.testing.assert_allclose(fill(np.full((*shape, 1), 7, np.float32)), 7, rtol=1e-5)
    assert found.shape == values.shape
    garbage = np.where(fill.known[..., None], values, np.nan)
    np.testing.assert_array_equal(fill(garbage), found)


@pytest.mark.parametrize("stride", [(4, 4), (2, 5)])
def test_kriging_is_the_linear_radial_basis_function(stride: tuple[int, int]) -> None:
    shape = (9, 11)
    fill = interpolation.from_groups(shape, 24, stride)
    assert fill.known.sum() <= 16  # so that the neighbours are all that is known
    values = np.random.default_rng(0).standard_normal((*shape, 1)).astype(np.float32)
    places = np.argwhere(fill.known) * stride
    expected = RBFInterpolator(places, values[fill.known], kernel="linear", degree=0)(np.argwhere(~fill.known) * stride)
    np.testing.assert_allclose(fill(values)[~fill.known], expected, atol=1e-5)


def test_smooth_maps_take_few_windows() -> None:
    y, x = np.mgrid[:53, :53]
    smooth = np.exp(-((y - 20) ** 2 + (x - 30) ** 2) / 200)[..., None].astype(np.float32)
    errors = [
        np.abs(interpolation.from_groups((53, 53), count, (4, 4))(smooth) - smooth).max() for count in (8, 16, 32)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05


OVERLAP = 16.0
TYPICAL = {count: usual_loss(count / lattice.GROUPS, OVERLAP) for count in STAGES}
"""A map whose loss is the usual one, by stage."""


def usual_change(count: int) -> float:
    ratio = dict(zip(STAGES, RATIOS, strict=True))[count]
    return TYPICAL[count] / ratio if ratio else 0.0


def walk(sampling: Sampling, change) -> tuple[int, tuple[Loss, ...], list[int]]:
    asked: list[int] = []

    def changes(count: int) -> list[float]:
        asked.append(count)
        return [change(count)] * len(sampling.bounds)

    return *sampling.run(changes, OVERLAP), asked


def test_sampling_stops_where_the_estimate_keeps_the_bound() -> None:
    sampling = Sampling(bounds=(Bound("ssim", 0.9),), scale=1.0)
    count, estimate, asked = walk(sampling, usual_change)
    assert count == next(stage for stage, loss in TYPICAL.items() if loss <= 0.1)
    assert estimate[0].limit == pytest.approx(TYPICAL[count])
    assert asked == [16, count]
    easier, _, _ = walk(sampling, lambda stage: usual_change(stage) / 3)
    harder, _, passed = walk(sampling, lambda stage: usual_change(stage) * 3)
    assert easier < count < harder
    assert passed == sorted(passed)
    assert len(passed) < STAGES.index(harder) - STAGES.index(passed[0]) + 1  # stages without hope are passed over


def test_finer_strides_begin_with_smaller_shares() -> None:
    """What counts is how many scored windows share a pixel."""
    sampling, begun = Sampling(bounds=(Bound("ssim", 0.9),)), []
    for overlap in (256.0, 64.0, 16.0, 4.0, 1.0):
        count, _ = sampling.run(lambda _: [0.0], overlap)
        begun.append(count)
    assert begun == sorted(begun)
    assert begun[0] <= 2
    assert begun[2] == 16
    assert all(0 <= usual_loss(share, 16) <= 0.45 for share in (1e-3, 0.1, 1.0))
    assert usual_loss(1.0, 16) == 0


@pytest.mark.parametrize("bound", [Bound("ssim", 0.9), Bound("error", 0.1), Bound("rank", 0.99999)])
def test_a_map_that_never_settles_is_scored_whole(bound: Bound) -> None:
    count, estimate, _ = walk(Sampling(bounds=(bound,), scale=1.4), lambda _: 1.0)
    assert count == lattice.GROUPS
    assert estimate == (Loss(0.0, 0.0),)


def test_floors_and_first_come_from_tuning() -> None:
    bounds = (Bound("ssim", 0.9), Bound("rank", 0.9))
    count, estimate, asked = walk(Sampling(bounds=bounds, floors=(0.05, 0.02), first=40), lambda _: 0.0)
    assert (count, estimate, asked) == (40, (Loss(0.05, 0.05), Loss(0.02, 0.02)), [40])
    count, estimate, _ = walk(Sampling(bounds=bounds, floors=(0.2, 0.0)), lambda _: 0.0)
    assert count == lattice.GROUPS
    assert math.isclose(estimate[0].limit, 0.2)


def test_shares_are_whole_groups() -> None:
    assert [Sampling(share=share).groups() for share in (1e-9, 0.00625, 0.01, 0.2, 1.0)] == [1, 1, 2, 32, 160]
    assert Sampling(share=1).exact
    assert not Sampling(bounds=(Bound("ssim", 0.9),)).exact


@pytest.mark.parametrize(
    "arguments",
    [{}, {"share": 0.1, "bounds": (Bound("ssim", 0.9),)}, {"share": 0.0}, {"share": 1.1}, {"share": math.nan},
     {"bounds": (Bound("ssim", 0.9),), "floors": (0.0, 0.0)}, {"bounds": (Bound("ssim", 0.9),), "first": 161}],
)  # fmt: skip
def test_bad_sampling_is_refused(arguments) -> None:
    with pytest.raises(OcclusionError, match="sampling"):
        Sampling(**arguments)


def test_interpolations_are_remembered_up_to_so_many_bytes(monkeypatch):
    kept = interpolation._Kept()
    monkeypatch.setattr(interpolation, "KEPT", kept)
    first = interpolation.from_groups((40, 40), 8, (2, 2))
    assert interpolation.from_groups((40, 40), 8, (2, 2)) is first
    assert first.nbytes == kept.nbytes > 100_000
    monkeypatch.setattr(interpolation, "KEPT_BYTES", 3 * first.nbytes)
    for count in range(2, 40, 2):
        interpolation.from_groups((40, 40), count, (2, 2))
        assert kept.nbytes <= 3 * first.nbytes
    assert interpolation.from_groups((40, 40), 8, (2, 2)) is not first  # others were used since
    last = interpolation.from_groups((40, 40), 8, (2, 2))
    interpolation.from_groups((100, 100), 8, (2, 2))  # alone beyond the limit: not remembered, and drops nothing
    assert interpolation.from_groups((40, 40), 8, (2, 2)) is last
