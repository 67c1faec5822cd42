"""Each rule on a small graph: the node becomes incremental, and the scores stay exact."""

from __future__ import annotations

import numpy as np
import pytest

from krypton_compile import compile
from tests.support.graphs import became, compile_and_check, floats, ints, parse, reasons

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw, fb)"


def network(middle: str, channels: int = 8, **weights):
    """Conv, Relu, the nodes under test from ``r`` to ``h``, and a head."""
    body = f"c = Conv<pads=[1,1,1,1]>(x, w0, b0) r = Relu(c) {middle} {HEAD}"
    return parse(body, w0=(8, 3, 3, 3), b0=(8,), fw=(5, channels), fb=(5,), **weights)


CONVS = {
    "plain": ("pads=[1,1,1,1]", (6, 8, 3, 3)),
    "stride 2": ("strides=[2,2], pads=[1,1,1,1]", (6, 8, 3, 3)),
    "stride over kernel": ("strides=[3,2]", (6, 8, 2, 1)),
    "dilated": ("dilations=[2,3], pads=[2,3,2,3]", (6, 8, 3, 3)),
    "grouped": ("group=4, pads=[1,1,1,1]", (12, 2, 3, 3)),
    "depthwise": ("group=8, pads=[1,1,1,1]", (8, 1, 3, 3)),
    "depthwise multiplier": ("group=8, pads=[1,1,1,1]", (16, 1, 3, 3)),
    "asymmetric pads": ("pads=[0,2,1,0]", (6, 8, 3, 3)),
    "same upper": ('auto_pad="SAME_UPPER", strides=[2,2]', (6, 8, 3, 3)),
    "same lower": ('auto_pad="SAME_LOWER", strides=[2,3]', (6, 8, 4, 4)),
    "valid": ('auto_pad="VALID"', (6, 8, 3, 3)),
    "1x7": ("pads=[0,3,0,3]", (6, 8, 1, 7)),
    "7x1": ("pads=[3,0,3,0]", (6, 8, 7, 1)),
    "1x1": ("strides=[1,1]", (33, 8, 1, 1)),
    "11x11 stride 4": ("strides=[4,4], pads=[2,2,2,2]", (6, 8, 11, 11)),
}


@pytest.mark.parametrize("kind", CONVS)
def test_conv(kind: str) -> None:
    attributes, shape = CONVS[kind]
    after = "h = Relu(d)"  # no mean may trade places with the convolution
    report = compile_and_check(network(f"d = Conv<{attributes}>(r, w1) {after}", shape[0], w1=shape))
    assert became(report, "Conv") == {"incremental"}


MEANS = {
    "plain": ("h = Conv(r, w1, b1)", (6, 8, 1, 1), "dense"),
    "grouped": ("h = Conv<group=2>(r, w1, b1)", (6, 4, 1, 1), "dense"),
    "3x3": ("h = Conv(r, w1, b1)", (6, 8, 3, 3), "incremental"),
    "stride 2": ("h = Conv<strides=[2,2]>(r, w1, b1)", (6, 8, 1, 1), "incremental"),
    "padded": ("h = Conv<pads=[0,1,0,0]>(r, w1, b1)", (6, 8, 1, 1), "incremental"),
    "read twice": ("k = Conv(r, w1, b1) q = Sigmoid(k) h = Mul(k, q)", (6, 8, 1, 1), "incremental"),
}


@pytest.mark.parametrize("kind", MEANS)
def test_a_mean_trades_places_with_the_1x1_convolution_before_it(kind: str) -> None:
    """The convolution is then of one pixel, behind the spatial part."""
    middle, shape, outcome = MEANS[kind]
    report = compile_and_check(network(middle, 6, w1=shape, b1=(6,)))
    assert [layer.became for layer in report.layers if layer.op == "Conv"][-1] == outcome


