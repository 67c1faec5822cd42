"""Files that users take for models: both command lines say what each is, and what to do."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import onnx
import pytest

from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli.explain import main as explain
from tests.support.small import small_model


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"content")
    return buffer.getvalue()


FILES = {
    "of PyTorch": (zipped("archive/data.pkl"), "a PyTorch file; export the model with torch.onnx.export"),
    "of old PyTorch": (pickle.dumps({"a": 1}, protocol=2), "a Python pickle"),
    "zipped": (zipped("model.onnx"), "a zip archive; unpack it first"),
    "a cut archive": (zipped("model.onnx")[:40], "a damaged zip archive"),
    "gzipped": (gzip.compress(b"model"), "a gzip archive; unpack it first"),
    "of Keras": (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
    "of TensorFlow Lite": (b"\x1c\x00\x00\x00TFL3" + bytes(50), "a TensorFlow Lite model"),
    "a web page": (b"<!DOCTYPE html><html>", "a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    "text": (b"my model\n", "a text file"),
    "empty": (b"", "an empty file"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_another_kind(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, expected = FILES[kind]
    (tmp_path / "m.onnx").write_bytes(content)
    check(tmp_path, capsys, "expected an ONNX model, found ", expected)


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.onnx").mkdir()
    check(tmp_path, capsys, "expected an ONNX model, found a folder; name the .onnx file in it")


@pytest.mark.parametrize("what", ["gone", "cut"])
def test_weights_in_another_file(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, data = tmp_path / "m.onnx", tmp_path / "m.data"
    onnx.save(small_model(), path, save_as_external_data=True, location=data.name, size_threshold=0)
    if what == "gone":
        data.unlink()
        check(tmp_path, capsys, "m.data", "Its weights belong in the same folder")
    else:
        data.write_bytes(data.read_bytes()[:500])
        check(tmp_path, capsys, "m.onnx", "tensor 'w1'")


def check(folder: Path, capsys: pytest.CaptureFixture[str], *expected: str) -> None:
    path = str(folder / "m.onnx")
    for program, main, arguments in (("compile", compile_cli.main, [path]), ("explain", explain, [path, "none.png"])):
        assert main(arguments) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert said[0].startswith(f"krypton-{program}: error: ")
        for text in expected:
            assert text in said[0]
