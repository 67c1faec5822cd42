"""Coarse-to-fine grids: every stage holds the one before, and what lies between is linear."""

from __future__ import annotations

import numpy as np
import pytest

from krypton_compile.runtime.approximation.refining import between, stages


@pytest.mark.parametrize("shape", [(1,), (2,), (31,), (4, 9, 17), (1, 1, 8)])
def test_stages_grow_from_the_corners_to_all(shape):
    before = np.zeros(shape, bool)
    for places in stages(shape):
        known = np.zeros(shape, bool)
        known[np.ix_(*places)] = True
        assert known[tuple(0 for _ in shape)]
        assert known[tuple(size - 1 for size in shape)]
        assert (known | ~before).all()
        before = known
    assert before.all()


@pytest.mark.parametrize("shape", [(1,), (2,), (31,), (4, 9, 17), (1, 5, 8)])
def test_what_is_linear_is_found_between(shape):
    slopes = np.arange(1, 1 + len(shape))
    values = np.tensordot(slopes, np.indices(shape), 1)[..., None] * np.array([1.0, -2.0])
    for places in stages(shape):
        found = between(values[np.ix_(*places)].astype(np.float32), places, shape)
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-5)
