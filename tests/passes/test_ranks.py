"""Signals and volumes: every rule that holds for pictures holds for them, and what has none is dense and exact."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from krypton_compile import Report
from tests.passes.graphs import became, compile_and_check, floats, ints, parse, reasons

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw, fb)"
SIGNAL, VOLUME = "float[N,3,41] x", "float[N,3,7,9,10] x"
KERNEL = {SIGNAL: (3,), VOLUME: (3, 3, 3)}
PADS = {SIGNAL: "[1,1]", VOLUME: "[1,1,1,1,1,1]"}


def network(image: str, middle: str, channels: int = 8, **weights) -> onnx.ModelProto:
    """Conv, Relu, the nodes under test from ``r`` to ``h``, and a head."""
    body = f"c = Conv<pads={PADS[image]}>(x, w0, b0) r = Relu(c) {middle} {HEAD}"
    first = (8, 3, *KERNEL[image])
    return parse(body, image=image, w0=first, b0=(8,), fw=(5, channels), fb=(5,), **weights)


def layout(image: str) -> str:
    return "NCL" if image == SIGNAL else "NCDHW"


CONVS = {
    "signal": (SIGNAL, "pads=[1,1]", (6, 8, 3)),
    "signal wide": (SIGNAL, "pads=[7,7]", (6, 8, 15)),
    "signal even stride": (SIGNAL, "strides=[2], pads=[1,2]", (6, 8, 4)),
    "signal stride over kernel": (SIGNAL, "strides=[3]", (6, 8, 2)),
    "signal dilated": (SIGNAL, "dilations=[3], pads=[3,3]", (6, 8, 3)),
    "signal grouped": (SIGNAL, "group=4, pads=[1,1]", (12, 2, 3)),
    "signal depthwise": (SIGNAL, "group=8, pads=[2,2]", (8, 1, 5)),
    "signal same upper": (SIGNAL, 'auto_pad="SAME_UPPER", strides=[2]', (6, 8, 4)),
    "signal 1": (SIGNAL, "strides=[1]", (6, 8, 1)),
    "volume": (VOLUME, "pads=[1,1,1,1,1,1]", (6, 8, 3, 3, 3)),
    "volume uneven": (VOLUME, "pads=[2,0,1,1,2,0]", (6, 8, 4, 3, 2)),
    "volume stride 2": (VOLUME, "strides=[2,2,2], pads=[1,1,1,1,1,1]", (6, 8, 3, 3, 3)),
    "volume downsample": (VOLUME, "strides=[2,2,2]", (6, 8, 1, 1, 1)),
    "volume of slices": (VOLUME, "pads=[0,1,1,0,1,1]", (6, 8, 1, 3, 3)),
    "volume along slices": (VOLUME, "pads=[1,0,0,1,0,0]", (6, 8, 3, 1, 1)),
    "volume pads of slices": (VOLUME, "pads=[1,0,0,2,0,0]", (6, 8, 1, 1, 1)),
    "volume stride over kernel": (VOLUME, "strides=[3,3,3]", (6, 8, 2, 2, 2)),
    "volume dilated": (VOLUME, "dilations=[2,1,3], pads=[2,1,3,2,1,3]", (6, 8, 3, 3, 3)),
    "volume grouped": (VOLUME, "group=4, pads=[1,1,1,1,1,1]", (12, 2, 3, 3, 3)),
    "volume depthwise": (VOLUME, "group=8, pads=[1,1,1,1,1,1]", (8, 1, 3, 3, 3)),
    "volume depthwise of slices": (VOLUME, "group=8, pads=[0,1,1,0,1,1]", (8, 1, 1, 3, 3)),
    "volume same lower": (VOLUME, 'auto_pad="SAME_LOWER", strides=[2,2,3]', (6, 8, 4, 3, 4)),
    "volume valid": (VOLUME, 'auto_pad="VALID"', (6, 8, 3, 3, 3)),
    "volume to one slice": (VOLUME, "pads=[0,1,1,0,1,1]", (6, 8, 7, 3, 3)),
    "volume 1": (VOLUME, "strides=[1,1,1]", (33, 8, 1, 1, 1)),
}


@pytest.mark.parametrize("kind", CONVS)
def test_conv(kind: str) -> None:
    image, attributes, shape = CONVS[kind]
    model = network(image, f"d = Conv<{attributes}>(r, w1) h = Relu(d)", shape[0], w1=shape)
    assert became(compile_and_check(model, layout(image)), "Conv") == {"incremental"}


POOLS = {
    "signal max": (SIGNAL, "MaxPool<kernel_shape=[2], strides=[2]>"),
    "signal max padded": (SIGNAL, "MaxPool<kernel_shape=[3], strides=[2], pads=[1,1], ceil_mode=1>"),
    "signal average": (SIGNAL, "AveragePool<kernel_shape=[3], pads=[1,1]>"),
    "signal average count pads": (
        SIGNAL,
        "AveragePool<kernel_shape=[4], strides=[2], pads=[0,3], count_include_pad=1>",
    ),
    "volume max": (VOLUME, "MaxPool<kernel_shape=[2,2,2], strides=[2,2,2]>"),
    "volume max of slices": (VOLUME, "MaxPool<kernel_shape=[1,2,2], strides=[1,2,2]>"),
    "volume max along slices": (VOLUME, "MaxPool<kernel_shape=[3,1,1], strides=[2,1,1], pads=[1,0,0,0,0,0]>"),
    "volume max padded": (VOLUME, "MaxPool<kernel_shape=[3,3,3], strides=[2,2,2], pads=[1,1,1,1,1,1]>"),
    "volume max ceil": (VOLUME, "MaxPool<kernel_shape=[2,3,3], strides=[2,2,2], ceil_mode=1>"),
    "volume max dilated": (VOLUME, "MaxPool<kernel_shape=[2,2,3], dilations=[3,2,2]>"),
    "volume average": (VOLUME, "AveragePool<kernel_shape=[3,3,3], pads=[1,1,1,1,1,1]>"),
    "volume average ceil": (VOLUME, "AveragePool<kernel_shape=[2,3,3], strides=[2,2,2], ceil_mode=1>"),
    "volume average count pads": (
        VOLUME,
        "AveragePool<kernel_shape=[3,2,3], strides=[2,1,2], pads=[2,0,1,1,1,2], count_include_pad=1>",
    ),
    "volume average same": (VOLUME, 'AveragePool<kernel_shape=[2,3,3], strides=[2,2,2], auto_pad="SAME_UPPER">'),
}


@pytest.mark.parametrize("kind", POOLS)
def test_pools(kind: str) -> None:
    image, pool = POOLS[kind]
    report = compile_and_check(network(image, f"h = {pool}(r)"), layout(image))
    assert became(report, pool.split("<", maxsplit=1)[0]) == {"incremental"}


def per_channel(image: str) -> tuple[int, ...]:
    return (1, 8, *(1,) * len(KERNEL[image]))


NORM = {"s": np.linspace(0.5, 2, 8, dtype=np.float32), "v": np.linspace(0.1, 3, 8, dtype=np.float32)}
SAME = {
    "clip": ("h = Clip(c, lo, hi)", {"lo": np.float32(0), "hi": np.float32(0.6)}),
    "norm": ("h = BatchNormalization(r, s, b, m, v)", {"b": (8,), "m": (8,), **NORM}),
    "constants": ("a = Add(r, k) d = Mul(a, j) e = Div(d, k) h = Sub(k, e)", {"k": floats(0.5), "j": per_channel}),
    "tanh": ("h = Tanh(c)", {}),
    "silu": ("s = Sigmoid(c) h = Mul(c, s)", {}),
    "leaky": ("h = LeakyRelu<alpha=0.2>(c)", {}),
    "prelu": ("h = PRelu(c, k)", {"k": lambda image: per_channel(image)[1:]}),
    "a map by a map": ("s = Sigmoid(r) h = Mul(c, s)", {}),
    "concat": ("d = Conv<pads=PADS>(r, w1) h = Concat<axis=1>(d, r, d)", {"w1": lambda image: (4, 8, *KERNEL[image])}),
    "residual": ("d = Conv<pads=PADS>(r, w1) a = Add(d, r) h = Relu(a)", {"w1": lambda image: (8, 8, *KERNEL[image])}),
    "difference": ("d = Conv<pads=PADS>(r, w1) h = Sub(r, d)", {"w1": lambda image: (8, 8, *KERNEL[image])}),
    "split": ("a, b = Split<axis=1>(r, z) h = Concat<axis=1>(b, a)", {"z": ints(3, 5)}),
    "gather": ("h = Gather<axis=1>(r, i)", {"i": ints(3, 1, 2, 0, -1, 6, 5, 4)}),
    "slice": ("a = Slice(r, s, e, k) h = Concat<axis=1>(a, a)", {"s": ints(2), "e": ints(6), "k": ints(1)}),
    "identity": ("i = Identity(r) h = Dropout(i)", {}),
    "sine": ("h = Sin(c)", {}),
    "max": ("h = Max(r, c)", {}),
    "max of channels": ("h = Max(c, k)", {"k": per_channel}),
    "softmax": ("s = Softmax<axis=1>(c) h = Mul(s, c)", {}),
    "one channel": ("a = ReduceL2<axes=[1]>(r) q = Add(a, k) h = Div(r, q)", {"k": floats(1)}),
}
"""Middles, and weights that are given or made for an image."""


def only_class_vectors_are_dense(report: Report) -> bool:
    return all("class vector" in layer.reason for layer in report.layers if layer.became == "dense")


@pytest.mark.parametrize("image", [SIGNAL, VOLUME])
@pytest.mark.parametrize("kind", SAME)
def test_what_treats_pixels_alike(kind: str, image: str) -> None:
    middle, given = SAME[kind]
    weights = {name: value(image) if callable(value) else value for name, value in given.items()}
    model = network(image, middle.replace("PADS", PADS[image]), 16 if kind == "concat" else 8, **weights)
    assert only_class_vectors_are_dense(compile_and_check(model, layout(image)))


LAST = {SIGNAL: "t = Transpose<perm=[0,2,1]>(r)", VOLUME: "t = Transpose<perm=[0,2,3,4,1]>(r)"}
FIRST = {SIGNAL: "h = Transpose<perm=[0,2,1]>(u)", VOLUME: "h = Transpose<perm=[0,4,1,2,3]>(u)"}
CHANNELS_LAST = {
    "there and back": ("u = Relu(t)", {}),
    "layer norm": ("u = LayerNormalization<epsilon=0.01>(t, s, b)", {"s": NORM["s"], "b": (8,)}),
    "products of pixels": (
        "m = MatMul(t, w1) a = Add(m, b) q = Relu(a) u = MatMul(q, w2)",
        {"w1": (8, 12), "b": (12,), "w2": (12, 8)},
    ),
    "per channel": ("a = Mul(t, s) u = Add(a, b)", {"s": NORM["s"], "b": (8,)}),
}


@pytest.mark.parametrize("image", [SIGNAL, VOLUME])
@pytest.mark.parametrize("kind", CHANNELS_LAST)
def test_channels_last(kind: str, image: str) -> None:
    middle, weights = CHANNELS_LAST[kind]
    model = network(image, f"{LAST[image]} {middle} {FIRST[image]}", **weights)
    assert only_class_vectors_are_dense(compile_and_check(model, layout(image)))


@pytest.mark.parametrize(
    ("image", "pads"),
    [
        (SIGNAL, (0, 0, 2, 0, 0, 1)),
        (SIGNAL, (0, 0, -3, 0, 0, 2)),
        (VOLUME, (0, 0, 0, 1, 2, 0, 0, 0, 1, 0)),
        (VOLUME, (0, 0, 2, 1, 0, 0, 0, 1, 0, 1)),
        (VOLUME, (0, 0, -2, 1, 0, 0, 0, 1, -1, 1)),
        (VOLUME, (0, 0, 1, 0, 0, 0, 0, -3, 0, 0)),
    ],
)
def test_pads(image: str, pads: tuple[int, ...]) -> None:
    weights = {"pads": ints(*pads), "v": np.float32(0.7), "w1": (8, 8, *KERNEL[image])}
    report = compile_and_check(network(image, "p = Pad(r, pads, v) h = Conv(p, w1)", **weights), layout(image))
    assert only_class_vectors_are_dense(report)


TAILS = {
    "signal gemm": (SIGNAL, "f = Flatten(r) y = Gemm(f, w, b)", {"w": (328, 5), "b": (5,)}),
    "signal matmul": (SIGNAL, "f = Reshape(r, s) y = MatMul(f, w)", {"s": ints(-1, 328), "w": (328, 5)}),
    "signal mean": (SIGNAL, "m = ReduceMean<axes=[2], keepdims=0>(r) y = Gemm(m, w)", {"w": (8, 5)}),
    "signal mean, channels last": (
        SIGNAL,
        f"{LAST[SIGNAL]} m = ReduceMean<axes=[-2], keepdims=0>(t) y = Gemm(m, w)",
        {"w": (8, 5)},
    ),
    "signal maximum": (SIGNAL, "m = GlobalMaxPool(r) f = Flatten(m) y = Gemm(f, w)", {"w": (8, 5)}),
    "volume maximum": (VOLUME, "m = ReduceMax<axes=[2,3,4], keepdims=0>(r) y = Gemm(m, w)", {"w": (8, 5)}),
    "volume gemm": (VOLUME, "f = Flatten(r) y = Gemm(f, w, b)", {"w": (5040, 5), "b": (5,)}),
    "volume gemm transposed": (VOLUME, "f = Flatten(r) y = Gemm<transB=1>(f, w)", {"w": (5, 5040)}),
    "volume gemm, channels last": (VOLUME, f"{LAST[VOLUME]} f = Flatten(t) y = Gemm(f, w)", {"w": (5040, 5)}),
    "volume mean": (VOLUME, "m = ReduceMean<axes=[2,3,4], keepdims=0>(r) y = Gemm(m, w)", {"w": (8, 5)}),
    "volume mean kept": (VOLUME, "m = ReduceMean<axes=[-1,-2,-3]>(r) f = Flatten(m) y = Gemm(f, w)", {"w": (8, 5)}),
    "volume softmax": (VOLUME, "m = GlobalAveragePool(r) f = Flatten(m) g = Gemm(f, w) y = Softmax(g)", {"w": (8, 5)}),
    "volume 1x1x1 before the mean": (
        VOLUME,
        "d = Conv(r, w) m = GlobalAveragePool(d) y = Flatten(m)",
        {"w": (5, 8, 1, 1, 1)},
    ),
}


@pytest.mark.parametrize("kind", TAILS)
def test_tails(kind: str) -> None:
    image, tail, weights = TAILS[kind]
    body = f"c = Conv<pads={PADS[image]}>(x, w0) r = Relu(c) {tail}"
    report = compile_and_check(parse(body, image=image, w0=(8, 3, *KERNEL[image]), **weights), layout(image))
    assert only_class_vectors_are_dense(report)


DENSE = {
    "InstanceNormalization": ("n = InstanceNormalization(r, s, b) h = Relu(n)", {"s": (8,), "b": (8,)}),
    "Round": ("h = Round(c)", {}),
    "Mul": ("e = GlobalAveragePool(r) h = Mul(r, e)", {}),
    "Slice": ("h = Slice(r, s, e, a)", {"s": ints(1), "e": ints(5), "a": ints(2)}),
    "CumSum": ("h = CumSum(r, a)", {"a": ints(2)}),
}


@pytest.mark.parametrize("image", [SIGNAL, VOLUME])
@pytest.mark.parametrize("op", DENSE)
def test_what_has_no_rule_is_dense_and_exact(op: str, image: str) -> None:
    middle, weights = DENSE[op]
    report = compile_and_check(network(image, middle, **weights), layout(image))
    assert "dense" in became(report, op)
    assert reasons(report, op)


@pytest.mark.parametrize(
    ("image", "order", "perm"), [("float[N,41,3] x", "NLC", "[0,2,1]"), ("float[N,7,9,10,3] x", "NDHWC", "[0,4,1,2,3]")]
)
def test_images_whose_channels_come_last(image: str, order: str, perm: str) -> None:
    kernel, pads = ((3,), "[1,1]") if order == "NLC" else ((3, 3, 3), "[1,1,1,1,1,1]")
    body = f"t = Transpose<perm={perm}>(x) c = Conv<pads={pads}>(t, w0) h = Relu(c) {HEAD}"
    model = parse(body, image=image, w0=(8, 3, *kernel), fw=(5, 8), fb=(5,))
    assert became(compile_and_check(model, order), "Conv") == {"incremental"}


@pytest.mark.parametrize("chunk", [1, 3, 20, 64])
@pytest.mark.parametrize("image", [SIGNAL, VOLUME])
def test_chunks_of_any_size_give_the_same(image: str, chunk: int) -> None:
    pool = f"MaxPool<kernel_shape={list(KERNEL[image])}, strides={[2] * len(KERNEL[image])}>"
    compile_and_check(network(image, f"h = {pool}(r)"), layout(image), chunk=chunk)
