"""Ops without a rule: the model still compiles, is still exact, and the report says which op it was."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.graphs import became, compile_and_check, ints, parse, reasons

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
STEM = "c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w0) r = Relu(c)"

ATTENTION = """
    q = Reshape(r, to) k = Transpose<perm=[0,2,1]>(q) m = MatMul(k, q) a = Softmax<axis=-1>(m)
    v = MatMul(q, a) h = Reshape(v, back)
"""

MIDDLES = {
    "InstanceNormalization": ("n = InstanceNormalization(r, s, b) h = Relu(n)", {"s": (8,), "b": (8,)}),
    "Sigmoid": ("e = GlobalAveragePool(r) s = Conv(e, w1) u = Sigmoid(s) h = Mul(r, u)", {"w1": (8, 8, 1, 1)}),
    "GlobalLpPool": ("h = GlobalLpPool(r)", {}),
    "ReduceProd": ("e = Exp(c) h = ReduceProd<axes=[2,3]>(e)", {}),
    "LpNormalization": ("h = LpNormalization<axis=2>(c)", {}),
    "Split": ("a, b = Split<axis=3>(r, z) h = Concat<axis=3>(b, a)", {"z": ints(4, 6)}),
    "GatherElements": (
        "h = GatherElements<axis=2>(r, i)",
        {"i": np.random.default_rng(0).integers(0, 9, (1, 8, 2, 10))},
    ),
    "Softmax": ("s = Softmax<axis=2>(r) h = Mul(s, r)", {}),
    "Max": ("g0 = ReduceProd<axes=[2,3]>(r) h = Max(r, g0)", {}),
    "Mul": ("g0 = GlobalAveragePool(r) h = Mul(r, g0)", {}),
    # Attention over pixels: reshapes that spell the batch out as 1.
    "Reshape": (ATTENTION, {"to": ints(1, 8, 90), "back": ints(1, 8, 9, 10)}),
    # Nothing of this treats axis 0 as a batch: a Scan, once a position.
    "TopK": ("v, i = TopK<axis=1>(r, n) h = Concat<axis=1>(v, v)", {"n": ints(4)}),
}


@pytest.mark.parametrize("op", MIDDLES)
def test_dense_ops(op: str) -> None:
    middle, weights = MIDDLES[op]
    model = parse(f"{STEM} {middle} {HEAD}", w0=(8, 3, 3, 3), fw=(5, 8), **weights)
    report = compile_and_check(model)
    assert "dense" in became(report, op)
    assert reasons(report, op).strip("; ")
    assert became(report, "Conv") >= {"incremental"}


def test_a_delta_and_its_full_map_live_side_by_side() -> None:
    model = parse(
        f"{STEM} s = Softmax<axis=2>(r) d = Conv<pads=[1,1,1,1]>(r, w1) h = Add(d, s) {HEAD}",
        w0=(8, 3, 3, 3),
        w1=(8, 8, 3, 3),
        fw=(5, 8),
    )
    report = compile_and_check(model)
    assert became(report, "Conv") == {"incremental"}
    assert became(report, "Add") == {"dense"}
