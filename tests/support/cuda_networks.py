"""Networks that are compiled for the CUDA provider: every op that has a kernel for the GPU is in one of them."""

from __future__ import annotations

import numpy as np

from tests.support.graphs import floats, ints, parse

NETWORKS = {
    "residual": parse(
        "a = Conv<pads=[3,3,3,3], strides=[2,2]>(x, w1, b) b1 = Relu(a) "
        "p = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(b1) "
        "c = Conv<pads=[1,1,1,1]>(p, w2) d = Relu(c) e = Conv<pads=[1,1,1,1]>(d, w2) f = Add(e, p) g = Relu(f) "
        "h = GlobalAveragePool(g) i = Flatten(h) y = Gemm<transB=1>(i, fw)",
        image="float[N,3,45,52] x",
        w1=(16, 3, 7, 7),
        b=floats(*[0.1] * 16),
        w2=(16, 16, 3, 3),
        fw=(5, 16),
    ),
    "inception": parse(
        "a = Conv<pads=[1,1,1,1]>(x, w1) r = Relu(a) c = Conv(r, w2) d = Conv<pads=[0,3,0,3]>(r, w3) "
        "p = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(r) q = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(r) "
        "e = Concat<axis=1>(c, d, p, q) f = Clip(e, lo, hi) g = Flatten(f) y = Gemm<transB=1>(g, fw)",
        w1=(8, 3, 3, 3),
        w2=(12, 8, 1, 1),
        w3=(6, 8, 1, 7),
        lo=np.array(0, np.float32),
        hi=np.array(6, np.float32),
        fw=(5, 34 * 17 * 19),
    ),
    "mobile": parse(
        "a = Conv(x, w1) b = HardSwish(a) c = Conv<group=24, pads=[1,1,1,1], strides=[2,2]>(b, w2) d = Sigmoid(c) "
        "e = Conv<group=4>(d, w3) f = LRN<size=3>(e) g = Softmax<axis=1>(f) h = ReduceMean<keepdims=0>(g, axes) "
        "y = Gemm<transB=1>(h, fw)",
        opset=18,
        w1=(24, 3, 1, 1),
        w2=(24, 1, 3, 3),
        w3=(16, 6, 1, 1),
        axes=ints(2, 3),
        fw=(5, 16),
    ),
    "gate": parse(  # dense from the product on
        "a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) m = GlobalAveragePool(b) s = Conv(m, w2) g = Sigmoid(s) "
        "c = Mul(b, g) d = Conv<pads=[1,1,1,1]>(c, w3) e = Relu(d) f = GlobalMaxPool(e) h = Flatten(f) "
        "y = Gemm<transB=1>(h, fw)",
        w1=(8, 3, 3, 3),
        w2=(8, 8, 1, 1),
        w3=(8, 8, 3, 3),
        fw=(5, 8),
    ),
}
