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


NORM = (
    "t = Transpose<perm=[0,2,3,1]>(a) n = LayerNormalization<axis=-1,epsilon=1e-12>(t, s) "
    "o = Transpose<perm=[0,3,1,2]>(n)"
)
SHARES = "b = Relu(a) m = ReduceSum(b, AXIS) g = Add(m, EPS) o = Div(b, g)"
LAST = "u = Transpose<perm=[0,2,3,1]>"
CONV = "Conv<pads=[1,1,1,1]>"


@pytest.mark.parametrize(
    "body",
    [
        f"c = {CONV}(x, w) r = Relu(c) a = {CONV}(r, v) {NORM}",  # black pixels
        f"c = {CONV}(x, w, d) r = Relu(c) a = {CONV}(r, v) {NORM}",
        f"c = {CONV}(x, w, d) r = Relu(c) a = {CONV}(r, v) {SHARES}",  # a Relu between the sum and what needs its zeros
        f"c = {CONV}(x, w, d) r = HardSwish(c) a = {CONV}(r, v) {NORM}",
        f"c = {CONV}(x, w) p = Greater(c, TENTH) r = Where(p, c, ZERO) a = {CONV}(r, v) {NORM}",
        f"c = {CONV}(x, w) p = Greater(c, TENTH) f = Cast<to=1>(p) r = Mul(c, f) a = {CONV}(r, v) {NORM}",
        f"c = {CONV}(x, w, d) r = Relu(c) e = {CONV}(r, v) q = Relu(e) a = {CONV}(q, v) {NORM}",
        f"c = {CONV}(x, w, d) r = Relu(c) e = {CONV}(r, v) a = MaxPool<kernel_shape=[2,2],pads=[0,0,1,1]>(e) {NORM}",
        f"c = {CONV}(x, w) r = Relu(c) e = {CONV}(r, v) a = Add(r, e) {NORM}",
        f"c = {CONV}(x, w, d) r = Relu(c) {LAST}(r) h = MatMul(u, k) a = Transpose<perm=[0,3,1,2]>(h) {NORM}",
    ],
)
def test_what_vanishes_stays_zero(body: str) -> None:
    """Norms of features that are exactly 0 behind a window, where T0 + D is 6e-8."""
    rng = np.random.default_rng(0)
    weights = {"w": (4, 3, 3, 3), "v": (4, 4, 3, 3), "k": (4, 4), "z": (4, 5), "d": np.full(4, -0.3, np.float32)}
    weights |= {"s": np.ones(4, np.float32), "EPS": np.float32(1e-8), "AXIS": ints(1)}
    weights |= {"ZERO": np.float32(0), "TENTH": np.float32(0.3)}
    head = f" i = {CONV}(o, v) j = Relu(i) g2 = GlobalAveragePool(j) f2 = Flatten(g2) y = Gemm(f2, z)"
    words = set((body + head).replace("(", " ").replace(")", " ").replace(",", " ").split())
    used = {name: value for name, value in weights.items() if name in words}
    model = parse(body + head, image=f"float[N,3,{SIZE},{SIZE}] x", opset=18, **used)
    image = rng.uniform(0, 1, (1, 3, SIZE, SIZE)).astype(np.float32)
    require_exact(Guarded(model, image, np.zeros_like(image), "vanishing"))
