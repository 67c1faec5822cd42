"""Explanations, requests and what else holds arrays: equal where all they hold is, and never an error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from krypton_compile.runtime import Approximation, Request
from krypton_compile.runtime.by_value import equal


def test_explanations_compare(session, image):
    first, second = (session.explain(image, 8, 6) for _ in range(2))
    assert first.seconds != second.seconds
    assert first == second
    assert hash(first) == hash(second)
    assert len({first, second}) == 1
    assert first != session.explain(image, 8, 6, target=1)
    assert first != session.explain(image, 8, 4)
    scores = second.scores.copy()
    scores[0, 0, 0] += 1
    assert first != replace(second, scores=scores)
    assert first != first.scores
    assert first not in [None, 1, "x", np.zeros(3)]
    assert session.explain([image, image], 8, 6) == [first, second]


def test_maps_that_have_no_number_are_equal_to_themselves(session, image):
    some = session.explain(image, 8, 6, roi=(0, 0, 4, 4))
    assert some == replace(some, error=some.error)
    nothing = session.explain(image, 8, 6, baseline=image)
    assert np.isnan(nothing.error)
    assert nothing == session.explain(image, 8, 6, baseline=image)


def test_several_sizes_chunks_and_scores_compare(session, image):
    sizes = [session.explain(image, patch_sizes=[6, 8], stride=4) for _ in range(2)]
    assert sizes[0] == sizes[1]
    assert sizes[0] != sizes[0].parts[0]
    chunks = [list(session.iter_explain(image, 8, 8)) for _ in range(2)]
    assert sorted(chunks[0], key=lambda chunk: chunk.index[0]) == sorted(chunks[1], key=lambda chunk: chunk.index[0])
    runs = [session.run(image, [[0, 0, 4, 4]]) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0] != session.run(image, [[0, 0, 4, 5]])


def test_requests_that_hold_arrays_compare():
    array = np.zeros((2, 3))
    assert Request(baseline=array) == Request(baseline=array.copy())
    assert Request(baseline=array) != Request(baseline=array + 1)
    assert Request(baseline=array) != Request(baseline=0.0)
    assert Request(segments=np.zeros((2, 2), int)) != Request(segments="slic:4")
    assert hash(Request(baseline=array)) == hash(Request(baseline=array.copy()))
    assert Approximation(np.array([0.5, 1])) == Approximation(np.array([0.5, 1]))
    torch = pytest.importorskip("torch")
    assert Request(baseline=torch.zeros(3)) != Request(baseline=torch.zeros(3))  # whose own == is no truth


VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3), arrays.arrays(arrays.scalar_dtypes(), 2)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(one=VALUES, other=VALUES)
def test_any_values_compare(one, other):
    assert equal(one, one)
    assert equal(one, other) == equal(other, one)