POOLS = {
    "max": "MaxPool<kernel_shape=[2,2], strides=[2,2]>",
    "max padded": "MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>",
    "max ceil": "MaxPool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>",
    "max dilated": "MaxPool<kernel_shape=[2,3], dilations=[2,2]>",
    "max same": 'MaxPool<kernel_shape=[3,2], strides=[2,2], auto_pad="SAME_UPPER">',
    "average": "AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>",
    "average count pads": "AveragePool<kernel_shape=[3,3], pads=[1,0,1,2], count_include_pad=1>",
    "average same": 'AveragePool<kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_LOWER">',
    "average ceil": "AveragePool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>",
    "average floor count pads": "AveragePool<kernel_shape=[3,2], strides=[2,2], pads=[1,1,1,1], count_include_pad=1>",
    "lp": "LpPool<kernel_shape=[3,3], strides=[2,2]>",
    "lp 1 padded": "LpPool<kernel_shape=[3,3], pads=[1,0,1,2], p=1>",
    "lp 3 same": 'LpPool<kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_LOWER", p=3>',
    "lp 4": "LpPool<kernel_shape=[2,3], pads=[1,1,0,1], p=4>",
}


@pytest.mark.parametrize("kind", POOLS)
def test_pools(kind: str) -> None:
    report = compile_and_check(network(f"h = {POOLS[kind]}(r)"))
    assert became(report, POOLS[kind].split("<", maxsplit=1)[0]) == {"incremental"}


@pytest.mark.parametrize("pool", ["strides=[2,2], ceil_mode=1", "dilations=[2,2], pads=[2,1,1,1], p=3"])
def test_an_lp_pool_of_newer_opsets(pool: str) -> None:
    report = compile_and_check(network(f"h = LpPool<kernel_shape=[3,2], {pool}>(r)", opset=18))
    assert became(report, "LpPool") == {"incremental"}


@pytest.mark.parametrize("power", [8, 32])
def test_powers_that_leave_float32_are_left_to_onnxruntime(power: int) -> None:
    small = f"s = Mul(r, k) i = LpPool<kernel_shape=[3,3], strides=[2,2], p={power}>(s) h = Div(i, k)"
    report = compile_and_check(network(small, k=np.float32(1e-4 if power == 8 else 1)))
    assert f"p = {power}" in reasons(report, "LpPool")


def test_an_lp_pool_whose_windows_are_all_zero_has_no_delta_there() -> None:
    """The root is steepest at 0: a rounding error of a sum would show most where all of a window is cut off."""
    cut = "s = Sub(r, k) z = Relu(s) i = LpPool<kernel_shape=[3,3], p=3>(z) j = Add(i, e) h = Log(j)"
    report = compile_and_check(network(cut, k=np.float32(2), e=np.float32(1e-3)))
    assert became(report, "LpPool") == {"incremental"}


def test_a_divisor_on_which_onnxruntimes_disagree_is_that_of_the_compiling_one() -> None:
    """The compiled file has it as numbers, so that base pass and deltas divide alike in every version."""
    pool = "AveragePool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1, count_include_pad=1>"
    model = network(f"h = {pool}(r)")
    assert became(compile_and_check(model), "AveragePool") == {"incremental"}
    compiled, _ = compile(model, verify=False)
    pools = [node for node in compiled.graph.node if node.op_type == "AveragePool"]
    assert len(pools) == 1
    assert not any(attribute.name == "ceil_mode" and attribute.i for attribute in pools[0].attribute)


NORM = {
    "s": np.linspace(0.5, 2, 8, dtype=np.float32),
    "b": (8,),
    "m": (8,),
    "v": np.linspace(0.1, 3, 8, dtype=np.float32),
}

FUNCTIONS = (
    "Abs,Celu<alpha=0.7>,Elu<alpha=1.3>,Erf,Exp,HardSigmoid<alpha=-0.3>,HardSwish,LeakyRelu<alpha=0.2>,Selu,"
    "Sigmoid,Softplus,Softsign,Tanh"
).split(",")

