"""What exporters write out in several ops becomes the op that it is, in every spelling, or another that has a rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.graphs import became, compile_and_check, dense, floats, ints, parse

TAIL = "m = Conv (n, wm) p = GlobalAveragePool (m) q = Flatten (p) y = Gemm <transB = 1> (q, wz)"
SIGNAL, PICTURE, VOLUME = (23,), (11, 13), (5, 7, 6)


def scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def around(body: str, sizes: tuple[int, ...] = PICTURE, relu: bool = False, opset: int = 17, **weights):
    """A network of a convolution, the body on its map ``a`` [1, 6, ...] that makes ``n``, and another convolution."""
    kernel = [1] * len(sizes)
    first = "a0 = Conv (x, wa, ba) a = Relu (a0)" if relu else "a = Conv (x, wa, ba)"
    return parse(
        f"{first} {body} {TAIL}",
        image=f"float[1,3,{','.join(map(str, sizes))}] x",
        scores="float[1,5] y",
        opset=opset,
        **{"wa": (6, 3, *kernel), "ba": (6,), "wm": (8, 6, *kernel), "wz": (5, 8), **weights},
    )


def layout(sizes: tuple[int, ...]) -> str:
    return {1: "NCL", 2: "NCHW", 3: "NCDHW"}[len(sizes)]


@given(
    size=st.integers(2, 5),
    alpha=st.floats(1e-4, 2),
    beta=st.sampled_from([0.5, 0.75, 1.0]),
    bias=st.floats(0.5, 3),
    pads=st.sampled_from(["v, amounts", "v, amounts, nearly_zero", ""]),
    square=st.sampled_from(["s = Mul (a, a)", "s = Pow (a, two)"]),
    divided=st.sampled_from(["n = Div (a, d)", "r = Reciprocal (d) n = Mul (a, r)"]),
    sizes=st.sampled_from([SIGNAL, PICTURE, VOLUME]),
)
@settings(max_examples=10, deadline=None)
def test_local_response_normalisation(size, alpha, beta, bias, pads, square, divided, sizes):
    before, after = size // 2, (size - 1) // 2
    if len(sizes) == 1:
        view, kernel, back = "v = Unsqueeze (s, one)", [size, 1], "w = Squeeze (z, one)"
    else:
        view, kernel, back = "v = Reshape (s, sequence)", [size, 1, 1], "w = Reshape (z, whole)"
    own = [before, *[0] * (len(kernel) - 1), after, *[0] * (len(kernel) - 1)]
    pool = f"z = AveragePool <kernel_shape = {kernel}, count_include_pad = 1"
    pool = f"u = Pad ({pads}) {pool}>(u)" if pads else f"{pool}, pads = {own}>(v)"
    rank = len(kernel)
    model = around(
        f"{square} {view} {pool} {back} t = Mul (w, alpha) b = Add (t, bias) d = Pow (b, beta) {divided}",
        sizes,
        alpha=scalar(alpha),
        beta=scalar(beta),
        bias=scalar(bias),
        two=scalar(2),
        nearly_zero=scalar(-3e-27),
        one=ints(1),
        sequence=ints(1, 1, 6, sizes[0], -1),
        whole=ints(1, 6, *sizes),
        amounts=ints(0, 0, *own[:rank], 0, 0, *own[rank:]),
    )
    report = compile_and_check(model, layout(sizes))
    assert not dense(report)
    assert not became(report, "AveragePool")
    assert bool(became(report, "LRN")) == (len(sizes) == 2 and size % 2 == 1)


@pytest.mark.parametrize(
    "pool",
    [
        "z = AveragePool <kernel_shape = [3, 1, 1], pads = [1, 0, 0, 1, 0, 0]> (v)",  # its pads do not count
        "z = AveragePool <kernel_shape = [1, 3, 1], pads = [0, 1, 0, 0, 1, 0], count_include_pad = 1> (v)",  # of rows
        "u = Pad (v, amounts, one_number) z = AveragePool <kernel_shape = [3, 1, 1]> (u)",  # pads are ones
    ],
)
def test_other_means_are_no_local_response(pool):
    model = around(
        f"s = Mul (a, a) v = Reshape (s, volume) {pool} w = Reshape (z, whole)"
        "t = Mul (w, alpha) b = Add (t, bias) d = Pow (b, beta) n = Div (a, d)",
        alpha=scalar(0.5),
        beta=scalar(0.75),
        bias=scalar(1),
        volume=ints(1, 1, 6, *PICTURE),
        whole=ints(1, 6, *PICTURE),
        amounts=ints(0, 0, 1, 0, 0, 0, 0, 1, 0, 0),
        one_number=scalar(1),
    )
    assert not became(compile_and_check(model), "LRN")


@given(
    p=st.integers(2, 4),
    kernel=st.integers(2, 3),
    stride=st.integers(1, 3),
    ceil=st.booleans(),
    sign=st.sampled_from(
        ["r", "s = Sign (z) b = Abs (z) e = Relu (b) r = Mul (s, e)", "s = Sign (z) b = Abs (z) r = Mul (b, s)"]
    ),
    sizes=st.sampled_from([SIGNAL, PICTURE, VOLUME]),
)
@settings(max_examples=10, deadline=None)
def test_pools_by_a_norm(p, kernel, stride, ceil, sign, sizes):
    axes = len(sizes)
    pool = f"AveragePool <kernel_shape = {[kernel] * axes}, strides = {[stride] * axes}, ceil_mode = {int(ceil)}> (c)"
    made = f"r = {pool}" if sign == "r" else f"z = {pool} {sign}"
    model = around(
        f"c = Pow (a, power) {made} k = Mul (r, taps) n = Pow (k, root)",
        sizes,
        relu=True,
        power=scalar(p),
        taps=scalar(kernel**axes),
        root=scalar(1 / p),
    )
    report = compile_and_check(model, layout(sizes))
    last = [-(-(size - kernel) // stride) * stride for size in sizes]
    if ceil and any(start >= size for start, size in zip(last, sizes, strict=True)):  # runtimes differ on it
        assert any("its last window starts in the padding" in reason for reason in dense(report))
        return
    assert became(report, "LpPool") == {"incremental"}
    assert not dense(report)
    assert not became(report, "Sign")


@given(
    kernel=st.integers(2, 4),
    stride=st.integers(1, 4),
    pad=st.integers(0, 1),
    counted=st.booleans(),
    opset=st.sampled_from([17, 19, 20]),
    sizes=st.sampled_from([(22,), (10, 13), (6, 7, 5)]),
)
@settings(max_examples=15, deadline=None)
def test_average_pools_with_ceil_mode(kernel, stride, pad, counted, opset, sizes):
    """Whatever onnxruntime divides the last window by."""
    axes = len(sizes)
    starts = [-(-(size + 2 * pad - kernel) // stride) * stride for size in sizes]
    if any(start >= size + pad for start, size in zip(starts, sizes, strict=True)):
        return  # the last window has no pixel: whether there is one, versions do not agree
    model = around(
        f"n = AveragePool <kernel_shape = {[kernel] * axes}, strides = {[stride] * axes}, pads = {[pad] * 2 * axes},"
        f" ceil_mode = 1, count_include_pad = {int(counted)}> (a)",
        sizes,
        opset=opset,
    )
    assert not dense(compile_and_check(model, layout(sizes)))


def test_a_sign_and_another_size_stay():
    model = around(
        "s = Sign (a) b = Abs (a2) a2 = Neg (a) n = Mul (s, b)".replace(
            "b = Abs (a2) a2 = Neg (a)", "a2 = Neg (a) b = Abs (a2)"
        )
    )
    assert became(compile_and_check(model), "Sign")


def test_a_value_forgets_readers_in_branches_that_are_gone():
    """PyTorch's older exporter asks whether an axis is 1 before it squeezes it; the other branch read the pool too."""
    model = around(
        "c = Constant <value = bool {1}> ()"
        "w = If (c) <then_branch = yes () => (float[1,6,11,13] t) { t = Relu (a) },"
        "            else_branch = no () => (float[1,6,11,13] f) { f = Neg (z) }>"
        "n = Add (w, offset)".replace("w = If", "z = Sigmoid (a) w = If"),
        offset=floats(0.5),
    )
    assert not became(compile_and_check(model), "Sigmoid")


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", ["", ", k"])
def test_triangles_of_a_map(upper, k):
    report = compile_and_check(around(f"n = Trilu <upper = {upper}> (a{k})", k=np.int64(-2)))
    assert not dense(report)
