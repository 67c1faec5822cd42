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


@pytest.mark.parametrize(
    ("middle", "weights", "why"),
    [
        (
            "q = Reshape(r, to) n = InstanceNormalization(q, s, b) h = Reshape(n, back)",
            {"to": ints(0, 2, -1), "back": ints(0, 8, 9, 10), "s": (2,), "b": (2,)},
            "for InstanceNormalization: its statistics are of the whole map",
        ),
        (ATTENTION, {"to": ints(0, 8, 90), "back": ints(0, 8, 9, 10)}, "a row of tokens as attention reads them"),
        (
            "q = Reshape(r, to) t = Transpose<perm=[0,2,1,3]>(q) h = Reshape(t, back)",
            {"to": ints(0, 8, 45, 2), "back": ints(0, 8, 9, 10)},
            "neither keeps nor flattens the map",
        ),
    ],
)
def test_a_reshape_without_a_rule_says_what_it_is_for(middle: str, weights: dict, why: str) -> None:
    weights = {"w0": (8, 3, 3, 3), "fw": (5, 8)} | weights
    assert why in reasons(compile_and_check(parse(f"{STEM} {middle} {HEAD}", **weights)), "Reshape")
