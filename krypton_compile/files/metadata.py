"""Add metadata to a compiled file without reading its weights.

In protobuf's encoding a message may be extended at its end: each entry of a repeated field carries the field's number,
and readers gather them from wherever they lie. So

    file + (tag of ModelProto.metadata_props, length, StringStringEntryProto { key = 1, value = 2 }) ...

is the same model with more metadata, for onnx, onnxruntime and model_file.py alike. It is written beside the file and
takes its place when it is whole: bytes that are appended while the process is killed would leave a damaged one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from krypton_compile.contract.annotations import MODEL_KEY
from krypton_compile.disk.read import open_regular
from krypton_compile.disk.write import updating
from krypton_compile.errors import ModelError
from krypton_compile.files.model_file import LENGTH, read_scalar, read_varint

_METADATA = 14
_PIECE = 1 << 22


def store(path: str | Path, entries: Mapping[str, str]) -> None:
    """Add ``entries`` that the file does not hold yet; on any error the file stays as it was.

    Raises:
        OSError: if the file cannot be read or written.
        ModelError: if the file is no whole compiled model.
        ValueError: if the file holds another value of one of the keys already.
    """
    with updating(Path(path)) as (file, changed):
        there = read_metadata(path)
        if MODEL_KEY not in there:
            raise ModelError(f"{path}: this is no compiled model. Run krypton-compile on it first.")
        for key, value in entries.items():
            if there.get(key, value) != value:
                raise ValueError(f"{path}: holds '{key}' already; compile the model again to store another")
        added = onnx.ModelProto()
        for key, value in entries.items():
            if key not in there:
                added.metadata_props.add(key=key, value=value)
        shutil.copyfileobj(file, changed, _PIECE)
        changed.write(added.SerializeToString())


def text_of(entries: Iterable[onnx.StringStringEntryProto], path: str | Path) -> dict[str, str]:
    """The entries as a dictionary; protobuf gives bytes for what is no text.

    Raises:
        ModelError: if a key or a value is not in UTF-8.
    """
    texts: dict[str, str] = {}
    for entry in entries:
        key: object = entry.key
        value: object = entry.value
        if not (isinstance(key, str) and isinstance(value, str)):
            raise ModelError(f"{path}: expected text in UTF-8 as metadata {key!r}, found other bytes. Is it damaged?")
        texts[key] = value
    return texts


def read_metadata(path: str | Path) -> dict[str, str]:
    """Read the model's metadata; all else is skipped.

    Raises:
        OSError: if the file cannot be read.
        ModelError: if the file is no whole ONNX model, or its metadata is no text.
    """
    found = []
    path = Path(path)
    with open_regular(path) as file:
        end = os.fstat(file.fileno()).st_size
        try:
            while file.tell() < end:
                key = read_varint(file)
                if key & 7 != LENGTH:
                    read_scalar(file, key & 7)
                    continue
                size = read_varint(file)
                if size > end - file.tell():
                    raise EOFError("a field runs past the end of the file")
                if key >> 3 == _METADATA:
                    found.append(onnx.StringStringEntryProto.FromString(file.read(size)))
                else:
                    file.seek(size, os.SEEK_CUR)
        except (DecodeError, ValueError, EOFError) as error:
            raise ModelError(f"{path}: expected a whole ONNX model, but {error}. Is it complete?") from error
    return text_of(found, path)