MIDDLES = {
    "relu twice": ("h = Relu(c)", {}),
    "clip": ("h = Clip(c, lo, hi)", {"lo": np.float32(0), "hi": np.float32(0.6)}),
    "clip without bounds": ("h = Clip(c)", {}),
    "clip from below": ("h = Clip(c, lo)", {"lo": np.float32(-0.2)}),
    "norm after": (
        "d = Conv<pads=[1,1,1,1]>(r, w1) h = BatchNormalization(d, s, b, m, v)",
        {"w1": (8, 8, 3, 3), **NORM},
    ),
    "norm before": (
        "n = BatchNormalization(r, s, b, m, v) h = Conv<pads=[1,1,1,1]>(n, w1)",
        {"w1": (8, 8, 3, 3), **NORM},
    ),
    "residual": ("d = Conv<pads=[1,1,1,1]>(r, w1) a = Add(d, r) h = Relu(a)", {"w1": (8, 8, 3, 3)}),
    "difference": ("d = Conv<pads=[2,2,2,2]>(r, w1) h = Sub(r, d)", {"w1": (8, 8, 5, 5)}),
    "add constants": ("a = Add(r, k) h = Sub(a, j)", {"k": floats(0.5), "j": (1, 8, 1, 1)}),
    "constant first": ("h = Add(k, r)", {"k": (1, 8, 1, 1)}),
    "add a map": ("h = Add(r, k)", {"k": (1, 8, 17, 19)}),
    "from a constant": ("h = Sub(k, r)", {"k": (1, 8, 1, 1)}),
    "negative": ("h = Neg(r)", {}),
    "scale": ("a = Mul(r, k) h = Div(a, j)", {"k": (8, 1, 1), "j": np.float32(3)}),
    "concat": ("d = Conv<pads=[1,1,1,1]>(r, w1) h = Concat<axis=1>(d, r, d)", {"w1": (4, 8, 3, 3)}),
    "concat branches": (
        "d = Conv(r, w1) e = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(r) h = Concat<axis=-3>(d, e)",
        {"w1": (8, 8, 1, 1)},
    ),
    **{call: (f"h = {call}(c)", {}) for call in FUNCTIONS},
    "silu": ("s = Sigmoid(c) h = Mul(c, s)", {}),
    "silu the other way round": ("s = Sigmoid(c) h = Mul(s, c)", {}),
    "silu whose gate is used too": ("s = Sigmoid(c) u = Mul(c, s) h = Add(u, s)", {}),
    "a map by a map": ("d = Conv<pads=[2,2,2,2]>(r, w1) s = Sigmoid(d) h = Mul(r, s)", {"w1": (8, 8, 5, 5)}),
    "a square": ("h = Mul(c, c)", {}),
    "gelu": (
        "a = Div(c, k) e = Erf(a) u = Add(e, j) v = Mul(c, u) h = Mul(v, i)",
        {"k": floats(1.4142135), "j": floats(1), "i": floats(0.5)},
    ),
    "prelu": ("h = PRelu(c, k)", {"k": (8, 1, 1)}),
    "prelu of one slope": ("h = PRelu(c, k)", {"k": np.float32(0.3)}),
    "logarithm": ("a = Abs(c) b = Add(a, k) h = Log(b)", {"k": floats(2)}),
    "root": ("a = Abs(c) b = Add(a, k) h = Sqrt(b)", {"k": floats(2)}),
    "reciprocal": ("a = Abs(c) b = Add(a, k) h = Reciprocal(b)", {"k": floats(2)}),
    "split": ("a, b = Split<axis=1>(r) h = Concat<axis=1>(b, a)", {}),
    "uneven split": ("a, b = Split<axis=1>(r, z) h = Concat<axis=1>(b, a)", {"z": ints(3, 5)}),
    "gather": ("h = Gather<axis=1>(r, i)", {"i": ints(3, 1, 2, 0, -1, 6, 5, 4)}),
    "gather of one axis from behind": ("h = Gather<axis=-3>(r, i)", {"i": ints(2, 2, 0, 1, 4, 4, 7, 7)}),
    "slice": ("a = Slice(r, s, e, k) h = Concat<axis=1>(a, a)", {"s": ints(2), "e": ints(6), "k": ints(1)}),
    "slice with steps": (
        "a = Slice(r, s, e, k, t) h = Concat<axis=1>(a, a)",
        {"s": ints(-1), "e": ints(-99), "k": ints(-3), "t": ints(-2)},
    ),
    "slice to the end": (
        "a = Slice(r, s, e, k) h = Concat<axis=1>(a, a)",
        {"s": ints(4), "e": ints(2**62), "k": ints(1)},
    ),
    "channel shuffle": (
        "a = Reshape(r, s) b = Transpose<perm=[0,2,1,3,4]>(a) h = Reshape(b, t)",
        {"s": ints(1, 2, 4, 17, 19), "t": ints(1, 8, 17, 19)},
    ),
    "layer norm": (
        (
            "t = Transpose<perm=[0,2,3,1]>(r) n = LayerNormalization<epsilon=0.01>(t, k, b) "
            "h = Transpose<perm=[0,3,1,2]>(n)"
        ),
        {"k": NORM["s"], "b": (8,)},
    ),
    "products of pixels": (
        (
            "t = Transpose<perm=[0,2,3,1]>(r) n = MatMul(t, w1) a = Add(n, b) u = Relu(a) v = MatMul(u, w2) "
            "h = Transpose<perm=[0,3,1,2]>(v)"
        ),
        {"w1": (8, 12), "b": (12,), "w2": (12, 8)},
    ),
    "lrn": ("h = LRN<size=5, alpha=0.3, beta=0.75, bias=2.0>(r)", {}),
    "pad": ("p = Pad(r, pads) h = Conv(p, w1)", {"pads": ints(0, 0, 1, 2, 0, 0, 1, 0), "w1": (8, 8, 3, 3)}),
    "pad with a value": (
        "p = Pad(r, pads, v) h = Conv(p, w1)",
        {"pads": ints(0, 0, 1, 2, 0, 0, 1, 0), "v": np.float32(0.7), "w1": (8, 8, 3, 3)},
    ),
    "crop": ("p = Pad(r, pads) h = Conv(p, w1)", {"pads": ints(0, 0, -2, 1, 0, 0, 1, -3), "w1": (8, 8, 3, 3)}),
    "there and back": ("t = Transpose<perm=[0,2,3,1]>(r) u = Relu(t) h = Transpose<perm=[0,3,1,2]>(u)", {}),
    "nhwc add": (
        "t = Transpose<perm=[0,2,3,1]>(r) u = Add(t, k) v = Mul(u, k) h = Transpose<perm=[0,3,1,2]>(v)",
        {"k": (8,)},
    ),
    "identity": ("i = Identity(r) h = Dropout(i)", {}),
}
WIDTHS = {"concat": 16, "concat branches": 16}


