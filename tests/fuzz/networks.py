"""Small networks that between them have what real ones have: what is mutated."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx

from tests.support.graphs import floats, ints, parse
from tests.support.small import small_model

_IMAGE = "float[N,3,12,13] x"


@cache
def networks() -> dict[str, onnx.ModelProto]:
    """All of them by name; who changes one copies it first."""
    made = {"small": small_model(), "branches": _branches(), "old": _old(), "mobile": _mobile(), "next": _next()}
    return {**made, "shuffle": _shuffle(), "dense": _dense(), "shapes": _shapes()}


def _branches() -> onnx.ModelProto:
    text = (
        "a = Conv<pads=[1,1,1,1]>(x, w0, b0) n = BatchNormalization<epsilon=0.001>(a, s, s, m, v) r = Relu(n) "
        "p = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], ceil_mode=1>(r) "
        "c = Conv<kernel_shape=[3,3], pads=[2,2,2,2], dilations=[2,2], group=2>(p, w1) q = Relu(c) d = Add(q, p) "
        "e = AveragePool<kernel_shape=[2,2], count_include_pad=1, pads=[0,0,1,1]>(d) "
        'f = Conv<auto_pad="SAME_UPPER", strides=[2,1]>(d, w2) g = MaxPool<kernel_shape=[1,2], strides=[2,1]>(d) '
        "h = Concat<axis=1>(f, f) i = Clip(h, low, high) j = GlobalAveragePool(i) k = Flatten(j) "
        "l = GlobalAveragePool(e) m1 = Flatten(l) o = Concat<axis=1>(k, m1) y = Gemm<alpha=0.5>(o, fw, fb)"
    )
    weights = {"w0": (8, 3, 3, 3), "b0": (8,), "w1": (8, 4, 3, 3), "w2": (4, 8, 2, 2), "fw": (16, 5), "fb": (5,)}
    norm = {"s": np.linspace(0.5, 1, 8, dtype=np.float32), "m": (8,), "v": np.linspace(0.5, 2, 8, dtype=np.float32)}
    return parse(text, image=_IMAGE, **weights, **norm, low=np.float32(0), high=np.float32(6))


def _old() -> onnx.ModelProto:
    text = (
        "a = Conv(x, w0) b = LRN<size=3>(a) c = Clip<min=0.0, max=6.0>(b) d = Dropout(c) "
        "e = Reshape(d, shape) f = MatMul(e, fw) g = Add(f, fb) y = Softmax(g)"
    )
    weights = {"w0": (4, 3, 3, 3), "fw": (4 * 10 * 11, 5), "fb": (1, 5), "shape": ints(-1, 440)}
    return parse(text, image=_IMAGE, opset=9, **weights)


def _mobile() -> onnx.ModelProto:
    text = (
        "a = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w0) b = HardSwish(a) c = Conv<group=6, pads=[1,1,1,1]>(b, w1) "
        "d = Sigmoid(c) e = Mul(c, d) f = GlobalAveragePool(e) g = Conv(f, w2) h = HardSigmoid(g) i = Mul(e, h) "
        "j = Mul(i, k) l = ReduceMean<axes=[2,3], keepdims=0>(j) m = Gemm<transB=1>(l, fw) y = Softmax<axis=-1>(m)"
    )
    weights = {"w0": (6, 3, 3, 3), "w1": (6, 1, 3, 3), "w2": (6, 6, 1, 1), "k": (1, 6, 1, 1), "fw": (5, 6)}
    return parse(text, image=_IMAGE, **weights)


def _next() -> onnx.ModelProto:
    text = (
        "t = Transpose<perm=[0,3,1,2]>(x) a = Conv<strides=[2,2]>(t, w0) b = Transpose<perm=[0,2,3,1]>(a) "
        "c = LayerNormalization<axis=-1, epsilon=0.00001>(b, s) d = MatMul(c, w1) e = Add(d, b1) f = LeakyRelu(e) "
        "g = MatMul(f, w2) h = Add(g, c) i = Transpose<perm=[0,3,1,2]>(h) j = PRelu(i, slope) "
        "k = GlobalAveragePool(j) l = Flatten(k) y = Gemm(l, fw)"
    )
    weights = {"w0": (6, 3, 2, 2), "s": (6,), "w1": (6, 12), "b1": (12,), "w2": (12, 6), "slope": (6, 1, 1)}
    return parse(text, image="float[N,12,13,3] x", **weights, fw=(6, 5))


def _shuffle() -> onnx.ModelProto:
    text = (
        "p = Pad(x, pads) a = Conv(p, w0) b, c = Split<axis=1>(a, sizes) d = Conv(b, w1) e = Tanh(d) "
        "f = Concat<axis=1>(c, e) g = Reshape(f, apart) h = Transpose<perm=[0,2,1,3,4]>(g) i = Reshape(h, together) "
        "j = Gather<axis=1>(i, chosen) k = Slice(j, from, to, axis) l = Sub(k, one) m = Div(l, two) "
        "n = Flatten(m) y = Gemm(n, fw, fb)"
    )
    weights = {"w0": (8, 3, 3, 3), "w1": (4, 4, 1, 1), "fw": (4 * 12 * 13, 5), "fb": (5,)}
    shapes = {"pads": ints(0, 0, 1, 1, 0, 0, 1, 1), "sizes": ints(4, 4), "apart": ints(1, 2, 4, 12, 13)}
    shapes |= {"together": ints(1, 8, 12, 13), "chosen": ints(7, 0, 3, 3, 1, 2), "from": ints(1), "to": ints(5)}
    return parse(text, image=_IMAGE, **weights, **shapes, axis=ints(1), one=np.float32(1), two=np.float32(2))


def _dense() -> onnx.ModelProto:
    text = (
        "a = Conv(x, w0) b = InstanceNormalization<epsilon=0.5>(a, s, s) c = ConvTranspose<strides=[2,2]>(b, w1) "
        'd = Resize<mode="nearest">(c, , scales) e = Relu(d) f = GlobalMaxPool(e) g = Squeeze(f, axes) '
        "y = Gemm(g, fw)"
    )
    weights = {"w0": (4, 3, 3, 3), "w1": (4, 4, 2, 2), "fw": (4, 5), "s": (4,)}
    return parse(text, image=_IMAGE, **weights, scales=floats(1, 1, 2, 2), axes=ints(2, 3))


def _shapes() -> onnx.ModelProto:
    text = (
        "a = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(a) s = Shape(r) zero = Constant<value_ints=[0]>() "
        "n = Gather(s, zero) rest = Constant<value_ints=[-1]>() t = Concat<axis=0>(n, rest) f = Reshape(r, t) "
        "i = Identity(f) g = Gemm(i, fw) e = Exp(g) one = Constant<value_ints=[1]>() "
        "u = ReduceSum<keepdims=1>(e, one) y = Div(e, u)"
    )
    return parse(text, image=_IMAGE, w0=(3, 3, 3, 3), fw=(3 * 12 * 13, 5))
