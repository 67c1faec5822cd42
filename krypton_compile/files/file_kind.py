"""What a file that is no ONNX model looks like, by its first bytes: most wrong files are one of a few kinds."""

from __future__ import annotations

import zipfile
from pathlib import Path

_EXPORT = "export the model with torch.onnx.export"
_BEGINS = (
    (b"\x80\x02", f"a Python pickle, as torch.save wrote them once; {_EXPORT}"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras saves models; convert it with tf2onnx"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with 'git lfs pull'"),
    (b"<", "a web page or XML; the download went wrong"),
    (b"{", "JSON text"),
)


def describe_file(path: Path) -> str | None:
    """Tell what the file is and what to do ("a zip archive; unpack it first"), or None where nothing is recognised."""
    if path.is_dir():
        return "a folder; name the .onnx file in it"
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    if not head:
        return "an empty file"
    if head.startswith(b"PK"):
        return _archive(path)
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model; convert it with tf2onnx"
    found = next((what for begin, what in _BEGINS if head.startswith(begin)), None)
    # An ONNX model begins with its version, whose tag is a control character.
    return found or ("a text file" if all(byte in b"\t\n\r" or byte >= 0x20 for byte in head) else None)


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return "a damaged zip archive"
    if any(name.endswith("data.pkl") for name in names):
        return f"a PyTorch file; {_EXPORT}"
    return "a zip archive; unpack it first"
