"""A dense region with a norm in it: pixels that the window hides are the baseline's own there, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.graphs import floats, ints, parse
from tests.support.guarded_networks import Guarded, require_exact

SIDE = 16
TOKENS = "c = Conv<strides=[4,4]>(x, w) t = Reshape(c, SHAPE) a = Transpose<perm=[0,2,1]>(t) "
NORM = "n = LayerNormalization<axis=-1, epsilon=1e-12>(z, one, zero) "
HEAD = "m = MatMul(n, u) r = Relu(m) g = ReduceMean<axes=[1], keepdims=0>(r) y = Gemm(g, v)"

BETWEEN = {
    "a class token": "z = Concat<axis=1>(token, a)",
    "a slice of the tokens": "z = Slice(a, STARTS, ENDS, AXIS)",
    "a product of matrices": "z = MatMul(a, p)",
    "a small bias": "z = Add(a, small)",
    "a padded row": 'z = Pad<mode="constant">(a, PADS)',
}


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("number", [0.0, 0.5])
def test_tokens_without_biases(between: str, number: float) -> None:
    """As BEiT, ViT and DeiT are before training: a token of a black patch is a row of zeros, or nearly so."""
    body = f"{TOKENS} {BETWEEN[between]} {NORM} {HEAD}"
    weights = {"w": (8, 3, 4, 4), "p": (8, 8), "u": (8, 8), "v": (8, 5), "one": np.ones(8, np.float32)}
    weights |= {"zero": np.zeros(8, np.float32), "small": floats(*[1e-7] * 8), "token": np.zeros((1, 1, 8), np.float32)}
    weights |= {"SHAPE": ints(0, 8, -1), "STARTS": ints(1), "ENDS": ints(15), "AXIS": ints(1)}
    weights |= {"PADS": ints(0, 1, 0, 0, 0, 0)}
    model = parse(body, image=f"float[N,3,{SIDE},{SIDE}] x", opset=17, **weights)
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, SIDE, SIDE)).astype(np.float32)
    require_exact(Guarded(model, image, np.full_like(image, number), between))
