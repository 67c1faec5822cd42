"""What a file that is no ONNX model looks like: by its contents, else by its name, with the converter that helps.

Most wrong files are a model of another kind, an archive of one, or a download that went wrong.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from krypton_compile.disk.read import open_regular

_EXPORT = "export the model with torch.onnx.export"
_UNPACK = "unpack it first"
_TF2ONNX = "convert it with tf2onnx: python -m tf2onnx.convert"
_OPTIMUM = "export the model with optimum-cli export onnx"
_SOURCE = "give the .onnx file that it was made of"
_PICKLE = (
    f"a Python pickle, as torch.save wrote them once and scikit-learn's users do; {_EXPORT}, or with skl2onnx if it is "
    "scikit-learn's"
)
_SAFETENSORS = f"a safetensors file, weights without a network; load them into the network, and {_EXPORT}"
_KERAS = "a Keras model; export it with model.export(PATH, format='onnx'), or convert it with tf2onnx"
_SAVED_MODEL = f"a TensorFlow SavedModel; {_TF2ONNX} --saved-model FOLDER --output model.onnx"
_CORE_ML = "a Core ML model; convert it with coremltools' and onnxmltools' converters, or export its source"
_PADDLE = "a Paddle model; convert it with paddle2onnx"
_MATLAB = "a MATLAB file; export its network with MATLAB's exportONNXNetwork"
_OPENVINO = f"an OpenVINO model, from which nothing converts back; {_SOURCE}"
_ENGINE = f"a TensorRT engine, made for one kind of GPU; {_SOURCE}"
_ORT = f"an ORT-format model, which onnxruntime makes of an .onnx file and nothing converts back; {_SOURCE}"
_LITE = f"a TensorFlow Lite model; {_TF2ONNX} --tflite FILE --output model.onnx"
_JAVASCRIPT = f"a TensorFlow.js model; {_TF2ONNX} --tfjs FILE --output model.onnx"
_GGUF = "a GGUF file, weights of a language model; export the classifier itself"
_MXNET = "an MXNet model; export it with mxnet.onnx.export_model"
_PICTURE = "a picture, not a model; the model comes first on the command line"

_BEGINS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", f"a gzip archive; {_UNPACK}"),
    (b"BZh", f"a bzip2 archive; {_UNPACK}"),
    (b"\xfd7zXZ", f"an xz archive; {_UNPACK}"),
    (b"(\xb5/\xfd", f"a zstd archive; {_UNPACK}"),
    (b"7z\xbc\xaf", f"a 7z archive; {_UNPACK}"),
    (b"Rar!", f"a RAR archive; {_UNPACK}"),
    (b"MATLAB", _MATLAB),
    (b"\x89HDF", "an HDF5 file, as Keras saves models; convert it with tf2onnx, or export it with Keras"),
    (b"\x93NUMPY", "a NumPy array, not a model"),
    (b"GGUF", _GGUF),
    (b"ftrt", _ENGINE),
    (b"7767517", "the text of an ncnn network; " + _SOURCE),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF8", _PICTURE),
    (b"II*\x00", _PICTURE),
    (b"MM\x00*", _PICTURE),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with 'git lfs pull'"),
)
_SUFFIXES = {
    ".ort": _ORT,
    ".keras": _KERAS,
    **dict.fromkeys((".h5", ".hdf5"), _KERAS),
    **dict.fromkeys((".tflite", ".lite"), _LITE),
    ".pb": f"a TensorFlow graph; {_TF2ONNX} --graphdef FILE, or --saved-model with the folder of a saved_model.pb",
    ".pbtxt": f"a TensorFlow graph as text; {_TF2ONNX} --graphdef FILE",
    **dict.fromkeys((".pt", ".pth", ".pt2", ".ckpt"), f"a PyTorch file; {_EXPORT}"),
    ".safetensors": _SAFETENSORS,
    **dict.fromkeys((".mlmodel", ".mlpackage", ".mlmodelc"), _CORE_ML),
    **dict.fromkeys((".pdmodel", ".pdiparams", ".pdparams"), _PADDLE),
    **dict.fromkeys((".caffemodel", ".prototxt"), "a Caffe model; convert it with a converter such as caffe2onnx"),
    ".mat": _MATLAB,
    **dict.fromkeys((".engine", ".plan", ".trt"), _ENGINE),
    ".xml": _OPENVINO,
    ".gguf": _GGUF,
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLE),
    ".params": _MXNET,
    ".cntk": "a CNTK model; export it with model.save(PATH, format=ModelFormat.ONNX)",
    **dict.fromkeys((".rknn", ".om", ".dlc", ".hef", ".mnn", ".param"), f"a model for one kind of device; {_SOURCE}"),
    **dict.fromkeys((".weights", ".cfg"), "a Darknet model; export it with a PyTorch version of its network"),
    ".msgpack": "weights of Flax; export the model with jax2onnx, or by way of tf2onnx",
}
_IN_JSON = (
    (b'"modelTopology"', _JAVASCRIPT),
    (b'"arg_nodes"', _MXNET),
    (b'"model_type"', f"the configuration of a Hugging Face model, not the model; {_OPTIMUM}"),
    (b'"class_name"', "a Keras network as JSON, without its weights; export it with model.export(PATH, format='onnx')"),
)


def describe_file(path: Path) -> str | None:
    """Tell what the file is and what to do ("a zip archive; unpack it first"), or None where nothing is recognised."""
    if path.is_dir():
        return _folder(path)
    try:
        with open_regular(path) as file:
            head = file.read(4096)
    except OSError:
        return None
    if not head:
        return "an empty file"
    return _by_contents(path, head) or _SUFFIXES.get(path.suffix.lower()) or _text(head)


def _by_contents(path: Path, head: bytes) -> str | None:
    if head.startswith(b"PK"):
        return _archive(path)
    if head[4:8] in (b"TFL3", b"ORTM"):
        return _LITE if head[4:8] == b"TFL3" else _ORT
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _PICKLE
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 30:
        return _SAFETENSORS
    if head[257:262] == b"ustar":
        return f"a tar archive; {_UNPACK}"
    if head.startswith(b"<"):
        return _OPENVINO if b"<net " in head else "a web page or XML; the download went wrong"
    if head.lstrip().startswith(b"{"):
        found = next((what for word, what in _IN_JSON if word in head), None)
        return found or (_PADDLE if b'"program"' in head else "JSON text, not a model")
    return next((what for begin, what in _BEGINS if head.startswith(begin)), None)


def _text(head: bytes) -> str | None:
    # An ONNX model begins with its version, whose tag is a control character.
    return "a text file" if all(byte in b"\t\n\r" or byte >= 0x20 for byte in head) else None


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return "a damaged zip archive"
    return next((what for holds, what in _ARCHIVES if holds(names)), f"a zip archive; {_UNPACK}")


def _has(*ends: str) -> Callable[[Sequence[str]], bool]:
    """Whether an archive or a folder has a file of each of these ends."""
    return lambda names: all(any(name.endswith(end) for name in names) for end in ends)


_ARCHIVES: tuple[tuple[Callable[[Sequence[str]], bool], str], ...] = (
    (_has("models/model.json"), f"an exported PyTorch program; load it with torch.export.load, and {_EXPORT}"),
    (_has("serialized_exported_program.json"), f"an exported PyTorch program; load it, and {_EXPORT}"),
    (_has("data.pkl", "constants.pkl"), f"a TorchScript file; load it with torch.jit.load, and {_EXPORT}"),
    (_has("data.pkl"), f"a PyTorch file; {_EXPORT}"),
    (_has("config.json", ".weights.h5"), _KERAS),
    (_has("MAR-INF/MANIFEST.json"), f"a TorchServe archive; {_EXPORT}"),
    (_has("Manifest.json", ".mlmodel"), _CORE_ML),
    (
        _has("saved_model.pb"),
        f"a zip archive of a TensorFlow SavedModel; unpack it, and {_TF2ONNX} --saved-model FOLDER",
    ),
    (lambda names: bool(names) and all(name.endswith(".npy") for name in names), "a NumPy archive, not a model"),
)
_FOLDERS: tuple[tuple[Callable[[Sequence[str]], bool], str], ...] = (
    (_has(".onnx"), "a folder; name the .onnx file in it"),
    (_has("saved_model.pb"), _SAVED_MODEL),
    (_has("Manifest.json", "Data"), _CORE_ML),
    (_has("config.json", ".safetensors"), f"a folder of a Hugging Face model; {_OPTIMUM} --model FOLDER OUTPUT"),
    (_has("config.json", "pytorch_model.bin"), f"a folder of a Hugging Face model; {_OPTIMUM} --model FOLDER OUTPUT"),
    (_has(".pdmodel"), _PADDLE),
    (_has(".pdiparams"), _PADDLE),
    (_has(".xml", ".bin"), _OPENVINO),
)


def _folder(path: Path) -> str:
    try:
        names = [entry.name for entry in path.iterdir()]
    except OSError:
        names = []
    return next((what for holds, what in _FOLDERS if holds(names)), "a folder; name the .onnx file in it")
