"""The axes of the image: told from what reads it, be they symbolic, short or flat; asked for where nothing tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.contract.layouts import (
    LAYOUTS,
    axes_of,
    channel_axis,
    channels_first,
    full_layout,
    has_batch,
    own_shape,
)
from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend.axes.trace_axes import trace_axes
from tests.support.graphs import floats, ints, parse
from tests.support.own_images import annotation, check_exact

SIZES = {1: (23,), 2: (9, 11), 3: (6, 7, 8)}
CONVOLUTION = "c = Conv(n, w) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, fw)"


def weights(axes: int, channels: int) -> dict[str, object]:
    return {"w": (8, channels, *(3,) * axes), "fw": (8, 5)}


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str, str, dict[str, object], bool]:
    """A layout, the image's declaration, the graph down to NCHW, its weights, and whether the size is open."""
    layout = draw(st.sampled_from(LAYOUTS))
    axes = axes_of(layout)
    channels = draw(st.sampled_from((1, 3, 6))) if "C" in layout else 1
    full, spatial = full_layout(layout), SIZES[axes]
    first = channels_first(axes)
    shape = [str(size) for size in own_shape(layout, spatial, channels)]
    symbolic = draw(st.booleans())
    if symbolic:
        shape = [f"d{at}" if size != "1" or has_batch(layout) else size for at, size in enumerate(shape)]
    elif has_batch(layout):
        shape[0] = draw(st.sampled_from(("1", "N")))
    more: dict[str, object] = {}
    text, at = "", "x"
    if draw(st.booleans()):
        text, at = "s = Sub(x, mean) m = Mul(s, scale) ", "m"
        more |= {"mean": np.float32(0.5), "scale": floats(2.0)}
    whole = own_shape(full, spatial, channels)
    missing = [axis for axis, letter in enumerate(full) if letter not in layout]
    if layout.startswith("flat") or (missing and not symbolic and draw(st.booleans())):
        target = list(whole)
        if draw(st.booleans()):
            target[0] = -1
        text, at = f"{text} q = Reshape({at}, sh) ", "q"
        more["sh"] = ints(*target)
    elif missing:
        text, at = f"{text} q = Unsqueeze({at}, ax) ", "q"
        more["ax"] = ints(*missing)
    if full != first:
        order = [0, channel_axis(full), *range(1, axes + 1)]
        text, at = f"{text} t = Transpose<perm = {order}>({at}) ", "t"
    text += f"n = Identity({at}) "
    image = f"float[{','.join(shape)}] x"
    return layout, image, text + CONVOLUTION, {**more, **weights(axes, channels)}, symbolic


@settings(max_examples=60, deadline=None)
@given(spellings())
def test_any_layout_is_told_from_what_reads_it(spelling) -> None:
    layout, image, text, arrays, symbolic = spelling
    model = parse(text, image=image, **arrays)
    size = SIZES[axes_of(layout)] if symbolic else None
    compiled, report = compile(model, image_size=size)
    about = annotation(compiled)
    assert full_layout(about.layout) in (full_layout(layout), channels_first(axes_of(layout)))
    assert (about.image_shape, about.channels) == (SIZES[axes_of(layout)], arrays["w"][1])
    assert own_shape(about.layout, about.image_shape, about.channels) == own_shape(
        layout, about.image_shape, about.channels
    )
    check_exact(model, compiled)
    assert report.verification


@pytest.mark.parametrize(
    ("moves", "more"),
    [
        ("n = Pad(x, p)", {"p": ints(0, 0, 1, 1, 0, 0, 1, 1)}),
        ("n = Slice(x, s, e, a, d)", {"s": ints(-1), "e": ints(-9), "a": ints(1), "d": ints(-1)}),
        ("n = Gather<axis = 1>(x, i)", {"i": ints(2, 1, 0)}),
        (
            "t = Transpose<perm = [1, 0, 2, 3]>(x) j = GatherND(t, i) n = Transpose<perm = [1, 0, 2, 3]>(j)",
            {"i": np.array([[2], [1], [0]])},
        ),
        ("a, b, c0 = Split<axis = 1, num_outputs = 3>(x) n = Concat<axis = 1>(c0, b, a)", {}),
        (
            """a = Gather<axis = 1>(x, i) b = Unsqueeze(a, o) c0 = Gather<axis = 1>(x, j) d = Unsqueeze(c0, o)
               e = Gather<axis = 1>(x, k) h = Unsqueeze(e, o) n = Concat<axis = 1>(b, d, h)""",
            {"i": np.int64(0), "j": np.int64(1), "k": np.int64(2), "o": ints(1)},
        ),
    ],
)
def test_channels_that_are_moved_before_they_are_read(moves: str, more: dict[str, np.ndarray]) -> None:
    model = parse(f"{moves} {CONVOLUTION}", image="float[N,C,H,W] x", opset=18, **more, **weights(2, 3))
    compiled, _ = compile(model, image_size=(9, 11))
    assert (annotation(compiled).layout, annotation(compiled).channels) == ("NCHW", 3)
    check_exact(model, compiled)


