"""Random networks of guards, norms and poolings, and pictures on which these are ill-conditioned.

A guard is a small number that keeps a division, a logarithm or a root from its pole. Channels die (their Relu gives
nothing but zeros), biases vanish, and pictures are black, constant or saturated in part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import numpy_helper

from krypton_compile import compile
from tests.support.graphs import ints, parse, random_boxes, run_compiled, run_naive

SIZE = 14
CHANNELS = 4
RELU = 9
"""The number of the layer whose Relu some channels never pass."""
BOUND = 1e-5
NOISE = 2
"""A network that amplifies rounding may differ by so many times what its rounding moves it by."""
DRAWS = 16
"""How often that is tried: it is the numbers by chance near a pole that move, and each draw meets others."""
EPSILONS = (1e-2, 1e-5, 1e-8, 1e-12)

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Guarded:
    """A network, and what it is tried on."""

    model: onnx.ModelProto = field(repr=False)
    image: np.ndarray = field(repr=False)
    baseline: np.ndarray = field(repr=False)
    title: str


LOCAL: dict[str, str] = {
    "normalize": "n = ReduceL2(IN, AXIS) g = Clip(n, EPS) OUT = Div(IN, g)",
    "normalize features": "r = Relu(IN) n = ReduceL2(r, AXIS) g = Clip(n, EPS) OUT = Div(r, g)",
    "normalize by max": "n = ReduceL2(IN, AXIS) g = Max(n, EPS) OUT = Div(IN, g)",
    "over sum": "r = Abs(IN) s = ReduceSum(r, AXIS) g = Add(s, EPS) OUT = Div(IN, g)",
    "features over their sum": "r = Relu(IN) s = ReduceSum(r, AXIS) g = Add(s, EPS) OUT = Div(r, g)",
    "over square root": "q = Mul(IN, IN) s = ReduceSum(q, AXIS) g = Add(s, EPS) d = Sqrt(g) OUT = Div(IN, d)",
    "rms": "q = Mul(IN, IN) s = ReduceMean(q, AXIS) g = Add(s, EPS) d = Sqrt(g) i = Reciprocal(d) OUT = Mul(IN, i)",
    "layer norm by hand": "m = ReduceMean(IN, AXIS) c = Sub(IN, m) q = Mul(c, c) v = ReduceMean(q, AXIS) "
    "g = Add(v, EPS) d = Sqrt(g) OUT = Div(c, d)",
    "layer norm": "t = Transpose<perm=[0,2,3,1]>(IN) n = LayerNormalization<axis=-1,epsilon=1e-12>(t, SCALE) "
    "OUT = Transpose<perm=[0,3,1,2]>(n)",
    "layer norm with shift": "t = Transpose<perm=[0,2,3,1]>(IN) "
    "n = LayerNormalization<axis=-1,epsilon=1e-6>(t, SCALE, SHIFT) OUT = Transpose<perm=[0,3,1,2]>(n)",
    "logarithm": "a = Abs(IN) g = Add(a, EPS) OUT = Log(g)",
    "root": "a = Abs(IN) g = Add(a, EPS) OUT = Sqrt(g)",
    "signed root": "s = Sign(IN) a = Abs(IN) g = Add(a, EPS) r = Sqrt(g) OUT = Mul(s, r)",
    "power": "a = Abs(IN) g = Clip(a, EPS) OUT = Pow(g, HALF)",
    "softmax by hand": "m = ReduceMax(IN, AXIS) c = Sub(IN, m) x = Exp(c) s = ReduceSum(x, AXIS) OUT = Div(x, s)",
    "leaky by where": "p = Greater(IN, ZERO) l = Mul(IN, TENTH) OUT = Where(p, IN, l)",
    "where above": "p = GreaterOrEqual(IN, TENTH) OUT = Where(p, IN, ZERO)",
    "masked": "p = Greater(IN, TENTH) f = Cast<to=1>(p) OUT = Mul(IN, f)",
    "features": "OUT = Relu(IN)",
    "hard swish": "OUT = HardSwish(IN)",
    "gate": "s = Sigmoid(IN) OUT = Mul(IN, s)",
    "largest features": "r = Relu(IN) OUT = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(r)",
    "mean features": "r = Relu(IN) OUT = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(r)",
    "depthwise": "r = Relu(IN) OUT = Conv<group=4,pads=[1,1,1,1]>(r, DEEP)",
    "residual": "r = Relu(IN) c = Conv<pads=[1,1,1,1]>(r, FULL) OUT = Add(IN, c)",
    "features of pixels": "r = Relu(IN) t = Transpose<perm=[0,2,3,1]>(r) m = MatMul(t, DENSE) "
    "OUT = Transpose<perm=[0,3,1,2]>(m)",
}
"""Functions of neighbourhoods; IN, OUT, EPS and the like are replaced, and other names get the layer's number."""

