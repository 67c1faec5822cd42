"""Guards, norms and poles: never a NaN where onnxruntime has none, and exact where T0 + D would lose the digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings

from tests.support.graphs import ints, parse
from tests.support.guarded_networks import SIZE, Guarded, guarded_networks, require_exact

SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check(made: Guarded) -> None:
    note(made.title)
    require_exact(made)


@SETTINGS
@given(guarded_networks())
def test_guarded_networks_are_exact(made: Guarded) -> None:
    check(made)


@pytest.mark.full
def test_many_guarded_networks_are_exact() -> None:
    settings(SETTINGS, max_examples=2000, derandomize=False)(given(guarded_networks())(check))()


@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_batch_norm_of_the_images_own_statistics(baseline: float) -> None:
    """As PyTorch exports track_running_stats=False; a picture of one colour has the variance of its rounding."""
    body = (
        "c = Conv<pads=[1,1,1,1]>(x, w, b) m = ReduceMean<keepdims=0>(c, AXES) a = ReduceMean<keepdims=1>(c, AXES) "
        "d = Sub(c, a) q = Mul(d, d) v = ReduceMean<keepdims=0>(q, AXES) "
        "n = BatchNormalization<epsilon=1e-5>(c, s, t, m, v) e = Conv(n, u) r = Relu(e) g = GlobalAveragePool(r) "
        "f = Flatten(g) y = Gemm(f, z)"
    )
    weights = {"w": (8, 3, 3, 3), "b": (8,), "s": np.ones(8, np.float32), "t": np.zeros(8, np.float32)}
    weights |= {"u": (8, 8, 3, 3), "z": (8, 5), "AXES": ints(0, 2, 3)}
    model = parse(body, image=f"float[N,3,{SIZE},{SIZE}] x", opset=18, **weights)
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, SIZE, SIZE)).astype(np.float32)
    require_exact(Guarded(model, image, np.full_like(image, baseline), "batch norm"))
