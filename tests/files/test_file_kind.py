"""Files that users take for models: both command lines say what each is, and what to do."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import onnx
import pytest

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli.explain import main as explain
from krypton_compile.errors import ModelError
from krypton_compile.files.file_kind import describe_file
from tests.support.small import small_model


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
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
    "of ORT format": (b"\x18\x00\x00\x00ORTM" + bytes(50), "an ORT-format model"),
    "of Keras 3": (zipped("metadata.json", "config.json", "model.weights.h5"), "a Keras model; export it with"),
    "TorchScript": (zipped("m/data.pkl", "m/constants.pkl", "m/code/x.py"), "load it with torch.jit.load"),
    "exported PyTorch": (zipped("m/models/model.json", "m/archive_format"), "load it with torch.export.load"),
    "zipped SavedModel": (zipped("m/saved_model.pb"), "--saved-model FOLDER"),
    "zipped Core ML": (zipped("m.mlpackage/Manifest.json", "m.mlpackage/Data/m.mlmodel"), "a Core ML model"),
    "arrays": (zipped("a.npy", "b.npy"), "a NumPy archive"),
    "of scikit-learn": (pickle.dumps({"a": 1}, protocol=4), "skl2onnx"),
    "safetensors": ((20).to_bytes(8, "little") + b'{"a":{"dtype":"F32"}}', "a safetensors file"),
    "of MATLAB": (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "exportONNXNetwork"),
    "of TensorRT": (b"ftrt" + bytes(30), "a TensorRT engine"),
    "of OpenVINO": (b'<?xml version="1.0"?><net name="m" version="11">', "an OpenVINO model"),
    "GGUF": (b"GGUF\x03\x00\x00\x00", "a GGUF file"),
    "of TensorFlow.js": (b'{"format": "graph-model", "modelTopology": {}}', "--tfjs FILE"),
    "a configuration": (b'{"architectures": ["ViT"], "model_type": "vit"}', "optimum-cli export onnx"),
    "JSON": (b'{"a": 1}', "JSON text"),
    "a tar archive": (bytes(257) + b"ustar" + bytes(250), "a tar archive; unpack it first"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "a picture, not a model"),
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


SUFFIXES = {
    ".mlmodel": "a Core ML model",
    ".pdmodel": "paddle2onnx",
    ".caffemodel": "a Caffe model",
    ".pb": "--graphdef FILE",
    ".h5": "a Keras model",
    ".plan": "a TensorRT engine",
    ".rknn": "a model for one kind of device",
    ".PT": "a PyTorch file",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"\x08\x07", b"\x0a\x03net", b"\xff\xfe\x00\x01" * 9], ids=["proto", "name", "bytes"]
)
def test_a_file_that_only_its_name_tells(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    assert SUFFIXES[suffix] in str(describe_file(path))
    with pytest.raises(ModelError, match="expected an ONNX model, found "):
        compile(path)


FOLDERS = {
    "saved": (["saved_model.pb", "variables"], "tf2onnx: python -m tf2onnx.convert --saved-model FOLDER"),
    "hugging face": (["config.json", "model.safetensors"], "optimum-cli export onnx --model FOLDER OUTPUT"),
    "paddle": (["inference.pdmodel", "inference.pdiparams"], "paddle2onnx"),
    "core ml": (["Manifest.json", "Data"], "a Core ML model"),
    "openvino": (["m.xml", "m.bin"], "an OpenVINO model"),
    "onnx": (["m.onnx", "config.json"], "a folder; name the .onnx file in it"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_of_another_kind(kind: str, tmp_path: Path) -> None:
    names, expected = FOLDERS[kind]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelError, match=f"expected an ONNX model, found .*{expected.replace('.', '[.]')}"):
        compile(tmp_path)


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
