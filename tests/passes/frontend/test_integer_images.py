"""Images of integers, of 16 and of 64 bits: their numbers are those of a float32 image, wherever they become floats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krypton_compile import compile
from krypton_compile.runtime import OcclusionSession, Preprocessing
from tests.support.graphs import floats, ints, parse
from tests.support.own_images import annotation, check_exact

TAIL = "d = Div(n, k) c = Conv(d, w) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, fw)"
WEIGHTS = {"k": floats(64.0), "w": (8, 3, 3, 3), "fw": (8, 5)}
KINDS = {
    "uint8": np.uint8,
    "int8": np.int8,
    "uint16": np.uint16,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
}
MOVES = {
    "cast": ("[N,3,9,11]", "n = Cast<to = 1>(x)", {}),
    "transpose": ("[N,9,11,3]", "t = Transpose<perm = [0, 3, 1, 2]>(x) n = Cast<to = 1>(t)", {}),
    "slice": (
        "[N,3,12,11]",
        "s = Slice(x, b, e, a) n = Cast<to = 1>(s)",
        {"b": ints(2), "e": ints(11), "a": ints(2)},
    ),
    "unsqueeze": (
        "[9,11,3]",
        "u = Unsqueeze(x, o) t = Transpose<perm = [0, 3, 1, 2]>(u) n = Cast<to = 1>(t)",
        {"o": ints(0)},
    ),
    "reshape": ("[N,297]", "q = Reshape(x, sh) n = Cast<to = 1>(q)", {"sh": ints(-1, 3, 9, 11)}),
    "gather": ("[N,3,9,11]", "q = Gather<axis = 1>(x, i) n = Cast<to = 1>(q)", {"i": ints(2, 1, 0)}),
    "two casts": ("[N,3,9,11]", "q = Cast<to = 7>(x) n = Cast<to = 1>(q)", {}),
    "both ways": ("[N,3,9,11]", "q = Cast<to = 1>(x) s = Identity(x) v = Cast<to = 1>(s) n = Add(q, v)", {}),
}


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(MOVES)))
def test_integers_that_are_only_moved(kind: str, moves: str) -> None:
    shape, text, more = MOVES[moves]
    model = parse(f"{text} {TAIL}", image=f"{kind}{shape} x", **WEIGHTS, **more)
    compiled, report = compile(model)
    assert any(f"a {kind} image: now float32" in note for note in report.notes)
    assert [layer.became for layer in report.layers if layer.op == "Conv"] == ["incremental"]
    check_exact(model, compiled, KINDS[kind])


QUANTIZED = {
    "of all": {"s": np.float32(0.02), "z": np.uint8(30)},
    "without a zero": {"s": np.float32(0.02)},
    "of channels": {"s": floats(0.01, 0.02, 0.03), "z": np.array([10, 20, 30], np.uint8)},
}


@pytest.mark.parametrize("kind", QUANTIZED)
def test_integers_that_are_dequantized(kind: str) -> None:
    zero = ", z" if "z" in QUANTIZED[kind] else ""
    text = f"t = Transpose<perm = [0, 3, 1, 2]>(x) n = DequantizeLinear<axis = 1>(t, s{zero}) {TAIL}"
    model = parse(text, image="uint8[N,9,11,3] x", **WEIGHTS, **QUANTIZED[kind])
    compiled, report = compile(model)
    assert [layer.became for layer in report.layers if layer.op == "Conv"] == ["incremental"]
    check_exact(model, compiled, np.uint8)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int32", "q = Div(x, two) n = Cast<to = 1>(q)"),
        ("uint8", "q = Cast<to = 3>(x) n = Cast<to = 1>(q)"),
        ("uint8", 'q = BitShift<direction = "RIGHT">(x, one) n = Cast<to = 1>(q)'),
    ],
)
def test_integers_that_are_computed_with_stay_integers(kind: str, text: str) -> None:
    more = {"two": np.int32(2), "one": np.uint8(1)}
    model = parse(f"{text} {TAIL}", image=f"{kind}[N,3,9,11] x", **WEIGHTS, **more)
    compiled, report = compile(model)
    assert any("of whose integers the model computes" in note for note in report.notes)
    check_exact(model, compiled, KINDS[kind])


@pytest.mark.parametrize("kind", ["float16", "double"])
@pytest.mark.parametrize("shape", ["[N,3,9,11]", "[9,11,3]", "[N,297]"])
def test_floats_of_other_widths_in_every_shape(kind: str, shape: str) -> None:
    moves = {
        "[N,3,9,11]": "m = Identity(x)",
        "[9,11,3]": "u = Unsqueeze(x, o) m = Transpose<perm = [0, 3, 1, 2]>(u)",
        "[N,297]": "m = Reshape(x, sh)",
    }
    text = f"{moves[shape]} n = Cast<to = 1>(m) {TAIL}"
    model = parse(text, image=f"{kind}{shape} x", o=ints(0), sh=ints(-1, 3, 9, 11), **WEIGHTS)
    compiled, _ = compile(model)
    about = annotation(compiled)
    assert (about.image_shape, about.channels) == ((9, 11), 3)
    if kind == "double":  # onnxruntime rounds a float16 image, which the float32 one is not
        check_exact(model, compiled, np.float64)


def test_a_grey_picture_of_bytes_is_explained_from_a_file(tmp_path) -> None:
    from PIL import Image

    text = f"u = Unsqueeze(x, o) n = Cast<to = 1>(u) {TAIL}"
    model = parse(text, image="uint8[N,28,26] x", **{**WEIGHTS, "w": (8, 1, 3, 3), "o": ints(1)})
    compile(model, tmp_path / "m.krypton.onnx")
    session = OcclusionSession(tmp_path / "m.krypton.onnx")
    assert (session.layout, session.image_shape, session.spatial) == ("NHW", (1, 28, 26), (28, 26))
    assert session.preprocessing == Preprocessing()
    pixels = np.random.default_rng(0).integers(0, 256, (28, 26), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    explanation = session.explain(tmp_path / "grey.png", 6, 4)
    again = session.explain(pixels.astype(np.float32)[None], 6, 4)
    np.testing.assert_allclose(explanation.scores, again.scores, rtol=1e-6)
    full = session.score_boxes(pixels.astype(np.float32)[None, None], explanation.boxes[:3])
    np.testing.assert_allclose(full, session.score_boxes(pixels.astype(np.float32)[None], explanation.boxes[:3]))
    explanation.save(tmp_path / "map")
    assert session.verify(explanation, tmp_path / "grey.png", windows=4).largest <= explanation.resolution
    baseline = np.full((1, 28, 26), 7, np.float32)
    assert session.explain(pixels, 6, 4, baseline=baseline).scores.shape == explanation.scores.shape
