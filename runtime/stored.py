"""Adds metadata to a compiled file in place, without rewriting its weights.

A protobuf message may be continued: what is appended to the file is read as more of the same message, and
``metadata_props`` (field 14 of ModelProto) is a list. So 550 MB stay where they are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import onnx

from krypton_compile.runtime.model_file import read_metadata


def store(path: Path, entries: Mapping[str, str]) -> None:
    """Appends the entries; on an error the file is as it was.

    Raises:
        ValueError: the file has one of the keys already.
        OSError: it cannot be written.
        ModelError: it is no ONNX model.
    """
    known = set(read_metadata(path)) & set(entries)
    if known:
        raise ValueError(f"{path}: already has {', '.join(sorted(known))}")
    addition = onnx.ModelProto()
    for key, value in entries.items():
        addition.metadata_props.add(key=key, value=value)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        try:
            file.write(addition.SerializeToString())
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.truncate(path, size)
            raise
