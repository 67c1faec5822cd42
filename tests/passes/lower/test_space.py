"""Ops that move pixels or mix neighbours by fixed weights: Resize, Pad, Slice, Gather, ConvTranspose and their kin."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.graphs import became, compile_and_check, floats, ints, parse, reasons

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
STEM = "c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w0) r = Relu(c)"  # r is [1, 8, 9, 10]
# A mean forgets where pixels are; a last convolution of stride 2 does not.
AFTER = "z9 = Conv<strides=[2,2]>(h0, w9) h = Relu(z9)"


def check(op: str, middle: str, channels: int = 8, opset: int = 17, **weights):
    """``middle`` goes from r to h0."""
    body = f"{STEM} {middle} {AFTER} {HEAD}"
    weights = {"w0": (8, 3, 3, 3), "w9": (6, channels, 2, 2), "fw": (5, 6), **weights}
    report = compile_and_check(parse(body, opset=opset, **weights))
    assert became(report, op) <= {"incremental"}, reasons(report, op)  # a Pad may have become part of a convolution
    assert report.incremental_share == 1
    return report


TWICE = {"k": floats(1, 1, 2, 2)}
ODD = {"k": floats(1, 1, 1.7, 0.6)}
RESIZES = {
    "nearest": ('mode="nearest"', TWICE),
    "nearest down": ('mode="nearest"', ODD),
    "nearest floor": ('mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"', ODD),
    "nearest ceil": ('mode="nearest", nearest_mode="ceil"', ODD),
    "nearest round up": ('mode="nearest", nearest_mode="round_prefer_ceil"', ODD),
    "nearest corners": ('mode="nearest", coordinate_transformation_mode="align_corners"', ODD),
    "linear": ('mode="linear"', TWICE),
    "linear pytorch": ('mode="linear", coordinate_transformation_mode="pytorch_half_pixel"', ODD),
    "linear corners": ('mode="linear", coordinate_transformation_mode="align_corners"', ODD),
    "linear asymmetric": ('mode="linear", coordinate_transformation_mode="asymmetric"', ODD),
    "cubic": ('mode="cubic"', TWICE),
    "cubic outside": ('mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1', ODD),
}  # fmt: skip


@pytest.mark.parametrize("kind", RESIZES)
def test_resize_by_scales(kind: str) -> None:
    attributes, scales = RESIZES[kind]
    check("Resize", f"h0 = Resize<{attributes}>(r, , k)", **scales)


def test_resize_to_a_size() -> None:
    check("Resize", 'h0 = Resize<mode="linear">(r, , , s)', s=ints(1, 8, 13, 7))


def test_resize_of_one_axis() -> None:
    check("Resize", 'h0 = Resize<mode="linear", axes=[3]>(r, , k)', opset=18, k=floats(1.5))


def test_resize_that_smooths() -> None:
    check("Resize", 'h0 = Resize<mode="linear", antialias=1>(r, , k)', opset=18, k=floats(1, 1, 0.5, 0.45))


def test_resize_of_a_region_with_a_constant_outside() -> None:
    attributes = 'mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=0.7'
    roi = floats(0, 0, 0.2, -0.3, 1, 1, 0.9, 1.1)
    check("Resize", f"h0 = Resize<{attributes}>(r, roi, , s)", roi=roi, s=ints(1, 8, 8, 9))


PADS = {
    "reflect": ('mode="reflect"', ints(0, 0, 2, 1, 0, 0, 0, 3)),
    "edge": ('mode="edge"', ints(0, 0, 0, 2, 0, 0, 1, 0)),
    "constant": ('mode="constant"', ints(0, 0, 1, 2, 0, 0, 2, 0)),
    "negative": ('mode="constant"', ints(0, 0, -1, 2, 0, 0, -2, 0)),
}


@pytest.mark.parametrize("kind", PADS)
def test_pad(kind: str) -> None:
    mode, pads = PADS[kind]
    check("Pad", f"h0 = Pad<{mode}>(r, p)", p=pads)


def test_pad_that_goes_round() -> None:
    check("Pad", 'h0 = Pad<mode="wrap">(r, p, , a)', opset=19, p=ints(2, 1, 0, 3), a=ints(2, 3))


def test_slices_of_pixels() -> None:
    check("Slice", "h0 = Slice(r, s, e, a, t)", s=ints(7, 1), e=ints(-100, 9), a=ints(-2, 3), t=ints(-2, 3))


def test_space_to_depth_by_slices() -> None:
    """As detectors write it."""
    middle = " ".join(
        f"p{i} = Slice(r, s{i}, e, a, t)" for i in range(4)
    ) + " h0 = Concat<axis=1>(p0, p1, p2, p3)"  # fmt: skip
    starts = {f"s{i}": ints(i // 2, i % 2) for i in range(4)}
    check("Slice", middle, channels=32, **starts, e=ints(8, 100), a=ints(2, 3), t=ints(2, 2))


def test_a_choice_of_rows() -> None:
    check("Gather", "h0 = Gather<axis=2>(r, i)", i=ints(3, 1, -1, 0, 7, 6, 3))


TRANSPOSED = {
    "plain": ("strides=[1,1]", (8, 7, 3, 3), 7),
    "stride 2": ("strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]", (8, 7, 3, 3), 7),
    "stride over kernel": ("strides=[3,2]", (8, 7, 2, 1), 7),
    "dilated": ("strides=[2,1], dilations=[2,3], pads=[0,1,2,1]", (8, 7, 3, 2), 7),
    "pads beyond the kernel": ("strides=[2,2], pads=[2,3,1,2]", (8, 7, 2, 2), 7),
    "grouped": ("strides=[2,2], group=4", (8, 3, 2, 2), 12),
    "depthwise": ("strides=[2,2], group=8, pads=[1,1,1,1]", (8, 1, 4, 4), 8),
    "same upper": ('strides=[2,2], auto_pad="SAME_UPPER"', (8, 7, 3, 3), 7),
    "same lower": ('strides=[2,3], auto_pad="SAME_LOWER"', (8, 7, 4, 4), 7),
    "output shape": ("strides=[2,2], output_shape=[16,20]", (8, 7, 3, 3), 7),
    "output shape, one more": ("strides=[2,2], output_shape=[16,19]", (8, 7, 4, 3), 7),
    "output shape, upper": ('strides=[2,2], auto_pad="SAME_UPPER", output_shape=[16,20]', (8, 7, 3, 3), 7),
}


@pytest.mark.parametrize("kind", TRANSPOSED)
def test_transposed_convolution(kind: str) -> None:
    attributes, shape, channels = TRANSPOSED[kind]
    middle = f"h0 = ConvTranspose<{attributes}>(r, w1, b1)"
    check("ConvTranspose", middle, channels, w1=shape, b1=(channels,))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    check("DepthToSpace", f'h0 = DepthToSpace<blocksize=2, mode="{mode}">(r)', 2)


def test_space_to_depth() -> None:
    check(
        "SpaceToDepth", "q = Slice(r, s, e, a) h0 = SpaceToDepth<blocksize=2>(q)", 32, s=ints(0), e=ints(8), a=ints(2)
    )


BLOCKS = {
    "to depth, place first": ("SpaceToDepth", "[0,3,5,1,2,4]", (1, 8, 4, 2, 5, 2), (1, 32, 4, 5)),
    "to depth, channel first": ("SpaceToDepth", "[0,1,3,5,2,4]", (1, 8, 4, 2, 5, 2), (1, 32, 4, 5)),
    "to space, place first": ("DepthToSpace", "[0,3,4,1,5,2]", (1, 2, 2, 2, 8, 10), (1, 2, 16, 20)),
    "to space, channel first": ("DepthToSpace", "[0,1,4,2,5,3]", (1, 2, 2, 2, 8, 10), (1, 2, 16, 20)),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_written_as_reshapes(kind: str) -> None:
    op, perm, inside, after = BLOCKS[kind]
    triple = f"a = Reshape(q, to) b = Transpose<perm={perm}>(a) h0 = Reshape(b, back)"
    cut = {"s": ints(0), "e": ints(8), "k": ints(2)}
    report = check(op, f"q = Slice(r, s, e, k) {triple}", after[1], **cut, to=ints(*inside), back=ints(*after))
    assert became(report, op) == {"incremental"}


REFUSED = {
    "Resize": (
        'h0 = Resize<mode="linear", axes=[2,3], keep_aspect_ratio_policy="not_larger">(r, , , s)',
        {"s": ints(13, 12)},
        18,
    ),
    "ConvTranspose": (
        "g1 = GlobalAveragePool(r) s1 = ReduceMean<axes=[1]>(g1) w2 = Mul(w1, s1) h0 = ConvTranspose(r, w2)",
        {"w1": (8, 8, 3, 3)},
        17,
    ),
    "Pad": ('h0 = Pad<mode="reflect">(r, p)', {"p": ints(0, 2, 0, 0, 0, 0, 0, 0)}, 17),
}


@pytest.mark.parametrize("op", REFUSED)
def test_others_are_dense(op: str) -> None:
    middle, weights, opset = REFUSED[op]
    channels = 10 if op == "Pad" else 8
    body = f"{STEM} {middle} {AFTER} {HEAD}"
    model = parse(body, opset=opset, w0=(8, 3, 3, 3), w9=(6, channels, 2, 2), fw=(5, 6), **weights)
    assert became(compile_and_check(model), op) == {"dense"}


NORTH, SOUTH = {"n0": ints(-2), "n1": ints(9)}, {"s0": ints(0), "s1": ints(3)}
LINEAR = {
    "around the edges": (
        "Pad",
        "a = Slice(r, n0, n1, rows) b = Slice(r, s0, s1, rows) h0 = Concat<axis=2>(a, r, b)",
        {**NORTH, **SOUTH, "rows": ints(2)},
    ),
    "rolled": (
        "Gather",
        "a = Slice(r, n0, n1, rows) b = Slice(r, s0, n0, rows) h0 = Concat<axis=2>(a, b)",
        {**NORTH, **SOUTH, "rows": ints(2)},
    ),
    "two maps and a constant side by side": ("Pad", "a = Neg(r) h0 = Concat<axis=-1>(k, a, r, k)", {"k": (1, 8, 9, 2)}),
    "sums from the left": ("CumSum", "h0 = CumSum(r, a)", {"a": ints(3)}),
    "sums from below": ("CumSum", "h0 = CumSum<exclusive=1, reverse=1>(r, a)", {"a": np.int64(-2)}),
    "a product of rows": ("MatMul", "h0 = MatMul(r, m)", {"m": (10, 7)}),
    "a product of columns": ("MatMul", "h0 = MatMul(m, r)", {"m": (7, 9)}),
    "a mean of columns": ("ReduceMean", "h1 = ReduceMean<axes=[2]>(r) h0 = Concat<axis=2>(h1, r)", {}),
    "a sum of rows": ("ReduceSum", "h1 = ReduceSum(r, a) h0 = Concat<axis=3>(h1, r)", {"a": ints(3)}),
}


@pytest.mark.parametrize("kind", LINEAR)
def test_linear_along_one_axis(kind: str) -> None:
    op, middle, weights = LINEAR[kind]
    check(op, middle, **weights)


TURNED = {
    "rows and columns": ("h0 = Transpose<perm=[0,1,3,2]>(r)", {}),
    "and channels behind, and back": ("t = Transpose<perm=[0,3,2,1]>(r) h0 = Transpose<perm=[0,3,1,2]>(t)", {}),
    "a quarter, clockwise": (
        "a = Slice(r, b, e, d, s) h0 = Transpose<perm=[0,1,3,2]>(a)",
        {"b": ints(-1), "e": ints(-99), "d": ints(2), "s": ints(-1)},
    ),
    "turned, worked on, turned back": (
        "t = Transpose<perm=[0,1,3,2]>(r) u = Conv<pads=[0,1,0,1]>(t, v) h0 = Transpose<perm=[0,1,3,2]>(u)",
        {"v": (8, 8, 1, 3)},
    ),
}


@pytest.mark.parametrize("kind", TURNED)
def test_rows_and_columns_change_places(kind: str) -> None:
    middle, weights = TURNED[kind]
    check("Transpose", middle, **weights)


def test_rows_and_columns_of_a_volumes_slices_change_places() -> None:
    body = "c = Conv(x, w0) t = Transpose<perm=[0,1,2,4,3]>(c) h = Relu(t) f = Flatten(h) y = MatMul(f, m)"
    model = parse(body, image="float[N,2,6,7,8] x", w0=(3, 2, 3, 3, 3), m=(3 * 4 * 5 * 6, 5))
    assert compile_and_check(model, "NCDHW").incremental_share == 1


@pytest.mark.parametrize("order", ["(r, k)", "(k, r)", "(k, r, k, r, k, k)"])
def test_constant_channels(order: str) -> None:
    channels = 8 * order.count("r") + 2 * order.count("k")
    check("Concat", f"h0 = Concat<axis=1>{order}", channels, k=(1, 2, 9, 10))


SIGNAL = "c = Conv<strides=[2]>(x, w0) r = Relu(c)"  # r is [1, 6, 18]
ALONG = {
    "reversed": ("h0 = Slice(r, a, b, d, e)", {"a": ints(-1), "b": ints(-99), "d": ints(2), "e": ints(-1)}),
    "chosen": ("h0 = Gather<axis=2>(r, i)", {"i": ints(17, 3, 3, 0, 5, 6, 7)}),
    "mirrored": ('h0 = Pad<mode="reflect">(r, p)', {"p": ints(0, 0, 2, 0, 0, 1)}),
    "resized": ('h0 = Resize<mode="linear">(r, , s)', {"s": floats(1, 1, 1.5)}),
    "around the ends": (
        "a = Slice(r, n0, n1, last) b = Slice(r, s0, s1, last) h0 = Concat<axis=2>(a, r, b)",
        {"n0": ints(-2), "n1": ints(99), "s0": ints(0), "s1": ints(3), "last": ints(2)},
    ),
}


@pytest.mark.parametrize("kind", ALONG)
def test_moves_along_a_signal(kind: str) -> None:
    middle, weights = ALONG[kind]
    body = f"{SIGNAL} {middle} z9 = Conv<strides=[2]>(h0, w9) h = Relu(z9) {HEAD}"
    weights = {"w0": (6, 3, 3), "w9": (6, 6, 2), "fw": (5, 6), **weights}
    report = compile_and_check(parse(body, image="float[N,3,37] x", **weights), "NCL")
    assert report.incremental_share == 1, report.layers


SLICES = {
    "rows and columns reversed": (
        "h0 = Slice(r, a, b, d, e)",
        {"a": ints(-1, -1), "b": ints(-99, -99), "d": ints(3, 4), "e": ints(-1, -1)},
    ),
    "columns chosen": ("h0 = Gather<axis=4>(r, i)", {"i": ints(5, 3, 3, 0)}),
}


@pytest.mark.parametrize("kind", SLICES)
def test_moves_within_a_volumes_slices(kind: str) -> None:
    middle, weights = SLICES[kind]
    body = f"c = Conv(x, w0) r = Relu(c) {middle} z9 = Conv<strides=[2,2,2]>(h0, w9) h = Relu(z9) {HEAD}"
    weights = {"w0": (6, 2, 3, 3, 3), "w9": (6, 6, 2, 2, 2), "fw": (5, 6), **weights}
    report = compile_and_check(parse(body, image="float[N,2,6,7,8] x", **weights), "NCDHW")
    assert report.incremental_share == 1, report.layers


def test_a_volumes_slices_keep_their_places() -> None:
    body = f"r = Relu(x) h0 = Gather<axis=2>(r, i) z9 = Conv(h0, w9) h = Relu(z9) {HEAD}"
    model = parse(body, image="float[N,2,6,7,8] x", i=ints(3, 2, 1, 0), w9=(6, 2, 2, 2, 2), fw=(5, 6))
    report = compile_and_check(model, "NCDHW")
    assert "more than the height and width of a volume's slices" in reasons(report, "Gather")