def test_grey_pictures_that_are_repeated_have_one_channel() -> None:
    model = parse(f"n = Tile(x, t) {CONVOLUTION}", image="float[N,C,H,W] x", t=ints(1, 3, 1, 1), **weights(2, 3))
    compiled, _ = compile(model, image_size=(9, 11))
    assert annotation(compiled).channels == 1
    check_exact(model, compiled)


@pytest.mark.parametrize(
    ("moves", "image", "layout"),
    [
        ("u = Unsqueeze(x, o) p = ConstantOfShape(four) e = Expand(u, p) n = Tile(e, t)", "[N,a,b]", "NHW"),
        ("s = Shape(x) h = Slice(s, two, last, z) p = Concat<axis = 0>(o, t3, h) u = Unsqueeze(x, o) n = Expand(u, p)",
         "[N,a,b]", "NHW"),
        ("s = Shape(x) h = Gather(s, o) q = Sub(h, h) i = Add(q, bgr) n = Gather<axis = 1>(x, i)", "[N,c,a,b]", "NCHW"),
        ("n = Slice(x, z, t3, o)", "[N,c,a,b]", "NCHW"),
    ],
)  # fmt: skip
def test_sizes_and_indices_that_are_computed(moves: str, image: str, layout: str) -> None:
    more = {"o": ints(1), "two": ints(1), "last": ints(9), "z": ints(0), "t3": ints(3), "four": ints(4)}
    more |= {"t": ints(1, 3, 1, 1), "bgr": ints(2, 1, 0)}
    moves = moves.replace("ConstantOfShape(four)", "ConstantOfShape<value = int64[1] {1}>(four)")
    model = parse(f"{moves} {CONVOLUTION}", image=f"float{image} x", **more, **weights(2, 3))
    compiled, _ = compile(model, image_size=(9, 11))
    assert (annotation(compiled).layout, annotation(compiled).channels) == (layout, 1 if layout == "NHW" else 3)
    check_exact(model, compiled)


@pytest.mark.parametrize(("mean", "layout"), [((3,), "NHWC"), ((1, 3, 1, 1), "NCHW"), ((3, 1, 1), "NCHW")])
def test_a_mean_tells_the_channels_where_nothing_else_does(mean: tuple[int, ...], layout: str) -> None:
    arrays = {"mean": np.full(mean, 0.5, np.float32), "fw": (9 * 11 * 3, 5)}
    model = parse("s = Sub(x, mean) f = Flatten(s) y = MatMul(f, fw)", image="float[N,a,b,c] x", **arrays)
    compiled, _ = compile(model, image_size=(9, 11))
    assert (annotation(compiled).layout, annotation(compiled).channels) == (layout, 3)
    check_exact(model, compiled)


def test_channels_that_only_a_dense_layer_counts_are_tried() -> None:
    model = parse("r = Relu(x) f = Flatten(r) y = MatMul(f, fw)", image="float[N,C,H,W] x", fw=(9 * 11 * 3, 5))
    compiled, _ = compile(model, image_size=(9, 11), layout="NCHW")
    assert annotation(compiled).channels == 3
    check_exact(model, compiled)


def test_an_image_without_a_shape() -> None:
    for moves, layout, size in (("n = Identity(x)", "NCHW", (9, 11)), ("n = Unsqueeze(x, one)", "NHW", (9, 11))):
        model = parse(f"{moves} {CONVOLUTION}", one=ints(1), **weights(2, 3 if layout == "NCHW" else 1))
        model.graph.input[0].type.tensor_type.ClearField("shape")
        compiled, _ = compile(model, image_size=size)
        assert annotation(compiled).layout == layout
        with pytest.raises(ModelError, match=r"input 'x' without a shape.*--image-size H W"):
            compile(model)
    model = parse("f = Flatten(x) y = MatMul(f, fw)", fw=(9 * 11 * 3, 5))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match=r"has no shape.*--layout NCHW --image-size H W --channels C"):
        compile(model)
    compiled, _ = compile(model, layout="NCHW", image_size=(9, 11), channels=3)
    assert annotation(compiled).channels == 3


