"""Where a norm is in a dense region, or behind quiet windows: what the window hides is the baseline's own."""

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


@pytest.mark.parametrize("opset", [13, 17])
def test_tokens_behind_a_scaled_branch(opset: int) -> None:
    """As a SwiftFormer begins: of a black window's tokens only the branch is left, 1e-5 of the map around it."""
    body = (
        "c = Conv<strides=[2,2]>(x, w) r = Relu(c) d = Conv<pads=[1,1,1,1], group=8>(r, k) m = Mul(d, scale) "
        "s = Add(r, m) t = Reshape(s, SHAPE) a = Transpose<perm=[0,2,1]>(t) q = MatMul(a, p) "
        "l = ReduceL2<axes=[2]>(q) f = Clip(l, floor) n = Div(q, f) "
        "e = MatMul(n, u) h = Relu(e) z = Transpose<perm=[0,2,1]>(h) g = GlobalAveragePool(z) o = Flatten(g) "
        "y = Gemm(o, v)"
    )
    weights = {"w": (8, 3, 2, 2), "k": (8, 1, 3, 3), "p": (8, 8), "u": (8, 8), "v": (8, 5)}
    weights |= {"scale": floats(1e-5), "floor": floats(1e-12).reshape(()), "SHAPE": ints(0, 8, -1)}
    model = parse(body, image="float[N,3,32,32] x", opset=opset, **weights)
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 32, 32)).astype(np.float32)
    require_exact(Guarded(model, image, np.zeros_like(image), "scaled branch"))


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_quiet_windows_at_every_opset(opset: int) -> None:
    """Windows of zeros alone are counted by ops that all opsets spell alike."""
    body = (
        "c = Conv<strides=[2,2]>(x, w, low) r = Relu(c) k = Conv<pads=[1,1,1,1]>(r, v) "
        "n = LpNormalization<axis=1>(k) h = Relu(n) g = GlobalAveragePool(h) o = Flatten(g) y = Gemm(o, z)"
    )
    weights = {"w": (8, 3, 2, 2), "low": floats(*[-0.2] * 8), "v": (8, 8, 3, 3), "z": (8, 5)}
    model = parse(body, image="float[N,3,32,32] x", opset=opset, **weights)
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 32, 32)).astype(np.float32)
    require_exact(Guarded(model, image, np.zeros_like(image), "quiet windows"))
