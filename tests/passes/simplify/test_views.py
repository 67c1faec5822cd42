"""Maps in other axes: what reshapes a map, works on it and brings it back is incremental, as work on the map itself."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from krypton_compile import compile
from krypton_compile.files.loading import load_proto
from krypton_compile.passes.frontend import FRONTEND, SourceModel
from krypton_compile.passes.frontend.read_graph import read_graph
from krypton_compile.passes.runner import run
from krypton_compile.passes.simplify import SIMPLIFY
from tests.support.graphs import compile_and_check, floats, ints, parse

HEAD = "z9 = Conv<strides=[2,2]>(h0, w9) h = Relu(z9) g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
STEM = "c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w0) r = Relu(c)"  # r is [1, 8, 9, 10]
BACK = ints(1, 8, 9, 10)
LAST = "Transpose<perm=[0,2,1]>"


def around(middle: str, channels: int = 8, opset: int = 17, **weights) -> onnx.ModelProto:
    """``middle`` goes from r to h0."""
    weights = {"w0": (8, 3, 3, 3), "w9": (6, channels, 2, 2), "fw": (5, 6), **weights}
    return parse(f"{STEM} {middle} {HEAD}", opset=opset, **weights)


def check(model: onnx.ModelProto, layout: str = "NCHW", **options) -> list[str]:
    """Exact, all of it incremental; the ops of its layers."""
    report = compile_and_check(model, layout, **options)
    dense = [f"{layer.op}: {layer.reason}" for layer in report.layers if layer.became != "incremental"]
    assert report.incremental_share == 1, dense
    return [layer.op for layer in report.layers]


SPELLINGS = {
    "reshape to what it is": ("h0 = Reshape(r, s)", {"s": ints(-1, 8, 9, 10)}),
    "flattened, a function, back": (
        "a = Reshape(r, s) b = Sigmoid(a) h0 = Reshape(b, t)",
        {"s": ints(0, 8, -1), "t": BACK},
    ),
    "flattened, scaled, back": (
        "a = Reshape(r, s) b = Sub(a, m) d = Div(b, e) h0 = Reshape(d, t)",
        {"s": ints(0, 8, -1), "m": (1, 8, 1), "e": floats(0.3), "t": BACK},
    ),
    "tokens": (
        f"a = Reshape(r, s) b = {LAST}(a) d = MatMul(b, m) e = Add(d, k) i = Relu(e) j = {LAST}(i) h0 = Reshape(j, t)",
        {"s": ints(0, 8, -1), "m": (8, 8), "k": (8,), "t": BACK},
    ),
    "tokens with a norm and a way around": (
        f"""a = Reshape(r, s) b = {LAST}(a) n = LayerNormalization(b, u, v) d = MatMul(n, m) e = Tanh(d)
        o = MatMul(e, q) i = Add(o, b) j = {LAST}(i) h0 = Reshape(j, t)""",
        {"s": ints(0, 8, -1), "u": (8,), "v": (8,), "m": (8, 16), "q": (16, 8), "t": BACK},
    ),
    "tokens, each with its own bias": (
        f"a = Reshape(r, s) b = {LAST}(a) d = Add(b, k) i = Relu(d) j = {LAST}(i) h0 = Reshape(j, t)",
        {"s": ints(0, 8, -1), "k": (1, 90, 8), "t": BACK},
    ),
    "a matrix of pixels by Gemm": (
        (
            "n = Transpose<perm=[0,2,3,1]>(r) a = Reshape(n, s) b = Gemm<transB=1>(a, m, k) d = Reshape(b, t) "
            "h0 = Transpose<perm=[0,3,1,2]>(d)"
        ),
        {"s": ints(90, 8), "m": (8, 8), "k": (8,), "t": ints(1, 9, 10, 8)},
    ),
    "a matrix of pixels, transposed": (
        "a = Reshape(r, s) b = Gemm<transA=1>(a, m) d = Transpose(b) h0 = Reshape(d, t)",
        {"s": ints(8, 90), "m": (8, 8), "t": BACK},
    ),
    "an axis more": ("a = Unsqueeze(r, s) b = Relu(a) h0 = Squeeze(b, s)", {"s": ints(1)}),
    "two axes more": ("a = Unsqueeze(r, s) b = Neg(a) h0 = Squeeze(b, s)", {"s": ints(0, 3)}),
    "expanded to what it is": ("h0 = Expand(r, s)", {"s": ints(1, 8, 9, 10)}),
    "tiled once": ("h0 = Tile(r, s)", {"s": ints(1, 1, 1, 1)}),
    "maximum of parts": (
        "a = Reshape(r, s) b = ReduceMax<axes=[2], keepdims=0>(a) h0 = Concat<axis=1>(b, b)",
        {"s": ints(1, 4, 2, 9, 10)},
    ),
    "mean of parts": (
        "a = Reshape(r, s) b = ReduceMean<axes=[1]>(a) e = Sub(a, b) h0 = Reshape(e, t)",
        {"s": ints(1, 4, 2, 9, 10), "t": BACK},
    ),
    "a number a group": (
        "a = Reshape(r, s) b = Mul(a, k) h0 = Reshape(b, t)",
        {"s": ints(1, 2, 4, 9, 10), "k": (1, 2, 1, 1, 1), "t": BACK},
    ),
    "a shuffle with a function inside": (
        "a = Reshape(r, s) b = Transpose<perm=[0,2,1,3,4]>(a) d = Tanh(b) h0 = Reshape(d, t)",
        {"s": ints(1, 2, 4, 9, 10), "t": BACK},
    ),
    "heads of a linear layer": (
        (
            "a = Reshape(r, s) b = Transpose<perm=[0,1,3,2]>(a) d = MatMul(b, m) e = Transpose<perm=[0,1,3,2]>(d) "
            "h0 = Reshape(e, t)"
        ),
        {"s": ints(1, 2, 4, 90), "m": (4, 4), "t": BACK},
    ),
    "channel as a batch": (
        (
            "a = Reshape(r, s) b = Conv<pads=[1,1,1,1]>(a, m, k) d = BatchNormalization(b, e, e, e, e) p = "
            "MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(d) q = ReduceSum<keepdims=0>(p, u) h0 = Reshape(q, t)"
        ),
        {"s": ints(8, 1, 9, 10), "m": (2, 1, 3, 3), "k": (2,), "e": floats(0.5, 0.7), "u": ints(1), "t": BACK},
    ),
    "einsum of one tap": ('h0 = Einsum<equation="bchw,dc->bdhw">(r, m)', {"m": (8, 8)}),
    "einsum, constant first, channels last": (
        'a = Einsum<equation="dc,bchw->bhwd">(m, r) h0 = Transpose<perm=[0,3,1,2]>(a)',
        {"m": (8, 8)},
    ),
    "einsum of groups": (
        'a = Reshape(r, s) b = Einsum<equation="bgchw,cd->bgdhw">(a, m) h0 = Reshape(b, t)',
        {"s": ints(1, 2, 4, 9, 10), "m": (4, 4), "t": BACK},
    ),
    "softmax of flattened channels": (
        "a = Reshape(r, s) b = Softmax<axis=1>(a) h0 = Reshape(b, t)",
        {"s": ints(0, 8, -1), "t": BACK},
    ),
    "windows that do not overlap": (
        (
            "a = Reshape(r, s) b = ReduceMax<axes=[3], keepdims=0>(a) d = Reshape(b, t) "
            "e = ReduceMean<axes=[4], keepdims=0>(d) h0 = Relu(e)"
        ),
        {"s": ints(1, 8, 3, 3, 10), "t": ints(1, 8, 3, 5, 2)},
    ),
    "pixels of three parts": (
        "a = Reshape(r, s) b = ReduceMax<axes=[3], keepdims=0>(a) h0 = Sigmoid(b)",
        {"s": ints(1, 8, 3, 3, 10)},
    ),
    "one channel chosen, and back": (
        "a = Gather<axis=1>(r, i) b = Mul(a, k) d = Unsqueeze(b, s) h0 = Mul(r, d)",
        {"i": np.int64(3), "k": floats(0.7), "s": ints(1)},
    ),
    "channels stacked": (
        (
            "a = Gather<axis=1>(r, i) b = Gather<axis=1>(r, j) a1 = Unsqueeze(a, s) b1 = Unsqueeze(b, s) "
            "d = Concat<axis=1>(a1, b1, a1, b1) e = Tanh(d) h0 = Concat<axis=1>(e, e)"
        ),
        {"i": np.int64(3), "j": np.int64(-1), "s": ints(1)},
    ),
    "maps stacked and told apart": (
        (
            "a = Tanh(r) a1 = Unsqueeze(a, s) r1 = Unsqueeze(r, s) d = Concat<axis=2>(a1, r1) "
            "e = ReduceMax<axes=[2], keepdims=0>(d) h0 = Neg(e)"
        ),
        {"s": ints(2)},
    ),
    "batch and channel trade places": (
        "a = Transpose<perm=[1,0,2,3]>(r) b = Gather<axis=0>(a, i) h0 = Transpose<perm=[1,0,2,3]>(b)",
        {"i": ints(7, 6, 5, 4, 3, 2, 1, 0)},
    ),
    "channels repeated one by one": (
        "a = Slice(r, from, to, axis) b = Unsqueeze(a, two) d = Expand(b, s) h0 = Reshape(d, t)",
        {"from": ints(0), "to": ints(4), "axis": ints(1), "two": ints(2), "s": ints(1, 4, 2, 9, 10), "t": BACK},
    ),
    "channels repeated": (
        "a = Slice(r, from, to, axis) h0 = Tile(a, s)",
        {"from": ints(2), "to": ints(4), "axis": ints(1), "s": ints(1, 4, 1, 1)},
    ),
    "pixels repeated": (
        "a = Unsqueeze(r, s) b = Tile(a, k) h0 = Reshape(b, t)",
        {"s": ints(3, 5), "k": ints(1, 1, 1, 2, 1, 2), "t": ints(1, 8, 18, 20)},
    ),
    "windows by gathering": (
        """p = Pad(r, n) a = Gather<axis=2>(p, i) b = Gather<axis=4>(a, j) d = Transpose<perm=[0,1,2,4,3,5]>(b)
        e = Reshape(d, s) q = ReduceMax<axes=[2], keepdims=0>(e) h0 = Reshape(q, t)""",
        {
            "n": ints(0, 0, 1, 1, 0, 0, 1, 1),
            "i": np.arange(3)[:, None] + np.arange(0, 9, 2),
            "j": np.arange(3)[:, None] + np.arange(0, 10, 2),
            "s": ints(1, 8, 9, 25),
            "t": ints(1, 8, 5, 5),
        },
    ),
    "blocks to channels, channels last": (
        (
            "n = Transpose<perm=[0,2,3,1]>(r) a = Reshape(n, s) b = Transpose<perm=[0,1,3,2,4,5]>(a) d = Reshape(b, t) "
            "e = Relu(d) h0 = Transpose<perm=[0,3,1,2]>(e)"
        ),
        {"s": ints(1, 3, 3, 5, 2, 8), "t": ints(1, 3, 5, 48), "w9": (6, 48, 2, 2)},
    ),
    "columns to channels": (
        "a = Reshape(r, s) b = Transpose<perm=[0,1,4,2,3]>(a) h0 = Reshape(b, t)",
        {"s": ints(1, 8, 9, 5, 2), "t": ints(1, 16, 9, 5), "w9": (6, 16, 2, 2)},
    ),
    "channels to blocks, channels last": (
        (
            "n = Transpose<perm=[0,2,3,1]>(r) a = Reshape(n, s) b = Transpose<perm=[0,1,3,2,4,5]>(a) d = Reshape(b, t) "
            "e = Tanh(d) h0 = Transpose<perm=[0,3,1,2]>(e)"
        ),
        {"s": ints(1, 9, 10, 2, 2, 2), "t": ints(1, 18, 20, 2), "w9": (6, 2, 2, 2)},
    ),
    "half of a flattened map": (
        "a = Reshape(r, s) b, d = Split<axis=1>(a) e = Mul(b, d) u = Concat<axis=1>(e, b) h0 = Reshape(u, t)",
        {"s": ints(1, 8, 90), "t": BACK},
    ),
    "a mask of numbers": (
        "a = Reshape(r, s) b = Max(a, k) d = Pow(b, e) h0 = Reshape(d, t)",
        {"s": ints(1, 8, 90), "k": (8, 1), "e": floats(2), "t": BACK},
    ),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_maps_in_other_axes(kind: str) -> None:
    middle, weights = SPELLINGS[kind]
    check(around(middle, **weights))


ENDS = {
    "a function behind a flatten": ("a = Flatten(r) b = Relu(a) y = Gemm(b, m, k)", {}),
    "a norm behind a flatten": (
        "a = Flatten(r) b = BatchNormalization(a, s, t, u, v) y = Gemm(b, m, k)",
        {
            "s": np.linspace(0.5, 2, 720, dtype=np.float32),
            "t": (720,),
            "u": (720,),
            "v": np.linspace(0.1, 3, 720, dtype=np.float32),
        },
    ),
    "rows of the last layer in another order": (
        (
            "n = Transpose<perm=[0,3,2,1]>(r) a = Reshape(n, s) b = Tanh(a) d = Reshape(b, t) e = MatMul(d, m) "
            "y = Add(e, k)"
        ),
        {"s": ints(1, 90, 8), "t": ints(1, -1)},
    ),
    "a mean of flattened pixels": (
        "a = Reshape(r, s) b = Relu(a) d = ReduceMean<axes=[2], keepdims=0>(b) y = Gemm(d, m8, k)",
        {"s": ints(0, 8, -1)},
    ),
    "a maximum of tokens": (
        f"a = Reshape(r, s) b = {LAST}(a) d = MatMul(b, m8) e = ReduceMax<axes=[1], keepdims=0>(d) y = Add(e, k)",
        {"s": ints(0, 8, -1)},
    ),
    "one pixel": (
        "a = Gather<axis=2>(r, i) b = Gather<axis=2>(a, i) y = Gemm(b, m8, k)",
        {"i": np.int64(4)},
    ),
}


@pytest.mark.parametrize("kind", ENDS)
def test_the_end_of_the_maps(kind: str) -> None:
    middle, weights = ENDS[kind]
    used = {name: shape for name, shape in {"m": (720, 5), "m8": (8, 5), "k": (5,)}.items() if f" {name}" in middle}
    check(parse(f"{STEM} {middle}", w0=(8, 3, 3, 3), **used, **weights))


SIGNAL_HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
SIGNALS = {
    "Keras: an axis more around each layer": (
        """a = Unsqueeze(x, one) b = Transpose<perm=[0,3,1,2]>(a) d = Conv<pads=[0,1,0,1]>(b, w, k)
        e = Transpose<perm=[0,2,3,1]>(d) i = Squeeze(e, one) j = Relu(i) a2 = Unsqueeze(j, one)
        b2 = Transpose<perm=[0,3,1,2]>(a2) p = MaxPool<kernel_shape=[1,2], strides=[1,2]>(b2)
        d2 = Conv<strides=[1,2], dilations=[1,2]>(p, v) e2 = Transpose<perm=[0,2,3,1]>(d2) i2 = Squeeze(e2, one)
        j2 = Tanh(i2) d3 = ReduceMean<axes=[1], keepdims=0>(j2) y = MatMul(d3, m)""",
        "float[N,37,3] x",
        {"w": (6, 3, 1, 3), "k": (6,), "v": (8, 6, 1, 3), "m": (8, 5), "one": ints(1)},
        "NLC",
    ),
    "a signal as a picture of one row": (
        """a = Unsqueeze(x, two) b = Conv<pads=[1,1,1,1]>(a, w) d = Relu(b)
        p = AveragePool<kernel_shape=[1,3], strides=[1,3]>(d) e = Conv(p, v) h = Relu(e) """
        + SIGNAL_HEAD,
        "float[N,3,37] x",
        {"w": (6, 3, 3, 3), "v": (8, 6, 1, 3), "fw": (5, 8), "two": ints(2)},
        "NCL",
    ),
    "a signal as a picture of one column": (
        "a = Unsqueeze(x, two) b = Conv<strides=[3,1]>(a, w) d = Relu(b) f = Flatten(d) y = MatMul(f, m)",
        "float[N,3,37] x",
        {"w": (6, 3, 4, 1), "m": (72, 5), "two": ints(3)},
        "NCL",
    ),
    "flipped channels": (
        "a = Unsqueeze(x, two) b = Squeeze(a, two) d = Conv(b, w) h = Relu(d) " + SIGNAL_HEAD,
        "float[N,3,37] x",
        {"w": (6, 3, 5), "fw": (5, 6), "two": ints(2)},
        "NCL",
    ),
}


@pytest.mark.parametrize("kind", SIGNALS)
def test_signals_in_other_axes(kind: str) -> None:
    body, image, weights, layout = SIGNALS[kind]
    check(parse(body, image=image, **weights), layout)


VOLUMES = {
    "grey, its channel moved by a reshape": (
        "a = Reshape(x, s) b = Conv<pads=[1,1,1,1,1,1]>(a, w) h = Relu(b) " + SIGNAL_HEAD,
        "float[N,6,7,8,1] x",
        {"s": ints(-1, 1, 6, 7, 8), "w": (6, 1, 3, 3, 3), "fw": (5, 6)},
        "NDHWC",
    ),
    "slices as a batch": (
        """a = Reshape(x, s) t = Transpose<perm=[0,3,1,2]>(a) b = Conv<pads=[1,1,1,1]>(t, w) d = Relu(b)
        p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(d) e = Reshape(p, u) i = Transpose<perm=[0,2,1,3,4]>(e)
        h = Conv(i, v) """
        + SIGNAL_HEAD,
        "float[N,6,7,8,2] x",
        {"s": ints(-1, 7, 8, 2), "w": (6, 2, 3, 3), "u": ints(-1, 6, 6, 3, 4), "v": (4, 6, 3, 1, 1), "fw": (5, 4)},
        "NDHWC",
    ),
}


@pytest.mark.parametrize("kind", VOLUMES)
def test_volumes_in_other_axes(kind: str) -> None:
    body, image, weights, layout = VOLUMES[kind]
    check(parse(body, image=image, **weights), layout, told=True)


def test_a_grey_picture_moved_by_a_reshape() -> None:
    body = f"a = Reshape(x, s) c = Conv<strides=[2,2]>(a, w0) h = Relu(c) {SIGNAL_HEAD}"
    model = parse(body, image="float[N,17,19,1] x", s=ints(-1, 1, 17, 19), w0=(8, 1, 3, 3), fw=(5, 8))
    assert check(model, "NHWC")[0] == "Transpose"


def simplified(model: onnx.ModelProto) -> ir.Model:
    source = SourceModel(load_proto(model))
    run(FRONTEND, source)
    graph = read_graph(source)
    run([each for each in SIMPLIFY if each.only_after != "straighten_views"], graph)
    return graph


LEFT = {
    "attention": (
        f"""a = Reshape(r, s) b = {LAST}(a) q = MatMul(b, m) k = {LAST}(q) e = MatMul(b, k) i = Softmax<axis=2>(e)
        j = MatMul(i, b) l = {LAST}(j) h0 = Reshape(l, t)""",
        {"s": ints(0, 8, -1), "m": (8, 8), "t": BACK},
    ),
    "a norm of groups": (
        "a = Reshape(r, s) b = InstanceNormalization(a, u, v) h0 = Reshape(b, t)",
        {"s": ints(1, 2, -1), "u": (2,), "v": (2,), "t": BACK},
    ),
    "pixels mixed": (
        "a = Reshape(r, s) b = MatMul(a, m) h0 = Reshape(b, t)",
        {"s": ints(0, 8, -1), "m": (90, 90), "t": BACK},
    ),
    "sizes that do not fit": ("a = Reshape(r, s) b = Relu(a) h0 = Reshape(b, t)", {"s": ints(1, 8, 6, 15), "t": BACK}),
}


@pytest.mark.parametrize("kind", LEFT)
def test_what_does_not_become_a_map_again_stays_as_it_is(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    middle, weights = LEFT[kind]
    model = around(middle, **weights)
    ours = simplified(model)
    without = tuple(each for each in SIMPLIFY if "straighten_views" not in (each.name, each.only_after))
    monkeypatch.setattr("tests.passes.simplify.test_views.SIMPLIFY", without)
    assert ir.to_proto(ours).SerializeToString(deterministic=True) == ir.to_proto(simplified(model)).SerializeToString(
        deterministic=True
    )
    compile_and_check(model)


def test_a_tensor_that_others_read_too_is_kept() -> None:
    middle = f"""a = Reshape(r, s) b = Relu(a) d = {LAST}(b) e = MatMul(b, d) i = ReduceMean<axes=[2]>(e)
        j = Reshape(i, o) l = Reshape(b, t) h0 = Add(l, j)"""
    weights = {"s": ints(0, 8, -1), "t": BACK, "o": ints(1, 8, 1, 1)}
    report = compile_and_check(around(middle, **weights))
    assert 0 < report.incremental_share < 1
    _, report = compile(around(middle, **weights), verify=True)
    assert report.verification


def test_the_names_of_outputs_are_kept() -> None:
    body = f"{STEM} a = Reshape(r, s) b = Relu(a) h0 = Reshape(b, t) {HEAD}"
    scores = "float[N,5] y, float[N,8,9,10] h0"
    weights = {"w0": (8, 3, 3, 3), "w9": (6, 8, 2, 2), "fw": (5, 6), "s": ints(0, 8, -1), "t": BACK}
    _, report = compile(parse(body, scores=scores, **weights), output_name="y")
    assert report.incremental_share == 1