WHOLE: dict[str, str] = {
    "instance norm": "OUT = InstanceNormalization<epsilon=1e-5>(IN, SCALE, SHIFT)",
    "over the largest": "r = Relu(IN) m = ReduceMax(r, PLANE) g = Add(m, EPS) OUT = Div(r, g)",
    "over the sum": "r = Relu(IN) m = ReduceSum(r, PLANE) g = Add(m, EPS) OUT = Div(r, g)",
    "standardized": "m = ReduceMean(IN, ALL) c = Sub(IN, m) q = Mul(c, c) v = ReduceMean(q, ALL) "
    "d = Sqrt(v) g = Add(d, EPS) OUT = Div(c, g)",
    "between least and largest": "l = ReduceMin(IN, ALL) u = ReduceMax(IN, ALL) c = Sub(IN, l) "
    "w = Sub(u, l) g = Add(w, EPS) OUT = Div(c, g)",
}
"""Functions of the whole picture: dense from there on."""

HEADS: dict[str, str] = {
    "average": "g = GlobalAveragePool(IN) OUT = Flatten(g)",
    "gem": "c = Clip(IN, EPS) p = Pow(c, THREE) m = ReduceMean(p, PLANE) r = Pow(m, THIRD) OUT = Flatten(r)",
    "l2 pool": "q = Mul(IN, IN) m = GlobalAveragePool(q) r = Sqrt(m) OUT = Flatten(r)",
    "log pool": "m = GlobalAveragePool(IN) g = Add(m, EPS) r = Log(g) OUT = Flatten(r)",
    "normalized": "g = GlobalAveragePool(IN) f = Flatten(g) n = ReduceL2(f, AXIS) c = Clip(n, EPS) OUT = Div(f, c)",
    "share": "m = ReduceSum(IN, PLANE) s = ReduceSum(m, AXIS) g = Add(s, EPS) r = Div(m, g) OUT = Flatten(r)",
}

OPS = frozenset("Abs Add Clip Div Exp Log Max Mul Pow Relu Sign Sqrt Sub Where".split())


