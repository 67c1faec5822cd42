"""What exporters spell out is folded: affine nodes into convolutions, Pads into windows, also behind Transposes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from krypton_compile import Report, compile
from tests.support.graphs import compile_and_check, floats, ints, parse

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
NHWC_HEAD = "gap = ReduceMean<axes=[1,2], keepdims=0>(h) d = MatMul(gap, fw) y = Add(d, fb)"
IN, OUT = "Transpose<perm=[0,3,1,2]>", "Transpose<perm=[0,2,3,1]>"
VARIANCE, SCALE = np.linspace(0.1, 3, 8, dtype=np.float32), np.linspace(0.5, 2, 8, dtype=np.float32)
ONE_A_CHANNEL = {"k1": SCALE.reshape(8, 1, 1), "k2": (8, 1, 1)}


def nchw(middle: str, **weights) -> onnx.ModelProto:
    """Conv, Relu, the nodes under test from ``r`` to ``h``, and a head."""
    body = f"c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) {middle} {HEAD}"
    return parse(body, **{"w0": (8, 3, 3, 3), "fw": (5, 8), **weights})


def nhwc(middle: str, **weights) -> onnx.ModelProto:
    """The same as tf2onnx writes it: a map ``a`` and its Relu ``r``, both NHWC."""
    body = f"t = {IN}(x) c = Conv<pads=[1,1,1,1]>(t, w0) u = {OUT}(c) a = Add(u, b0) r = Relu(a) {middle} {NHWC_HEAD}"
    return parse(body, image="float[N,17,19,3] x", opset=13, **{**NHWC, **weights})


NHWC = {"w0": (8, 3, 3, 3), "b0": (8,), "fw": (8, 5), "fb": (5,)}


def kinds(report: Report) -> list[str]:
    """The ops that are left, Transposes aside, before the head."""
    spatial = [layer for layer in report.layers if "class vector" not in layer.reason]
    assert all(layer.became == "incremental" for layer in spatial), [layer.reason for layer in spatial]
    return [layer.op for layer in spatial if layer.op != "Transpose"][:-1]


FOLDED = {
    "norm decomposed": (
        (
            "d = Conv<pads=[1,1,1,1]>(r, w1) n = Sub(d, m) q = Add(v, e) s = Sqrt(q) i = Div(n, s) j = Mul(i, k1) "
            "h = Add(j, k2)"
        ),
        {"m": (8, 1, 1), "v": VARIANCE.reshape(8, 1, 1), "e": floats(1e-3), **ONE_A_CHANNEL},
    ),
    "scale layer": ("d = Conv<pads=[1,1,1,1]>(r, w1, b1) i = Mul(k1, d) h = Add(k2, i)", {"b1": (8,), **ONE_A_CHANNEL}),
    "numbers": (
        "d = Conv<pads=[1,1,1,1]>(r, w1) i = Div(d, k1) j = Sub(k2, i) h = Neg(j)",
        {"k1": floats(0.3), "k2": np.float32(0.7)},
    ),
    "depthwise": (
        "d = Conv<pads=[1,1,1,1], group=8>(r, w1) i = Mul(d, k1) h = Sub(i, k2)",
        {"w1": (8, 1, 3, 3), **ONE_A_CHANNEL},
    ),
    "norm": (
        "d = Conv<pads=[1,1,1,1]>(r, w1) h = BatchNormalization<epsilon=0.01>(d, s, b, m, v)",
        {"s": SCALE, "b": (8,), "m": (8,), "v": VARIANCE},
    ),
    "before": ("i = Mul(r, k1) j = Add(i, k2) h = Conv<strides=[2,2]>(j, w1)", ONE_A_CHANNEL),
    "before, of groups": (
        "i = Mul(r, k1) j = Add(i, k2) h = Conv<group=2>(j, w1)",
        {"w1": (6, 4, 3, 3), "fw": (5, 6), **ONE_A_CHANNEL},
    ),
    "before, padded, no shift": ("i = Mul(r, k1) h = Conv<pads=[1,1,1,1]>(i, w1)", {"k1": ONE_A_CHANNEL["k1"]}),
}


@pytest.mark.parametrize("kind", FOLDED)
def test_affine_nodes_are_folded_into_convolutions(kind: str) -> None:
    middle, weights = FOLDED[kind]
    body = f"c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) {middle} {HEAD}"
    model = parse(body, **{"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3), "fw": (5, 8), **weights})
    assert kinds(compile_and_check(model)) == ["Conv", "Relu", "Conv"]


def test_weights_of_two_convolutions_are_folded_apart() -> None:
    middle = "d = Conv<pads=[1,1,1,1]>(r, w1) i = Mul(d, k1) e = Conv<pads=[1,1,1,1]>(i, w1) h = Add(e, k2)"
    report = compile_and_check(nchw(middle, w1=(8, 8, 3, 3), **ONE_A_CHANNEL))
    assert kinds(report) == ["Conv", "Relu", "Conv", "Conv"]


def test_folding_keeps_the_names_of_what_others_read() -> None:
    """The map before a folded Mul is an output of the model too."""
    body = "c = Conv(x, w0) r = Relu(c) i = Mul(r, k1) h = Conv(i, w1) g = GlobalAveragePool(h) f = Flatten(g)"
    scores = "float[N,5] y, float[N,8,15,17] r"
    weights = {"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3), "fw": (5, 8), "k1": ONE_A_CHANNEL["k1"]}
    model = parse(f"{body} y = Gemm<transB=1>(f, fw)", scores=scores, **weights)
    _, report = compile(model, output_name="y")
    assert report.verification.startswith("9 positions")
    assert [layer.op for layer in report.layers][:3] == ["Conv", "Relu", "Conv"]


KEPT = {
    "a shift before a padded convolution": ("i = Add(r, k2) h = Conv<pads=[1,1,1,1]>(i, w1)", ["Add", "Conv"]),
    "a shift before auto_pad": ('i = Add(r, k2) h = Conv<auto_pad="SAME_UPPER">(i, w1)', ["Add", "Conv"]),
    "read twice": ("d = Conv<pads=[1,1,1,1]>(r, w1) i = Mul(d, k2) h = Add(i, d)", ["Conv", "Mul", "Add"]),
}


@pytest.mark.parametrize("kind", KEPT)
def test_affine_nodes_that_would_change_something_stay(kind: str) -> None:
    middle, ops = KEPT[kind]
    report = compile_and_check(nchw(middle, w1=(8, 8, 3, 3), k2=(8, 1, 1)))
    assert kinds(report) == ["Conv", "Relu", *ops]


PADS = ints(0, 1, 1, 0, 0, 1, 0, 0)
LOWEST, INFINITE = np.finfo(np.float32).min, np.float32(-np.inf)
WRAPPED = {
    "pad before a convolution": (f"p = Pad(r, n) t2 = {IN}(p) c2 = Conv<strides=[2,2]>(t2, w1) h = {OUT}(c2)", "Conv"),
    "pad inside the pair": (
        f"t2 = {IN}(r) p = Pad(t2, n2) c2 = Conv<strides=[2,2], pads=[0,0,1,0]>(p, w1) h = {OUT}(c2)",
        "Conv",
    ),
    "pad before a max": (f"p = Pad(r, n) t2 = {IN}(p) c2 = MaxPool<kernel_shape=[3,3]>(t2) h = {OUT}(c2)", "MaxPool"),
    "lowest before a max": (
        f"p = Pad(a, n, lowest) t2 = {IN}(p) c2 = MaxPool<kernel_shape=[3,3]>(t2) h = {OUT}(c2)",
        "MaxPool",
    ),
    "minus infinity before a max": (
        f"p = Pad(a, n, infinite) t2 = {IN}(p) c2 = MaxPool<kernel_shape=[3,3]>(t2) h = {OUT}(c2)",
        "MaxPool",
    ),
    "pad before a mean": (
        f"p = Pad(a, n) t2 = {IN}(p) c2 = AveragePool<kernel_shape=[3,3], strides=[2,2]>(t2) h = {OUT}(c2)",
        "AveragePool",
    ),
    "pad before a mean that counts": (
        (
            f"p = Pad(a, n) t2 = {IN}(p) c2 = AveragePool<kernel_shape=[3,3], pads=[0,1,0,0], count_include_pad=1>(t2) "
            f"h = {OUT}(c2)"
        ),
        "AveragePool",
    ),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_pads_are_absorbed_also_behind_transposes(kind: str) -> None:
    middle, op = WRAPPED[kind]
    constants = {"n": PADS, "n2": ints(0, 0, 1, 1, 0, 0, 0, 1), "lowest": LOWEST, "infinite": INFINITE}
    used = {name: value for name, value in constants.items() if f", {name})" in middle or f", {name}," in middle}
    model = nhwc(middle, **used, **({"w1": (8, 8, 3, 3)} if "w1" in middle else {}))
    before = ["Conv", "Relu"] if "(r, " in middle or "(r)" in middle else ["Conv"]
    assert kinds(compile_and_check(model, "NHWC")) == [*before, op]


STAYING = {
    "zeros before a max of negatives": f"p = Pad(a, n) t2 = {IN}(p) c2 = MaxPool<kernel_shape=[3,3]>(t2) h = {OUT}(c2)",
    "a mean that does not count its pads": (
        f"p = Pad(r, n) t2 = {IN}(p) c2 = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(t2) h = {OUT}(c2)"
    ),
    "another value": f"p = Pad(r, n, k) t2 = {IN}(p) c2 = AveragePool<kernel_shape=[3,3]>(t2) h = {OUT}(c2)",
    "more than the kernel": f"p = Pad(r, n) t2 = {IN}(p) c2 = MaxPool<kernel_shape=[1,1]>(t2) h = {OUT}(c2)",
}


@pytest.mark.parametrize("kind", STAYING)
def test_pads_that_a_window_means_otherwise_stay(kind: str) -> None:
    weights = {"n": PADS, **({"k": np.float32(0.7)} if ", k)" in STAYING[kind] else {})}
    assert "Pad" in kinds(compile_and_check(nhwc(STAYING[kind], **weights), "NHWC"))


def test_a_padded_map_that_others_read_too_stays_theirs() -> None:
    both = [f"t{i}n = {IN}(p) c{i} = Conv(t{i}n, w{i}) u{i} = {OUT}(c{i})" for i in (1, 2)]
    model = nhwc(f"p = Pad(r, n) {both[0]} {both[1]} h = Add(u1, u2)", n=PADS, w1=(8, 8, 3, 3), w2=(8, 8, 3, 3))
    assert kinds(compile_and_check(model, "NHWC")) == ["Conv", "Relu", "Conv", "Conv", "Add"]


KERAS = {
    "block": (
        (
            f"t2 = {IN}(r) c2 = Conv<pads=[1,1,1,1]>(t2, w1) u2 = {OUT}(c2) i = Add(u2, b1) t3 = {IN}(i) "
            f"n = BatchNormalization(t3, s, b, m, v) u3 = {OUT}(n) h = Relu(u3)"
        ),
        {"w1": (8, 8, 3, 3), "b1": (8,), "s": SCALE, "b": (8,), "m": (8,), "v": VARIANCE},
        ["Conv", "Relu", "Conv", "Relu"],
    ),
    "residual": (
        f"t2 = {IN}(r) c2 = Conv<pads=[1,1,1,1]>(t2, w1) u2 = {OUT}(c2) i = Mul(u2, b1) j = Add(i, r) h = Relu(j)",
        {"w1": (8, 8, 3, 3), "b1": (8,)},
        ["Conv", "Relu", "Conv", "Add", "Relu"],
    ),
    "concat": (
        (
            f"t2 = {IN}(r) c2 = Conv<pads=[1,1,1,1]>(t2, w1) u2 = {OUT}(c2) j = Concat<axis=3>(u2, r) t3 = {IN}(j) "
            f"c3 = Conv(t3, w2) h = {OUT}(c3)"
        ),
        {"w1": (8, 8, 3, 3), "w2": (8, 16, 1, 1)},
        ["Conv", "Relu", "Conv", "Concat", "Conv"],
    ),
    "relu6 by Min": ("h = Min(r, six)", {"six": np.float32(0.6)}, ["Conv", "Clip"]),
    "relu6 by Max and Min": ("i = Max(a, o) h = Min(six, i)", {"o": floats(0), "six": floats(0.6)}, ["Conv", "Clip"]),
    "leaky by Max": ("i = Mul(a, k) h = Max(i, a)", {"k": floats(0.1)}, ["Conv", "LeakyRelu"]),
    "sum": ("h = Sum(r, a, r)", {}, ["Conv", "Relu", "Add", "Add"]),
    "dense on pixels": (
        "i = Reshape(r, flat) d2 = MatMul(i, w1) j = Add(d2, b1) l = Reshape(j, back) h = Relu(l)",
        {"flat": ints(-1, 8), "w1": (8, 8), "b1": (8,), "back": ints(-1, 17, 19, 8)},
        ["Conv", "Relu", "MatMul", "Add", "Relu"],
    ),
    "weights in TensorFlow's order": (
        f"t2 = {IN}(r) q = Transpose<perm=[3,2,0,1]>(w1) c2 = Conv(t2, q) h = {OUT}(c2)",
        {"w1": (3, 3, 8, 8)},
        ["Conv", "Relu", "Conv"],
    ),
}


@pytest.mark.parametrize("kind", KERAS)
def test_graphs_as_keras_exporters_write_them(kind: str) -> None:
    middle, weights, ops = KERAS[kind]
    report = compile_and_check(nhwc(middle, **weights), "NHWC")
    assert kinds(report) == ops
    assert report.incremental_share == 1


def test_large_constants_are_folded_too() -> None:
    """Weights of 2^16 entries and more, in TensorFlow's order."""
    middle = "d = Conv(r, w1) s = Relu(d) q = Transpose<perm=[3,2,0,1]>(w2) h = Conv(s, q)"
    report = compile_and_check(nchw(middle, w1=(96, 8, 1, 1), w2=(3, 3, 96, 80), fw=(5, 80)))
    assert kinds(report) == ["Conv", "Relu", "Conv", "Relu", "Conv"]


