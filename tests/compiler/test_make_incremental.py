"""Networks whose features vanish with the picture get a body that computes them on T' itself, and others do not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from krypton_compile import compile
from krypton_compile.compiler.make_incremental import ON_VALUES
from tests.support.graphs import BOUND, floats, ints, parse, random_boxes, run_compiled, run_naive

HEAD = "h = Relu(n) g = GlobalAveragePool(h) o = Flatten(g) y = Gemm(o, z)"
SCALED = """
    c = Conv<strides=[2,2]>(x, w) s = Relu(c)
    d = Conv<pads=[1,1,1,1], group=8>(s, k) e = Conv(d, p) a = Tanh(e) b = Conv(a, tiny) t = Add(s, b)
    f = Conv<pads=[1,1,1,1], group=8>(t, k) i = Conv(f, p) j = Tanh(i) v = Conv(j, tiny) u = Add(t, v)
    l = ReduceL2<axes=[1]>(u) m = Clip(l, floor) n = Div(u, m)
"""
GATED = """
    c = Conv<strides=[2,2]>(x, w) l = Transpose<perm=[0,2,3,1]>(c)
    k0 = LayerNormalization<axis=-1>(l, one, none) m = MatMul(k0, q) i, j = Split<axis=3>(m, HALVES)
    r = Transpose<perm=[0,3,1,2]>(j) d = Conv<pads=[3,3,3,3], group=8>(r, wide) e = Transpose<perm=[0,2,3,1]>(d)
    s = Sigmoid(i) a = Mul(i, s) b = Mul(a, e) t = Concat<axis=3>(b, a) f = MatMul(t, back) u = Add(f, l)
    v = LayerNormalization<axis=-1, epsilon=1e-12>(u, one, none) n = Transpose<perm=[0,3,1,2]>(v)
"""


def untrained(body: str) -> onnx.ModelProto:
    """A network without biases, branches scaled by 1e-5."""
    weights = {"w": (8, 3, 2, 2), "z": (8, 5), "q": (8, 16), "wide": (8, 1, 7, 7), "back": (16, 8)}
    small = 1e-5 * np.random.default_rng(0).standard_normal((8, 8, 1, 1))
    weights |= {"k": (8, 1, 3, 3), "p": (8, 8, 1, 1), "tiny": small.astype(np.float32)}
    weights |= {"one": floats(*[1] * 8), "none": floats(*[0] * 8), "HALVES": ints(8, 8)}
    weights |= {"floor": np.array(1e-12, np.float32)}
    return parse(f"{body} {HEAD}", image="float[N,3,48,48] x", **weights)


@pytest.mark.parametrize("body", [SCALED, GATED], ids=["scaled branches", "gated branches"])
def test_branches_that_vanish_with_the_picture(body: str) -> None:
    model = untrained(body)
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 48, 48)).astype(np.float32)
    compiled, report = compile(model)
    assert report.notes == [ON_VALUES]
    assert report.incremental_share == 1
    boxes = random_boxes((48, 48), np.random.default_rng(1), 20)
    occluded = np.repeat(image, len(boxes), axis=0)
    for row, (y, x, h, w) in enumerate(boxes):
        occluded[row, :, y : y + h, x : x + w] = 0
    expected = run_naive(model, occluded)
    names = [value.name for value in compiled.graph.input]
    found = run_compiled(compiled, {names[0]: image, names[1]: boxes, names[2]: np.zeros_like(image)})[0]
    assert np.abs(found - expected).max() <= BOUND * np.abs(expected).max()
    first, _ = compile(model, verify=False)
    lost = run_compiled(first, {names[0]: image, names[1]: boxes, names[2]: np.zeros_like(image)})[0]
    assert np.abs(lost - expected).max() > 10 * BOUND * np.abs(expected).max()  # else the test would show nothing


def test_no_second_body_where_the_first_one_holds() -> None:
    _, report = compile(parse(f"n = Conv(x, w) {HEAD}", w=(8, 3, 3, 3), z=(8, 5)))
    assert not report.notes