@pytest.mark.parametrize("kind", MIDDLES)
def test_pointwise_and_layout(kind: str) -> None:
    middle, weights = MIDDLES[kind]
    report = compile_and_check(network(middle, WIDTHS.get(kind, 8), **weights))
    spatial = [layer for layer in report.layers if layer.became == "dense" and "class vector" not in layer.reason]
    assert not spatial


TAILS = {
    "flatten gemm": ("f = Flatten(r) y = Gemm(f, w, b)", {"w": (2584, 5), "b": (5,)}),
    "flatten gemm transposed": ("f = Flatten(r) y = Gemm<transB=1>(f, w, b)", {"w": (5, 2584), "b": (5,)}),
    "gemm with factors": ("f = Flatten(r) y = Gemm<alpha=0.5, beta=3.0>(f, w, b)", {"w": (2584, 5), "b": (5,)}),
    "reshape matmul": ("f = Reshape(r, s) y = MatMul(f, w)", {"s": ints(-1, 2584), "w": (2584, 5)}),
    "reshape batch one": (
        "f = Reshape(r, s) m = MatMul(f, w) y = Add(m, b)",
        {"s": ints(1, -1), "w": (2584, 5), "b": (5,)},
    ),
    "nhwc flatten": (
        "t = Transpose<perm=[0,2,3,1]>(r) f = Flatten(t) y = Gemm(f, w, b)",
        {"w": (2584, 5), "b": (5,)},
    ),
    "two layers": ("f = Flatten(r) g = Gemm(f, w) h = Relu(g) y = Gemm(h, v)", {"w": (2584, 7), "v": (7, 5)}),
    "reduce mean": ("m = ReduceMean<axes=[2,3], keepdims=0>(r) y = Gemm(m, w)", {"w": (8, 5)}),
    "reduce mean kept": ("m = ReduceMean<axes=[-1,-2], keepdims=1>(r) f = Flatten(m) y = Gemm(f, w)", {"w": (8, 5)}),
    "reduce mean nhwc": (
        "t = Transpose<perm=[0,2,3,1]>(r) m = ReduceMean<axes=[1,2], keepdims=0>(t) y = Gemm(m, w)",
        {"w": (8, 5)},
    ),
    "softmax": ("m = GlobalAveragePool(r) f = Flatten(m) g = Gemm(f, w) y = Softmax<axis=1>(g)", {"w": (8, 5)}),
    "sigmoid": ("m = GlobalAveragePool(r) f = Flatten(m) g = Gemm(f, w) y = Sigmoid(g)", {"w": (8, 5)}),
    "full map average": ("a = AveragePool<kernel_shape=[17,19]>(r) f = Flatten(a) y = Gemm(f, w)", {"w": (8, 5)}),
    "scores of rank 4": ("c2 = Conv(r, w) y = GlobalAveragePool(c2)", {"w": (5, 8, 1, 1)}),
}


