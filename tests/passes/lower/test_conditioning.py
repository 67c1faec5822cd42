"""Guards, norms and poles: never a NaN where onnxruntime has none, and exact where T0 + D would lose the digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings

from krypton_compile import compile
from tests.support.graphs import random_boxes, run_compiled, run_naive
from tests.support.guarded_networks import SIZE, Guarded, guarded_networks

SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
BOUND = 1e-5
NOISE = 4
"""A network that amplifies rounding may differ by so many times what onnxruntime differs from itself."""


def check(made: Guarded) -> None:
    """The compiled file's scores on boxes, the whole picture among them, are onnxruntime's."""
    note(f"{made.title}")
    compiled, _ = compile(made.model, verify=False)
    boxes = random_boxes((SIZE, SIZE), np.random.default_rng(1), 8)
    boxes = np.concatenate([boxes, np.array([[4, 5, 5, 5], [3, 4, 8, 8], [0, SIZE // 2, SIZE, SIZE // 2]], np.int32)])
    occluded = np.repeat(made.image, len(boxes), axis=0)
    for row, (y, x, h, w) in enumerate(boxes):
        occluded[row, :, y : y + h, x : x + w] = made.baseline[0, :, y : y + h, x : x + w]
    expected = run_naive(made.model, occluded)
    if not np.isfinite(expected).all():
        return  # nor is the model itself
    names = [value.name for value in compiled.graph.input]
    found = run_compiled(compiled, {names[0]: made.image, names[1]: boxes, names[2]: made.baseline})[0]
    assert np.isfinite(found).all(), f"box {boxes[~np.isfinite(found).all(axis=1)][0]}"
    scale = np.abs(expected).max()
    error = np.abs(found - expected).max(axis=1)
    allowed = BOUND * scale + NOISE * own_noise(made, occluded, expected)
    assert (error <= allowed).all(), (
        f"box {boxes[error.argmax()]}: {error.max() / scale:.2g}, {allowed.max() / scale:.2g}"
    )


def own_noise(made: Guarded, occluded: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """By how much the model's scores move when its pixels move by one unit in the last place, for each picture."""
    rng = np.random.default_rng(2)
    moved = [
        run_naive(
            made.model,
            np.nextafter(occluded, np.where(rng.random(occluded.shape) < 0.5, np.inf, -np.inf).astype(np.float32)),
        )
        for _ in range(2)
    ]
    return np.abs(np.stack(moved) - expected).max(axis=(0, 2))


@SETTINGS
@given(guarded_networks())
def test_guarded_networks_are_exact(made: Guarded) -> None:
    check(made)


@pytest.mark.full
def test_many_guarded_networks_are_exact() -> None:
    settings(SETTINGS, max_examples=2000, derandomize=False)(given(guarded_networks())(check))()