TAILS = {
    "dynamic flatten": (
        (
            "s = Shape(r) i = Cast<to=6>(s) n = Slice(i, o, p, o) q = Squeeze(n, o) j = Unsqueeze(q, o) "
            "l = Concat<axis=0>(j, rest) to = Cast<to=7>(l) z = Reshape(r, to) d = MatMul(z, fw) y = Add(d, fb)"
        ),
        {"o": ints(0), "p": ints(1), "rest": np.array([-1], np.int32), "fw": (2584, 5)},
    ),
    "mean, kept, squeezed": (
        "k = ReduceMean<axes=[1,2], keepdims=1>(r) q = Squeeze(k, s) d = MatMul(q, fw) y = Add(d, fb)",
        {"s": ints(1, 2)},
    ),
}


@pytest.mark.parametrize("kind", TAILS)
def test_heads_as_keras_exporters_write_them(kind: str) -> None:
    tail, weights = TAILS[kind]
    body = f"t = {IN}(x) c = Conv<pads=[1,1,1,1]>(t, w0) u = {OUT}(c) a = Add(u, b0) r = Relu(a) {tail}"
    model = parse(body, image="float[N,17,19,3] x", opset=13, **{**NHWC, **weights})
    assert compile_and_check(model, "NHWC").incremental_share == 1


