"""Functions of two maps, of a map and a constant, of a pixel's channels; maxima of whole maps; ops that decompose."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.graphs import compile_and_check, floats, ints, parse, reasons

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
STEM = "c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w0) r = Relu(c) d = Conv<pads=[1,1,1,1]>(r, w1)"
WEIGHTS = {"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3)}  # c, r, d are [1, 8, 9, 10]


def check(middle: str, channels: int = 8, opset: int = 17, head: str = HEAD, **weights):
    """``middle`` goes from c, r and d to h, [1, channels, ...]; everything before the head is incremental."""
    body = f"{STEM} {middle} {head}"
    report = compile_and_check(parse(body, opset=opset, **WEIGHTS, fw=(5, channels), **weights))
    dense = [layer for layer in report.layers if layer.became == "dense" and "class vector" not in layer.reason]
    assert not dense, [(layer.op, layer.reason) for layer in dense]
    return report


THIN = "t0 = ReduceMean<axes=[1]>(r)"
MAPS = {
    "max": ("h = Max(r, d)", {}),
    "min": ("h = Min(c, d)", {}),
    "quotient": ("e = Exp(c) q = Softplus(d) h = Div(e, q)", {}),
    "power": ("e = Softplus(c) q = Sigmoid(d) h = Pow(e, q)", {}),
    "product by one channel": (f"{THIN} h = Mul(d, t0)", {}),
    "one channel times": (f"{THIN} h = Mul(t0, d)", {}),
    "sum with one channel": (f"{THIN} h = Add(d, t0)", {}),
    "difference to one channel": (f"{THIN} h = Sub(d, t0)", {}),
    "larger than one channel": (f"{THIN} h = Max(t0, d)", {}),
    "normalized": ("n = ReduceL2<axes=[1]>(r) m = Max(n, k) h = Div(r, m)", {"k": floats(1e-2)}),
    "normalized, expanded": (
        "n = ReduceL2<axes=[1]>(r) m = Clip(n, k) e = Expand(m, s) h = Div(r, e)",
        {"k": np.float32(1e-2), "s": ints(1, 8, 9, 10)},
    ),
    "attention to pixels": (
        """
        a = ReduceMean<axes=[1]>(r) b = ReduceMax<axes=[1]>(r) t0 = Concat<axis=1>(a, b)
        s = Conv<pads=[3,3,3,3]>(t0, w7) u = Sigmoid(s) h = Mul(r, u)
        """,
        {"w7": (1, 2, 7, 7)},
    ),
    "squares": ("h = Mul(d, d)", {}),
}
CONSTANTS = {
    "max of a number": ("h = Max(d, k)", {"k": floats(0.3)}),
    "min of a number": ("h = Min(k, d)", {"k": floats(0.3)}),
    "max of channels": ("h = Max(d, k)", {"k": (8, 1, 1)}),
    "times a map": ("h = Mul(d, k)", {"k": (1, 8, 9, 10)}),
    "times a picture": ("h = Mul(k, d)", {"k": (9, 10)}),
    "times columns": ("h = Mul(d, k)", {"k": (10,)}),
    "times rows": ("h = Mul(d, k)", {"k": (9, 1)}),
    "by a picture": ("h = Div(d, k)", {"k": np.linspace(1, 2, 90, dtype=np.float32).reshape(9, 10)}),
    "from a number": ("e = Softplus(d) h = Div(k, e)", {"k": floats(2)}),
    "square": ("h = Pow(d, k)", {"k": np.float32(2)}),
    "root": ("e = Softplus(d) h = Pow(e, k)", {"k": np.float32(0.5)}),
    "cube": ("h = Pow(d, k)", {"k": np.float32(3)}),
    "base": ("h = Pow(k, d)", {"k": floats(1.5)}),
    "to channels": (f"{THIN} h = Mul(t0, k)", {"k": (8, 1, 1)}),
}


@pytest.mark.parametrize("kind", {**MAPS, **CONSTANTS})
def test_functions_of_two(kind: str) -> None:
    middle, weights = {**MAPS, **CONSTANTS}[kind]
    check(middle, **weights)


REDUCTIONS = ["L1", "L2", "LogSumExp", "Max", "Mean", "Min", "SumSquare"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions_of_channels(reduction: str) -> None:
    check(f"h = Reduce{reduction}<axes=[1]>(d)", 1)


def test_sums_of_channels_and_of_pixels() -> None:
    check("h = ReduceSum(d, a)", 1, a=ints(1))
    check("h = Relu(d)", head="g = ReduceSum<keepdims=0>(h, a) y = Gemm<transB=1>(g, fw)", a=ints(2, 3))


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_of_channels(op: str) -> None:
    check(f"s = {op}<axis=1>(d) h = Mul(s, d)")


@pytest.mark.parametrize(
    "pool", ["GlobalMaxPool(d)", "ReduceMax<axes=[2,3]>(d)", "ReduceMax<axes=[-1,-2], keepdims=0>(d)"]
)
def test_the_largest_entry_of_a_map(pool: str) -> None:
    check(f"g = {pool}", head="f = Reshape(g, to) y = Gemm<transB=1>(f, fw)", to=ints(1, 8))


@pytest.mark.parametrize("op", ["Sum", "Mean", "Max", "Min"])
def test_of_any_number_of_maps(op: str) -> None:
    check(f"h = {op}(c, d, r)")
    check(f"h = {op}(d)")


NHWC = {
    "softmax": ("h = Softmax<axis=3>(t)", {}),
    "product": ("h = Mul(t, k)", {"k": (9, 10, 1)}),
    "power": ("h = Pow(t, k)", {"k": np.full(8, 3, np.float32)}),
    "mean": ("m = ReduceMean<axes=[-1]>(t) h = Sub(t, m)", {}),
    "slice": ("h = Slice(t, s, e, a)", {"s": ints(2), "e": ints(8), "a": ints(1)}),
    "reflect": ('h = Pad<mode="reflect">(t, p)', {"p": ints(0, 1, 2, 0, 0, 1, 0, 0)}),
}


@pytest.mark.parametrize("kind", NHWC)
def test_channels_last(kind: str) -> None:
    middle, weights = NHWC[kind]
    head = "g = ReduceMean<axes=[1,2], keepdims=0>(h) y = Gemm<transB=1>(g, fw)"
    check(f"t = Transpose<perm=[0,2,3,1]>(d) {middle}", head=head, **weights)


def test_what_broadcasts_the_map_is_dense() -> None:
    middle = "s = ReduceMax<axes=[2]>(d) h = Mul(d, s)"
    report = compile_and_check(parse(f"{STEM} {middle} {HEAD}", **WEIGHTS, fw=(5, 8)))
    assert "reduces axes [2], for which ReduceMax has no rule" in reasons(report, "ReduceMax")
