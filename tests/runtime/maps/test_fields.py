"""Signals and volumes through a session: explanations are the naive loop's; what is for pictures is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli.explain import main as explain_main
from krypton_compile.errors import ModelError, OcclusionError
from krypton_compile.runtime import Approximation, FieldExplanation, OcclusionSession
from tests.support.graphs import parse, run_naive

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) s = Gemm<transB=1>(f, fw, fb) y = Softmax<axis=1>(s)"
SIZES = {"signal": (60,), "volume": (6, 12, 14)}
PATCH, STRIDE = {"signal": (9,), "volume": (3, 4, 5)}, {"signal": (4,), "volume": (2, 3, 4)}
BASELINE = [0.5, -0.25]


def make_model(kind: str, symbolic: bool = False) -> onnx.ModelProto:
    sizes = SIZES[kind]
    ones = [1] * 2 * len(sizes)
    body = (
        f"c = Conv<pads={ones}>(x, w0, b0) r = Relu(c) "
        f"p = MaxPool<kernel_shape={[2] * len(sizes)}, strides={[2] * len(sizes)}>(r) "
        f"d = Conv<pads={ones}>(p, w1) h = Relu(d) {HEAD}"
    )
    shape = ",".join(("D", "H", "W")[-len(sizes) :] if symbolic else map(str, sizes))
    kernel = (3,) * len(sizes)
    weights = {"w0": (6, 2, *kernel), "b0": (6,), "w1": (8, 6, *kernel), "fw": (5, 8), "fb": (5,)}
    return parse(body, image=f"float[N,2,{shape}] x", **weights)


def make_image(kind: str) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((1, 2, *SIZES[kind])).astype(np.float32)


@pytest.fixture(scope="module", params=SIZES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def session(kind: str, tmp_path_factory: pytest.TempPathFactory) -> OcclusionSession:
    path = tmp_path_factory.mktemp("fields") / "m.krypton.onnx"
    compile(make_model(kind), path, labels=list("abcde"))
    return OcclusionSession(path, threads=2)


def occluded(kind: str, boxes: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    images = np.repeat(make_image(kind), len(boxes), axis=0)
    for image, box in zip(images, boxes, strict=True):
        area = tuple(slice(start, start + size) for start, size in zip(*np.split(box, 2), strict=True))
        image[(slice(None), *area)] = baseline[(slice(None), *area)]
    return images


def full(kind: str, baseline: object) -> np.ndarray:
    array = np.asarray(baseline, np.float32)
    return (
        np.broadcast_to(array.reshape(-1, *[1] * len(SIZES[kind])), (2, *SIZES[kind])) if array.ndim < 2 else array[0]
    )


@pytest.mark.parametrize("baseline", [None, 0.75, BASELINE, "array"])
def test_an_explanation_is_the_naive_loops(session: OcclusionSession, kind: str, baseline: object) -> None:
    image = make_image(kind)
    given = image[..., ::-1].copy() if baseline == "array" else baseline
    found = session.explain(image, PATCH[kind], STRIDE[kind], given)
    assert isinstance(found, FieldExplanation)
    shown = full(kind, 0.0 if given is None else given)
    expected = run_naive(make_model(kind), occluded(kind, found.boxes, shown))
    assert found.scores.reshape(len(found.boxes), -1) == pytest.approx(expected, abs=1e-6)
    assert expected.std(axis=0).max() > 1e-4, "windows do not matter"
    base = run_naive(make_model(kind), image)[0]
    assert found.base_scores == pytest.approx(base, abs=1e-6)
    assert found.target == int(base.argmax())
    drop = base[found.target] - expected[:, found.target]
    total, count = np.zeros(SIZES[kind]), np.zeros(SIZES[kind])
    for value, box in zip(drop, found.boxes, strict=True):
        area = tuple(slice(start, start + size) for start, size in zip(*np.split(box, 2), strict=True))
        total[area] += value
        count[area] += 1
    assert found.heatmap() == pytest.approx(total / count, abs=1e-6)
    assert found.heatmap(reduce="sum") == pytest.approx(total, abs=1e-5)
    assert found.heatmap(reduce="none").shape == found.scores.shape[:-1]
    assert found.exact


def test_the_grid_and_its_options(session: OcclusionSession, kind: str) -> None:
    image = make_image(kind)
    found = session.explain(image, 4, 3, target="b", classes=[1, 3], value="score", edge="valid")
    assert found.scores.shape == (*((size - 4) // 3 + 1 for size in SIZES[kind]), 2)
    assert found.values("d") == pytest.approx(found.scores[..., 1])
    assert "b," in repr(found)
    with pytest.raises(OcclusionError, match="not kept"):
        found.values("a")
    logits = session.explain(image, 4, 3, activation="pre")
    assert session.explain(image, 4, 3, activation="pre", batch_size=2).scores == pytest.approx(logits.scores, abs=1e-5)
    done: list[tuple[int, int]] = []
    session.explain(image, 4, 3, progress=lambda *at: done.append(at))
    assert done[-1] == (len(logits.boxes), len(logits.boxes))


def test_patches_and_masks_come_in_the_order_of_the_box(session: OcclusionSession, kind: str) -> None:
    image, axes = make_image(kind), len(SIZES[kind])
    rng = np.random.default_rng(2)
    boxes = np.array(
        [[1] * axes + [3] * axes, [0] * axes + [*SIZES[kind]], [0] * 2 * axes, [2] * axes + [2] * axes], np.int32
    )
    rows = int(np.prod(boxes[:, axes:], axis=1).sum())
    patches, mask = rng.standard_normal((rows, 2)).astype(np.float32), rng.random(rows) < 0.6
    prepared = session.prepare(image)
    found = session.score(prepared, boxes, patches=patches, mask=mask)
    images, row = np.repeat(image, len(boxes), axis=0), 0
    for one, box in zip(images, boxes, strict=True):
        for place in np.ndindex(*box[axes:]):
            if mask[row]:
                one[(slice(None), *(start + at for start, at in zip(box, place, strict=False)))] = patches[row]
            row += 1
    assert found.scores == pytest.approx(run_naive(make_model(kind), images), abs=1e-6)
    assert session.error < 1e-5


REFUSED = {
    "roi": {"roi": (0, 0, 4, 4)},
    "segments": {"segments": "slic:4"},
    "samples": {"samples": 3},
    "layout": {"layout": "HWC"},
    "baseline_space": {"baseline_space": "picture"},
    "approximation": {"approximation": Approximation(tau=0.5)},
    "patch_size": {"patch_size": [4, 8]},
    "stride": {"stride": (1, 2, 3, 4)},
    "exceeds": {"patch_size": 100},
    "baseline": {"baseline": "blur"},
    "channels": {"baseline": [1, 2, 3]},
    "target": {"target": 9},
    "value": {"value": "worth"},
    "batch_size": {"batch_size": 0},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_for_pictures_is_refused(session: OcclusionSession, kind: str, what: str) -> None:
    asked = {"patch_size": 4, "stride": 4, **REFUSED[what]}
    with pytest.raises(OcclusionError, match=what):
        session.explain(make_image(kind), **asked)


def test_other_ways_of_explaining_are_refused(session: OcclusionSession, kind: str) -> None:
    image = make_image(kind)
    found = session.explain(image, 4, 4)
    for call in (
        lambda: session.iter_explain(image, 4, 4),
        lambda: session.explain_progressively(image, 4, 4),
        lambda: session.estimate(image, 4, 4),
        lambda: session.verify(found, image),
    ):
        with pytest.raises(OcclusionError, match=f"{kind} of .*for pictures"):
            call()
    for name in ("overlay", "figure", "save"):
        with pytest.raises(AttributeError, match=f"a {kind} is not drawn"):
            getattr(found, name)
    for wrong in (image[0], image.astype(np.float64), image[..., :-1]):
        with pytest.raises(OcclusionError, match="image: expected"):
            session.explain(wrong, 4, 4)
    with pytest.raises(OcclusionError, match="boxes: expected integers"):
        session.score_boxes(image, np.zeros((1, 4), np.int32))
    with pytest.raises(OcclusionError, match="does not lie inside"):
        session.score_boxes(image, np.full((1, 2 * len(SIZES[kind])), 50, np.int32))


def test_the_command_line_compiles_and_explains_pictures_alone(kind: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(make_model(kind, symbolic=True), path)
    assert compile_cli.main([str(path)]) == 2
    assert "--image-size" in capsys.readouterr().err
    assert compile_cli.main([str(path), "--image-size", "20", "24"]) == 2
    assert f"expected an image size of {len(SIZES[kind])} numbers" in capsys.readouterr().err
    sizes = [str(size) for size in SIZES[kind]]
    assert compile_cli.main(["--image-size", *sizes, str(path), "--patch-size", "4"]) == 0
    said = capsys.readouterr().out
    assert f"patch {'x'.join(['4'] * len(sizes))}, stride" in said
    assert "incremental: 100.0%" in said
    opened = OcclusionSession(tmp_path / "m.krypton.onnx")
    assert opened.image_shape == (1, 2, *SIZES[kind])
    assert explain_main([str(tmp_path / "m.krypton.onnx"), str(path)]) == 2
    assert f"its input is a {kind}" in capsys.readouterr().err


def test_a_preprocessing_is_refused(kind: str, session: OcclusionSession, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="preprocessing: for pictures"):
        compile(make_model(kind), preprocessing="unit")
    path = tmp_path / "m.krypton.onnx"
    compile(make_model(kind), path, verify=False)
    with pytest.raises(OcclusionError, match="for pictures"):
        OcclusionSession(path, preprocessing="unit")