@st.composite
def guarded_networks(draw: st.DrawFn) -> Guarded:
    """Draw a network, an image and a baseline."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights: Weights = {
        "EPS": np.float32(draw(st.sampled_from(EPSILONS))),
        "AXIS": ints(1),
        "PLANE": ints(2, 3),
        "ALL": ints(1, 2, 3),
        "SCALE": rng.uniform(0.5, 2, CHANNELS).astype(np.float32),
        "SHIFT": rng.uniform(-1, 1, CHANNELS).astype(np.float32),
        "DEEP": (rng.standard_normal((CHANNELS, 1, 3, 3)) / 3).astype(np.float32),
        "FULL": (rng.standard_normal((CHANNELS, CHANNELS, 3, 3)) / 6).astype(np.float32),
        "DENSE": (rng.standard_normal((CHANNELS, CHANNELS)) / 2).astype(np.float32),
        "HALF": np.float32(0.45),
        "THREE": np.float32(3),
        "THIRD": np.float32(1 / 3),
        "ZERO": np.float32(0),
        "TENTH": np.float32(0.1),
    }
    layers = draw(st.lists(st.sampled_from(sorted(LOCAL)), min_size=0, max_size=3))
    whole = draw(st.sampled_from([None, None, *sorted(WHOLE)]))
    head = draw(st.sampled_from(sorted(HEADS)))
    text, value = [], "x"
    for number, name in enumerate([*layers, *([whole] if whole else [])]):
        text.append(_conv(draw, rng, weights, value, number))
        text.append(_layer({**LOCAL, **WHOLE}[name], f"c{number}", f"l{number}", f"k{number}_"))
        value = f"l{number}"
    text.append(_conv(draw, rng, weights, value, RELU) + f" r = Relu(c{RELU})")
    text.append(_layer(HEADS[head], "r", "h", "h_") + " y = Gemm(h, fw)")
    weights["fw"] = rng.standard_normal((CHANNELS, 5)).astype(np.float32)
    body = " ".join(text)
    used = {name: array for name, array in weights.items() if name in body.replace(",", " ").replace(")", " ").split()}
    used |= {name: array for name, array in weights.items() if f"{name})" in body or f"{name}," in body}
    model = parse(body, image=f"float[N,3,{SIZE},{SIZE}] x", opset=18, **used)
    image = _picture(draw, rng)
    baseline = draw(st.sampled_from([0.0, 1.0, 0.5, None]))
    shown = np.full_like(image, 0) if baseline is None else np.full_like(image, baseline)
    if baseline is None:
        shown[0] = rng.uniform(0, 1, (3, 1, 1))
    return Guarded(model, image, shown, f"{layers} {whole} {head}")


def _layer(spelling: str, source: str, result: str, prefix: str) -> str:
    """The spelling with its own names numbered."""
    own = {word for word in spelling.replace("(", " ").replace(")", " ").replace(",", " ").split() if word.islower()}
    own = {word for word in own if f"{word} =" in spelling and len(word) == 1}
    for word in sorted(own):
        for before, after in ((" ", " ="), ("(", ","), ("(", ")"), (" ", ","), (" ", ")")):
            spelling = spelling.replace(f"{before}{word}{after}", f"{before}{prefix}{word}{after}")
        if spelling.startswith(f"{word} ="):
            spelling = prefix + spelling
    return spelling.replace("IN", source).replace("OUT", result)


def _conv(draw: st.DrawFn, rng: np.random.Generator, weights: Weights, source: str, number: int) -> str:
    inputs = 3 if source == "x" else CHANNELS
    filters = rng.standard_normal((CHANNELS, inputs, 3, 3)) * np.sqrt(2 / (9 * inputs))
    bias = rng.standard_normal(CHANNELS) * draw(st.sampled_from([0.0, 0.0, 0.1]))
    if number == RELU and draw(st.booleans()):
        bias[: draw(st.integers(1, CHANNELS))] -= 100  # dead
    weights[f"w{number}"], weights[f"b{number}"] = filters.astype(np.float32), bias.astype(np.float32)
    bias_input = f", b{number}" if bias.any() else ""
    return f"c{number} = Conv<pads=[1,1,1,1]>({source}, w{number}{bias_input})"


def _picture(draw: st.DrawFn, rng: np.random.Generator) -> np.ndarray:
    """Random, constant, black or white, black with something bright, half black, saturated."""
    noise = rng.uniform(0, 1, (1, 3, SIZE, SIZE)).astype(np.float32)
    made: dict[str, Callable[[], np.ndarray]] = {
        "random": lambda: noise,
        "constant": lambda: np.full_like(noise, 0.3),
        "black": lambda: np.zeros_like(noise),
        "white": lambda: np.ones_like(noise),
        "bright spot": lambda: _inside(noise),
        "half black": lambda: np.where(np.arange(SIZE) < SIZE // 2, np.float32(0), noise),
        "saturated": lambda: np.round(noise),
    }
    return made[draw(st.sampled_from(sorted(made)))]().astype(np.float32)


def _inside(noise: np.ndarray) -> np.ndarray:
    picture = np.zeros_like(noise)
    picture[..., 4:9, 5:10] = noise[..., 4:9, 5:10]
    return picture


def require_exact(made: Guarded) -> None:
    """The compiled file's scores on boxes, the whole picture among them, are onnxruntime's."""
    compiled, _ = compile(made.model, verify=False)
    boxes = random_boxes((SIZE, SIZE), np.random.default_rng(1), 8)
    boxes = np.concatenate([boxes, np.array([[4, 5, 5, 5], [3, 4, 8, 8], [0, SIZE // 2, SIZE, SIZE // 2]], np.int32)])
    occluded = np.repeat(made.image, len(boxes), axis=0)
    for row, (y, x, h, w) in enumerate(boxes):
        occluded[row, :, y : y + h, x : x + w] = made.baseline[0, :, y : y + h, x : x + w]
    expected = run_naive(made.model, occluded)
    answered = np.isfinite(expected).all(axis=1)
    boxes, occluded, expected = boxes[answered], occluded[answered], expected[answered]
    if not answered.any():
        return
    names = [value.name for value in compiled.graph.input]
    found = run_compiled(compiled, {names[0]: made.image, names[1]: boxes, names[2]: made.baseline})[0]
    assert np.isfinite(found).all(), f"box {boxes[~np.isfinite(found).all(axis=1)][0]}"
    scale = np.abs(expected).max()
    error = np.abs(found - expected).max(axis=1)
    for row in np.flatnonzero(error > BOUND * scale):
        allowed = BOUND * scale + NOISE * own_noise(made.model, occluded[row : row + 1], expected[row])
        assert error[row] <= allowed, f"box {boxes[row]}: {error[row] / scale:.2g}, {allowed / scale:.2g}"


def own_noise(model: onnx.ModelProto, picture: np.ndarray, expected: np.ndarray) -> float:
    """By how much the scores move when pixels and weights move by one unit in the last place, up or down at random.

    A weight's last place moves a sum as another order of its terms does; zeros stay zeros.
    """
    rng = np.random.default_rng(2)

    def moved(array: np.ndarray) -> np.ndarray:
        towards = np.where(rng.random(array.shape) < 0.5, np.inf, -np.inf).astype(np.float32)
        return np.where(array == 0, array, np.nextafter(array, towards))

    largest = 0.0
    for _ in range(DRAWS):
        other = onnx.ModelProto()
        other.CopyFrom(model)
        for tensor in other.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.dtype == np.float32 and array.ndim > 0:
                tensor.CopyFrom(numpy_helper.from_array(moved(array), tensor.name))
        largest = max(largest, float(np.abs(run_naive(other, moved(picture)) - expected).max()))
    return largest
