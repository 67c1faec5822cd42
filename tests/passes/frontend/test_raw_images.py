"""Images as data sets have them: grey without a channel axis, one picture without a batch, rows of numbers, audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from krypton_compile import compile
from krypton_compile.cli.explain import main as explain
from tests.support.graphs import floats, ints, parse
from tests.support.own_images import annotation, check_exact

TAIL = "c = Conv(n, w) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, fw)"
LAST = "n = Transpose<perm = [0, 3, 1, 2]>"
BYTES = {"k": floats(255.0), "m": floats(0.4, 0.5, 0.6)}


def kernel(channels: int, *window: int) -> dict[str, object]:
    return {"w": (8, channels, *window), "fw": (8, 5)}


SPELLINGS = {
    # name: image, moves, arrays, layout, spatial sizes
    "Keras' grey pictures": ("[N,28,26]", f"q = Reshape(x, a) {LAST}(q)", {"a": ints(-1, 28, 26, 1)}, "NHW", (28, 26)),
    "rows of numbers": ("[N,728]", f"q = Reshape(x, a) {LAST}(q)", {"a": ints(-1, 28, 26, 1)}, "flat-NCHW", (28, 26)),
    "rows that are scaled": (
        "[N,728]",
        f"d = Div(x, k) q = Reshape(d, a) {LAST}(q)",
        {"a": ints(-1, 28, 26, 1), "k": floats(2.0)},
        "flat-NCHW",
        (28, 26),
    ),
    "one row of numbers": ("[728]", "n = Reshape(x, a)", {"a": ints(1, 1, 28, 26)}, "flat-CHW", (28, 26)),
    "one grey picture": ("[28,26]", "n = Unsqueeze(x, a)", {"a": ints(0, 1)}, "HW", (28, 26)),
    "a grey picture made three": (
        "[N,28,26]",
        "u = Unsqueeze(x, a) n = Concat<axis = 1>(u, u, u)",
        {"a": ints(1), **kernel(3, 3, 3)},
        "NHW",
        (28, 26),
    ),
    "one picture": (
        "[28,26,3]",
        "t = Transpose<perm = [2, 0, 1]>(x) n = Unsqueeze(t, a)",
        {"a": ints(0), **kernel(3, 3, 3)},
        "HWC",
        (28, 26),
    ),
    "raw audio": ("[N,300]", "n = Unsqueeze(x, a)", {"a": ints(1), **kernel(1, 3)}, "NL", (300,)),
    "raw audio of one row": ("[N,300]", "n = Unsqueeze(x, a)", {"a": ints(1, 2), **kernel(1, 1, 3)}, "NL", (300,)),
    "raw audio of one column": ("[N,300]", "n = Unsqueeze(x, a)", {"a": ints(1, 3), **kernel(1, 3, 1)}, "NL", (300,)),
    "Keras' Conv1D": (
        "[N,60,6]",
        f"u = Unsqueeze(x, a) {LAST}(u)",
        {"a": ints(1), **kernel(6, 1, 3)},
        "NLC",
        (60,),
    ),
    "grey volumes": ("[N,6,7,8]", "n = Unsqueeze(x, a)", {"a": ints(1), **kernel(1, 3, 3, 3)}, "NDHW", (6, 7, 8)),
    "many bands": ("[N,30,9,9]", "n = Identity(x)", kernel(30, 3, 3), "NCHW", (9, 9)),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_an_image_as_its_data_set_has_it(kind: str) -> None:
    image, moves, arrays, layout, spatial = SPELLINGS[kind]
    model = parse(f"{moves} {TAIL}", image=f"float{image} x", **{**kernel(1, 3, 3), **arrays})
    compiled, report = compile(model)
    about = annotation(compiled)
    assert (about.layout, about.image_shape) == (layout, spatial)
    assert report.incremental_share == 1
    check_exact(model, compiled)


def test_an_image_of_a_named_layout_that_nothing_tells() -> None:
    text = "f = Flatten(x) y = MatMul(f, fw)"
    for image, layout, size, shape in (
        ("[N,72]", "flat-NHWC", (4, 6), (4, 6, 3)),
        ("[4,6,3]", "HWC", None, (4, 6, 3)),
        ("[N,72]", "NL", None, (72, 1)),
    ):
        model = parse(text if image[1] == "N" else f"b = Unsqueeze(x, a) {text.replace('(x)', '(b)')}",
                      image=f"float{image} x", fw=(72, 5), a=ints(0))  # fmt: skip
        compiled, _ = compile(model, layout=layout, image_size=size)
        about = annotation(compiled)
        assert (about.layout, *about.image_shape, about.channels) == (layout, *shape)
        check_exact(model, compiled)


@pytest.mark.parametrize(
    ("image", "moves", "arrays"),
    [
        ("float[N,728]", f"d = Div(x, k) q = Reshape(d, a) {LAST}(q)", {"a": ints(-1, 28, 26, 1), **kernel(1, 3, 3)}),
        ("float[28,26]", "n = Unsqueeze(x, a)", {"a": ints(0, 1), **kernel(1, 3, 3)}),
        (
            "uint8[28,26,3]",
            "u = Cast<to = 1>(x) d = Div(u, k) s = Sub(d, m) t = Transpose<perm = [2, 0, 1]>(s) n = Unsqueeze(t, a)",
            {"a": ints(0), **kernel(3, 3, 3)},
        ),
    ],
)
def test_a_picture_is_explained_by_the_command(
    image: str, moves: str, arrays: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Compiled on the fly, explained, verified by the original's file, and drawn."""
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    onnx.save(parse(f"{moves} {TAIL}", image=f"{image} x", **BYTES, **arrays), "m.onnx")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 36, 3), np.uint8)).save("p.png")
    assert explain(["m.onnx", "p.png", "--preprocess", "none", "--patch-size", "6", "--verify", "4"]) == 0
    assert "random windows on m.onnx differ by" in capsys.readouterr().out
    assert np.load("p_heatmap.npy").shape == (28, 26)
