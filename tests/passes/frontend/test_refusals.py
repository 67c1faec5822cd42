"""Input that cannot be compiled: one clear line, exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.errors import ModelError
from tests.support.graphs import compile_and_check, parse, run_compiled

TAIL = "g = GlobalAveragePool(r) f = Flatten(g) y = Gemm(f, fw)"
GOOD = f"c = Conv(x, w0) r = Relu(c) {TAIL}"
WEIGHTS = {"w0": (8, 3, 3, 3), "fw": (8, 5)}


def good(**options) -> onnx.ModelProto:
    return parse(GOOD, **options, **WEIGHTS)


def refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = sorted(folder.iterdir())
    assert compile_cli.main(arguments) == 2
    assert sorted(folder.iterdir()) == before, "something was written"
    error = capsys.readouterr().err.strip()
    assert error.startswith("krypton-compile: error: ")
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x09" * 40, None])
def test_files_that_are_no_models(content: bytes | None, tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(good().SerializeToString()[:300] if content is None else content)
    assert "expected an ONNX model" in refused([str(path)], tmp_path, capsys)


def test_a_missing_file(tmp_path: Path, capsys) -> None:
    assert "No such file" in refused([str(tmp_path / "none.onnx")], tmp_path, capsys)


MODELS = {
    "no image": (parse("y = Relu(x)", image="float[N,5] x"), "rank 4"),
    "several inputs": (
        parse(f"z = Mul(x, a) {GOOD.replace('(x,', '(z,')}", image="float[N,3,17,19] x, float[1] a", **WEIGHTS),
        "'a'",
    ),
    "image of text": (
        parse(f"z = Cast<to=1>(x) {GOOD.replace('(x,', '(z,')}", image="string[N,3,17,19] x", **WEIGHTS),
        "float32",
    ),
    "several outputs": (good(scores="float[N,5] y, float[N,8] f"), "--output-name"),
    "a map": (parse("c = Conv(x, w0) y = Relu(c)", scores="float[N,8,15,17] y", w0=(8, 3, 3, 3)), "class scores"),
    "a count of classes": (
        parse(f"{GOOD.replace('y =', 's =')} y = Shape(s)", scores="int64[2] y", **WEIGHTS),
        "float32",
    ),
    "a batch of four": (
        parse(
            f"{GOOD.replace('y =', 's =')} y = CumSum(s, axis)",
            image="float[4,3,17,19] x",
            scores="float[4,5] y",
            axis=np.int64(0),
            **WEIGHTS,
        ),
        "dynamic batch",
    ),
    "symbolic size": (good(image="float[N,3,H,W] x"), "--image-size"),
    "no image in it": (parse("z = Relu(x) y = Identity(k)", scores="float[1,5] y", k=(1, 5)), "does not depend"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_models_that_are_refused(kind: str, tmp_path: Path, capsys) -> None:
    model, message = MODELS[kind]
    onnx.save(model, tmp_path / "m.onnx")
    assert message in refused([str(tmp_path / "m.onnx")], tmp_path, capsys)


def test_a_size_that_does_not_fit(tmp_path: Path, capsys) -> None:
    onnx.save(good(), tmp_path / "m.onnx")
    assert "--image-size" in refused([str(tmp_path / "m.onnx"), "--image-size", "32", "32"], tmp_path, capsys)


def test_an_output_over_the_model(tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(good(), path)
    assert "overwrite" in refused([str(path), "-o", str(path)], tmp_path, capsys)


def test_a_model_that_would_differ_is_not_written(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(good(), tmp_path / "m.onnx")
    monkeypatch.setattr("krypton_compile.passes.verify.LOGIT_BOUND", 1e-12)
    monkeypatch.setattr("krypton_compile.passes.verify.NOISE_FACTOR", 0)  # onnxruntime differs from itself by as much
    assert "differs from the original" in refused([str(tmp_path / "m.onnx")], tmp_path, capsys)


def test_a_library_that_does_not_load(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(good(), tmp_path / "m.onnx")
    monkeypatch.setenv("KRYPTON_OPS_LIBRARY", str(tmp_path / "none.so"))
    assert "none.so" in refused([str(tmp_path / "m.onnx")], tmp_path, capsys)


def test_symbolic_size_with_a_size(tmp_path: Path, capsys) -> None:
    onnx.save(good(image="float[N,3,H,W] x"), tmp_path / "m.onnx")
    report = tmp_path / "report.json"
    assert compile_cli.main([str(tmp_path / "m.onnx"), "--image-size", "20", "24", "--report", str(report)]) == 0
    assert (tmp_path / "m.krypton.onnx").exists()
    assert "redundancy_overlap" in report.read_text()
    assert "verification: 9 positions" in capsys.readouterr().out


def test_a_named_output_is_chosen() -> None:
    model = good(scores="float[N,5] y, float[N,8,1,1] g")
    for name, classes in (("g", 8), ("y", 5)):
        compiled, report = compile(model, output_name=name)
        assert compiled.graph.output[1].type.tensor_type.shape.dim[1].dim_value == classes
        assert report.verification.startswith("9 positions")


@pytest.mark.parametrize("kind", ["bytes", "proto", "ir", "path"])
def test_every_kind_of_source(kind: str, tmp_path: Path) -> None:
    import onnx_ir as ir

    model = good()
    onnx.save(model, tmp_path / "m.onnx")
    sources = {
        "bytes": model.SerializeToString(),
        "proto": model,
        "ir": ir.from_proto(model),
        "path": tmp_path / "m.onnx",
    }
    before = model.SerializeToString()
    compiled, report = compile(sources[kind], tmp_path / "out.onnx")
    assert model.SerializeToString() == before, "the given model was changed"
    assert onnx.load(tmp_path / "out.onnx").graph.node == compiled.graph.node
    assert report.incremental_share == 1


def test_names_that_collide_get_a_prefix() -> None:
    model = parse(
        GOOD.replace("(x,", "(boxes,").replace("y =", "scores ="),
        image="float[N,3,17,19] boxes",
        scores="float[N,5] scores",
        **WEIGHTS,
    )
    compile_and_check(model)
    compiled, _ = compile(model, verify=False)
    assert [value.name for value in compiled.graph.input][:2] == ["boxes", "krypton_boxes"]
    feeds = {"boxes": np.zeros((1, 3, 17, 19), np.float32), "krypton_boxes": np.zeros((2, 4), np.int32)}
    feeds["baseline"] = feeds["boxes"]
    assert run_compiled(compiled, feeds, ["krypton_scores"])[0].shape == (2, 5)


def test_errors_are_of_one_family() -> None:
    with pytest.raises(ModelError):
        compile(b"nothing")