COMMUTED = {
    "an Inception branch": (
        "p = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(r) d = Conv(p, w1, b1) h = Relu(d)",
        {"b1": (5,)},
        ["Conv", "Relu", "Conv", "AveragePool", "Add", "Relu"],
    ),
    "pads that do not count": (
        "p = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(r) d = Conv(p, w1, b1) h = Relu(d)",
        {"b1": (5,)},
        ["Conv", "Relu", "Conv", "AveragePool", "Relu"],
    ),
    "no bias": (
        "p = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(r) h = Conv(p, w1)",
        {},
        ["Conv", "Relu", "Conv", "AveragePool"],
    ),
    "a DenseNet transition": (
        "d = Conv(r, w1, b1) p = AveragePool<kernel_shape=[2,2], strides=[2,2]>(d) h = Relu(p)",
        {"b1": (5,)},
        ["Conv", "Relu", "AveragePool", "Conv", "Relu"],
    ),
}
LEFT = {
    "more channels": ("p = AveragePool<kernel_shape=[3,3]>(r) d = Conv(p, w1) h = Relu(d)", {"w1": (12, 8, 1, 1)}),
    "a convolution of pixels around": ("p = AveragePool<kernel_shape=[3,3]>(r) h = Conv(p, w1)", {"w1": (5, 8, 3, 3)}),
    "strides": ("p = AveragePool<kernel_shape=[3,3], strides=[2,2]>(r) d = Conv(p, w1) h = Relu(d)", {}),
    "a pool without strides": ("d = Conv(r, w1) h = AveragePool<kernel_shape=[3,3]>(d)", {}),
    "a bias that the pads scale": (
        (
            "d = Conv(r, w1, b1) "
            "h = AveragePool<kernel_shape=[2,2], strides=[2,2], pads=[1,1,1,1], count_include_pad=1>(d)"
        ),
        {"b1": (5,)},
    ),
    "another reader": (
        "p = AveragePool<kernel_shape=[3,3]>(r) d = Conv(p, w1) e = Conv(p, w2) h = Add(d, e)",
        {"w2": (5, 8, 1, 1)},
    ),
}


@pytest.mark.parametrize("kind", COMMUTED)
def test_average_pools_trade_places_with_convolutions(kind: str) -> None:
    middle, weights, expected = COMMUTED[kind]
    report = compile_and_check(nchw(middle, **{"w1": (5, 8, 1, 1), "fw": (5, 5), **weights}))
    assert kinds(report) == expected


@pytest.mark.parametrize("kind", LEFT)
def test_average_pools_that_stay(kind: str) -> None:
    middle, weights = LEFT[kind]
    channels = {"w1": (5, 8, 1, 1), **weights}["w1"][0]
    report = compile_and_check(nchw(middle, **{"w1": (5, 8, 1, 1), "fw": (5, channels), **weights}))
    order = [op for word in middle.split() for op in ("Conv", "AveragePool") if word.startswith((f"{op}(", f"{op}<"))]
    assert [op for op in kinds(report) if op in ("Conv", "AveragePool")] == ["Conv", *order]
