"""Read a model file without ever holding its weights twice.

protobuf parses a whole file at once and copies every ``raw_data`` again when Python asks for it: a VGG16
of 553 MB would peak at 1.9 GB. So the large tensors are skipped while the file is read, and each is then read
straight into the array that onnxruntime will use:

    ModelProto { graph = 7: GraphProto { initializer = 5: TensorProto { raw_data = 9 } } }
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, numpy_helper

from krypton_compile.disk.read import is_regular, open_regular
from krypton_compile.errors import FileError, ModelError
from krypton_compile.files.file_kind import describe_file
from krypton_compile.stages import BESIDE, stage

LARGE_BYTES = 1 << 16

LENGTH = 2
"""The wire type of a field that says its length first: a message, a string, bytes."""

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_VARINT, _FIXED64, _FIXED32 = 0, 1, 5


@dataclass(frozen=True)
class ModelFile:
    """The model without the large initializers' data, and these as arrays by name."""

    model: onnx.ModelProto
    large: dict[str, npt.NDArray[np.generic]]


def read_model_file(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        ModelError: if there is no such file, or it is not an ONNX model.
    """
    with _opened(path) as file:
        model, skipped = _read_light(file)
        large = _read_large(file, model, skipped)
    for tensor in model.graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            large[tensor.name] = _read_external(tensor, path)
            tensor.ClearField("raw_data")
    return ModelFile(model, large)


def read_model_bytes(content: bytes) -> ModelFile:
    """Read the bytes of a model file, all its weights in them.

    Raises:
        ModelError: if they are no ONNX model, or name files that hold its weights.
    """
    try:
        file = io.BytesIO(content)
        model, skipped = _read_light(file)
        large = _read_large(file, model, skipped)
    except (DecodeError, ValueError, EOFError) as error:
        raise ModelError(
            f"{len(content)} bytes: expected an ONNX model, but they cannot be parsed ({error})"
        ) from error
    outside = [tensor.name for tensor in model.graph.initializer if external_data_helper.uses_external_data(tensor)]
    if outside:
        raise ModelError(f"{len(content)} bytes: the weights '{outside[0]}' lie in another file; give the model's path")
    return ModelFile(model, large)


def _read_external(tensor: onnx.TensorProto, path: Path) -> npt.NDArray[np.generic]:
    with stage(f"read tensor '{tensor.name}' of {path}, whose data lies in another file", BESIDE):
        external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
        array: npt.NDArray[np.generic] = numpy_helper.to_array(tensor)
        return array


def external_files(path: Path) -> list[Path]:
    """The files beside the model that hold weights of its own, none of them read.

    Raises:
        ModelError: if there is no such file, or it is not an ONNX model.
    """
    with _opened(path) as file:
        model, _ = _read_light(file)
    tensors = external_data_helper._get_all_tensors(model)
    outside = [one for one in tensors if external_data_helper.uses_external_data(one)]
    names = {entry.value for one in outside for entry in one.external_data if entry.key == "location"}
    files = [path.parent / name for name in sorted(names)]
    for file in files:
        if file.exists() and not is_regular(file):
            raise ModelError(f"{path}: its weights lie in {file}, which is no file. {BESIDE}")
    return files


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open_regular(path) as file:
            yield file
    except FileError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        found = f"expected an ONNX model, found {describe_file(path)}." if path.is_dir() else error.strerror
        raise ModelError(f"{path}: {found}") from error
    except (DecodeError, ValueError, EOFError) as error:
        kind = describe_file(path)
        if kind is not None:
            raise ModelError(f"{path}: expected an ONNX model, found {kind}.") from error
        raise ModelError(
            f"{path}: expected an ONNX model, but it cannot be parsed ({error}). Is it complete?"
        ) from error


def _read_light(file: BinaryIO) -> tuple[onnx.ModelProto, list[tuple[int, int]]]:
    """The model without the large initializers' data, and where these lie: (offset, size)."""
    skipped: list[tuple[int, int]] = []
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    light = _copy_message(file, end, (_GRAPH, _INITIALIZER, _RAW_DATA), skipped)
    model = onnx.ModelProto()
    model.ParseFromString(light)
    return model, skipped


def _copy_message(file: BinaryIO, end: int, route: tuple[int, ...], skipped: list[tuple[int, int]]) -> bytes:
    """The message up to ``end``, without the large fields at the end of ``route``: their (offset, size) are noted."""
    parts = []
    while file.tell() < end:
        key = read_varint(file)
        field, kind = key >> 3, key & 7
        if kind != LENGTH:
            parts.append(_varint(key) + read_scalar(file, kind))
            continue
        size = read_varint(file)
        if size > end - file.tell():
            raise EOFError("a field runs past the end of the file")
        if field != route[0]:
            parts.append(_varint(key) + _varint(size) + file.read(size))
        elif len(route) > 1:
            inner = _copy_message(file, file.tell() + size, route[1:], skipped)
            parts.append(_varint(key) + _varint(len(inner)) + inner)
        elif size >= LARGE_BYTES:
            skipped.append((file.tell(), size))
            file.seek(size, 1)
        else:
            parts.append(_varint(key) + _varint(size) + file.read(size))
    return b"".join(parts)


def _read_large(
    file: BinaryIO, model: onnx.ModelProto, skipped: list[tuple[int, int]]
) -> dict[str, npt.NDArray[np.generic]]:
    # Skipped fields come in the order of the tensors that have lost theirs.
    large = {}
    places = iter(skipped)
    for tensor in model.graph.initializer:
        if tensor.data_type not in onnx.helper.get_all_tensor_dtypes():
            raise ValueError(f"tensor '{tensor.name}' has the unknown data type {tensor.data_type}")
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        size = math.prod(tensor.dims) * dtype.itemsize
        if size < LARGE_BYTES or tensor.HasField("raw_data") or tensor.data_location == onnx.TensorProto.EXTERNAL:
            continue
        offset, stored = next(places, (0, 0))
        if stored != size:
            raise ValueError(f"tensor '{tensor.name}' holds {stored} bytes, its shape needs {size}")
        file.seek(offset)
        array: npt.NDArray[np.generic] = np.empty(size // dtype.itemsize, dtype)
        if file.readinto(array.view(np.uint8).data) != size:  # type: ignore[attr-defined]
            raise EOFError(f"tensor '{tensor.name}' is cut off")
        large[tensor.name] = array.reshape(tuple(tensor.dims))
    return large


def read_scalar(file: BinaryIO, kind: int) -> bytes:
    """The encoded value of a field of a wire type other than :data:`LENGTH`."""
    if kind == _VARINT:
        return _varint(read_varint(file))
    if kind in (_FIXED64, _FIXED32):
        return file.read(8 if kind == _FIXED64 else 4)
    raise ValueError(f"unknown wire type {kind}")


def read_varint(file: BinaryIO) -> int:
    """The number that begins here: seven bits a byte, the lowest first."""
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise EOFError("the file ends inside a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