POOLED = "r = Relu(x) g = GlobalAveragePool(r) f = Flatten(g) y = ReduceSum<keepdims = 1>(f, one)"


def test_the_remedies_that_errors_name_work(tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.onnx"

    def run(*options: str) -> str:
        code = compile_cli.main([str(path), *options])
        return "" if code == 0 else capsys.readouterr().err

    onnx.save(parse(POOLED, image="float[N,C,H,W] x", scores="float[N,1] y", one=ints(1)), path)
    assert "--image-size H W" in run()
    assert "--channels C" in run("--image-size", "9", "11")
    assert not run("--image-size", "9", "11", "--channels", "2")
    assert "has 3 channels" in (
        onnx.save(parse(POOLED, scores="float[N,1] y", one=ints(1)), path) or run("--channels", "2")
    )
    rows = "f = Flatten(x) y = MatMul(f, fw)"
    onnx.save(parse(rows, image="float[N,99] x", fw=(99, 5)), path)
    assert "--layout" in run()
    assert "--image-size H W" in run("--layout", "flat-NCHW")
    assert not run("--layout", "flat-NCHW", "--image-size", "9", "11")
    assert not run("--layout", "NL")
    onnx.save(
        parse(rows.replace("Flatten(x)", "Reshape(x, sh)"), image="float[9,11] x", sh=ints(1, 99), fw=(99, 5)), path
    )
    assert "--layout" in run()
    assert not run("--layout", "HW")
    assert "expected HW, NL" in run("--layout", "NCHW")


def test_batches_of_every_rank_are_made_one() -> None:
    for axes in (1, 2, 3):
        shape = (4, 3, *SIZES[axes])
        image = f"float[{','.join(map(str, shape))}] x"
        text = CONVOLUTION.replace("f = Flatten(g)", "f = Reshape(g, sh)").replace("Conv(n", "Conv(x")
        model = parse(text, image=image, scores="float[4,5] y", sh=ints(4, 8), **weights(axes, 3))
        compiled, report = compile(model)
        assert any("4 images at once" in note for note in report.notes)
        assert annotation(compiled).image_shape == SIZES[axes]


def test_inputs_that_no_score_needs_are_no_inputs() -> None:
    text = f"z = Relu(phase) {CONVOLUTION.replace('(n', '(x')}"
    model = parse(text, image="float[N,3,9,11] x, float[1] phase, int64[2] other", **weights(2, 3))
    compiled, _ = compile(model)
    assert [value.name for value in compiled.graph.input][:3] == ["x", "boxes", "baseline"]
    compile(model, held={"phase": 1})
    compile(model, input_name="x")


def test_a_layout_of_another_rank_lists_those_that_fit() -> None:
    model = parse(CONVOLUTION.replace("(n", "(x"), image="float[N,3,9,11] x", **weights(2, 3))
    with pytest.raises(ModelError, match=r"layout NCL: input 'x'.*has 4 axes; expected NCHW, NHWC"):
        compile(model, layout="NCL")
    with pytest.raises(ModelError, match="layout 'XY': expected one of NCL"):
        compile(model, layout="XY")


def test_a_reshape_to_computed_sizes() -> None:
    moves = "s = Shape(x) b = Gather(s, zero) u = Identity(b) t = Concat<axis = 0>(u, rest) n = Reshape(x, t)"
    more = {"zero": ints(0), "rest": ints(1, 9, 11)}
    text = f"{moves} {CONVOLUTION}"
    for image, layout in (("float[N,9,11] x", "NHW"), ("float[N,99] x", "flat-NCHW")):
        model = parse(text, image=image, **more, **weights(2, 1))
        compiled, _ = compile(model)
        assert annotation(compiled).layout == layout
        check_exact(model, compiled)


def test_axes_are_followed_through_dequantized_weights() -> None:
    text = "d = DequantizeLinear(q, s) t = Transpose<perm = [3, 2, 0, 1]>(d) c = Conv(x, t) y = Flatten(c)"
    arrays = {"q": np.zeros((3, 3, 6, 8), np.int8), "s": np.float32(0.1)}
    model = parse(text, image="float[N,C,H,W] x", **arrays)
    found = trace_axes(model, "x", [None] * 4)
    assert found is not None
    assert (found.layout, found.channels) == ("NCHW", 6)
    assert numpy_helper.to_array(model.graph.initializer[0]).shape == (3, 3, 6, 8)
