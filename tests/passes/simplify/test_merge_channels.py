"""Channels that are told apart, scaled and put together: one scale of all; and what is written into a map by index."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from krypton_compile import Report
from tests.support.graphs import compile_and_check, floats, ints, parse

HEAD = "h = Relu(c) g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
LAYERS = ["GlobalAveragePool", "Reshape", "Gemm"]


def image(middle: str, pads: str = "", **weights) -> onnx.ModelProto:
    """``middle`` makes i of the image x."""
    body = f"{middle} c = Conv<strides=[2,2]{pads}>(i, w0) {HEAD}"
    return parse(body, **{"w0": (8, 3, 3, 3), "fw": (5, 8), **weights})


def ops(report: Report) -> list[str]:
    assert report.incremental_share == 1, [(layer.op, layer.reason) for layer in report.layers]
    found = [layer.op for layer in report.layers]
    assert found[-4:] == ["Relu", *LAYERS]
    return found[:-4]


PARTS = " ".join(
    f"p{i} = Gather<axis=1>(x, i{i}) u{i} = Unsqueeze(p{i}, one) m{i} = Mul(u{i}, k{i}) a{i} = Add(m{i}, b{i})"
    for i in range(3)
)
PREPROCESSING = {
    **{f"i{i}": np.int64(i) for i in range(3)},
    **{f"k{i}": np.float32(0.4 + 0.1 * i) for i in range(3)},
    **{f"b{i}": floats(-0.3 * (i + 1)) for i in range(3)},
    "one": ints(1),
}


def test_torchvisions_transform_of_the_input_becomes_part_of_the_first_convolution() -> None:
    model = image(f"{PARTS} i = Concat<axis=1>(a0, a1, a2)", **PREPROCESSING)
    assert ops(compile_and_check(model)) == ["Conv"]


def test_before_a_padded_convolution_only_what_has_no_delta_is_left() -> None:
    model = image(f"{PARTS} i = Concat<axis=1>(a0, a1, a2)", ", pads=[1,1,1,1]", **PREPROCESSING)
    assert ops(compile_and_check(model)) == ["Add", "Conv"]


def test_channels_change_places_too() -> None:
    model = image(f"{PARTS} i = Concat<axis=1>(a2, a0, a1)", **PREPROCESSING)
    assert ops(compile_and_check(model)) == ["Gather", "Conv"]


MERGED = {
    "slices": (
        "a = Slice(x, n0, n1, one) b = Slice(x, n1, n3, one) s = Div(b, k) t = Sub(k, a) i = Concat<axis=1>(t, s)",
        {"n0": ints(0), "n1": ints(1), "n3": ints(3), "one": ints(1), "k": floats(0.3)},
        ["Conv"],
    ),
    "a split": (
        "a, b, d = Split<axis=1>(x) i = Concat<axis=1>(d, b, a)",
        {},
        ["Gather", "Conv"],
    ),
    "a split, together as it was": ("a, b, d = Split<axis=1>(x) i = Concat<axis=1>(a, b, d)", {}, ["Conv"]),
    "channels last": (
        """t = Transpose<perm=[0,2,3,1]>(x) a, b, d = Split<axis=3>(t) s = Mul(b, k) l = Concat<axis=3>(d, s, a)
        i = Transpose<perm=[0,3,1,2]>(l)""",
        {"k": floats(0.3)},
        ["Transpose", "Gather", "Transpose", "Conv"],
    ),
}


@pytest.mark.parametrize("kind", MERGED)
def test_what_is_merged(kind: str) -> None:
    middle, weights, left = MERGED[kind]
    assert ops(compile_and_check(image(middle, **weights))) == left


KEPT = {
    "a channel twice": ("a, b, d = Split<axis=1>(x) i = Concat<axis=1>(a, a, b)", {}),
    "times nothing": (
        "a, b, d = Split<axis=1>(x) s = Mul(b, k) i = Concat<axis=1>(a, s, d)",
        {"k": floats(0)},
    ),
    "another function": ("a, b, d = Split<axis=1>(x) s = Tanh(b) i = Concat<axis=1>(a, s, d)", {}),
    "scaled by pixels": (
        "a, b, d = Split<axis=1>(x) s = Mul(b, k) i = Concat<axis=1>(a, s, d)",
        {"k": (1, 1, 17, 19)},
    ),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_is_not_merged(kind: str) -> None:
    middle, weights = KEPT[kind]
    assert "Concat" in ops(compile_and_check(image(middle, **weights)))


GRID = np.stack(np.meshgrid(np.arange(1), [1], np.arange(17), np.arange(19), indexing="ij"), axis=-1)
WRITTEN = {
    "x[:, 1] = 2 x[:, 1], at each pixel": (
        "a = Slice(x, one, two, one) m = Mul(a, k) i = ScatterND(x, at, m)",
        {"one": ints(1), "two": ints(2), "k": floats(2), "at": GRID},
    ),
    "the same by elements": (
        "a = Gather<axis=1>(x, one) m = Mul(a, k) i = ScatterElements<axis=1>(x, at, m)",
        {"one": ints(1), "k": floats(2), "at": np.ones((1, 1, 17, 19), np.int64)},
    ),
    "by channels, the batch behind": (
        """t = Transpose<perm=[1,0,2,3]>(x) a = Gather<axis=0>(t, one) m = Mul(a, k) s = ScatterND(t, at, m)
        i = Transpose<perm=[1,0,2,3]>(s)""",
        {"one": ints(2, 0), "k": floats(2), "at": ints(2, 0)[:, None]},
    ),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_channels_that_are_written_to(kind: str) -> None:
    middle, weights = WRITTEN[kind]
    assert ops(compile_and_check(image(middle, **weights))) == ["Conv"]


BLACKENED = np.stack(np.meshgrid(np.arange(1), np.arange(3), [0, 1, 16], np.arange(19), indexing="ij"), axis=-1)


def test_rows_that_are_written_to() -> None:
    model = image("i = ScatterND(x, at, k)", at=BLACKENED, k=(1, 3, 3, 19))
    assert "Pad" in ops(compile_and_check(model))


CHOSEN = {
    "channels by GatherND": (
        "t = Transpose<perm=[1,0,2,3]>(x) a = GatherND(t, at) i = Transpose<perm=[1,0,2,3]>(a)",
        {"at": ints(2, 0, 1)[:, None]},
        ["Gather", "Conv"],
    ),
    "rows and columns by GatherElements": (
        "a = GatherElements<axis=2>(x, at) i = GatherElements<axis=3>(a, by)",
        {
            "at": np.broadcast_to(np.arange(16, -1, -1)[:, None], (1, 3, 17, 19)).astype(np.int64),
            "by": np.broadcast_to(np.arange(0, 19, 2), (1, 3, 17, 10)).astype(np.int64),
        },
        ["Gather", "Gather", "Conv"],
    ),
}


@pytest.mark.parametrize("kind", CHOSEN)
def test_entries_that_are_chosen(kind: str) -> None:
    middle, weights, left = CHOSEN[kind]
    assert ops(compile_and_check(image(middle, **weights))) == left


SCATTERED = {
    "pixels here and there": ("i = ScatterND(x, at, k)", {"at": ints(0, 1, 3, 5).reshape(1, 4), "k": floats(0.5)}),
    "added to": (
        'i = ScatterND<reduction="add">(x, at, k)',
        {"at": GRID, "k": (1, 1, 17, 19)},
    ),
}


@pytest.mark.parametrize("kind", SCATTERED)
def test_what_is_written_elsewhere_is_exact(kind: str) -> None:
    middle, weights = SCATTERED[kind]
    assert compile_and_check(image(middle, opset=18, **weights)).incremental_share < 1