@pytest.mark.parametrize("kind", TAILS)
def test_tails(kind: str) -> None:
    tail, weights = TAILS[kind]
    scores = "float[N,5,1,1] y" if "rank 4" in kind else "float[N,5] y"
    model = parse(f"c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) {tail}", scores=scores, w0=(8, 3, 3, 3), **weights)
    report = compile_and_check(model)
    first = report.layers[-1] if len(report.layers) < 4 else report.layers[3]
    assert first.became == "incremental" or "class vector" in first.reason


def test_reduce_mean_with_axes_as_an_input() -> None:
    model = parse(
        "c = Conv(x, w0) r = Relu(c) m = ReduceMean<keepdims=0>(r, a) y = Gemm(m, w)",
        opset=18,
        w0=(8, 3, 3, 3),
        w=(8, 5),
        a=ints(2, 3),
    )
    assert became(compile_and_check(model), "ReduceMean") == {"incremental"}


def test_nhwc_image() -> None:
    model = parse(
        f"t = Transpose<perm=[0,3,1,2]>(x) c = Conv<pads=[1,1,1,1]>(t, w0) h = Relu(c) {HEAD}",
        image="float[N,17,19,3] x",
        w0=(8, 3, 3, 3),
        fw=(5, 8),
        fb=(5,),
    )
    assert became(compile_and_check(model, "NHWC"), "Conv") == {"incremental"}


@pytest.mark.parametrize("chunk", [1, 3, 7, 19, 64])
def test_chunks_of_any_size_give_the_same(chunk: int) -> None:
    compile_and_check(network("h = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)"), chunk=chunk)


def test_an_old_opset_is_converted() -> None:
    model = parse(
        "c = Conv<pads=[1,1,1,1]>(x, w0) h = Clip<min=0.0, max=0.5>(c) g = GlobalAveragePool(h) f = Flatten(g) "
        "y = Gemm<transB=1>(f, fw, fb)",
        opset=9,
        w0=(8, 3, 3, 3),
        fw=(5, 8),
        fb=(5,),
    )
    assert became(compile_and_check(model), "Clip") == {"incremental"}
