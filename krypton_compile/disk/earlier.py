"""Recognise what an earlier run has written: that alone is replaced without being asked to.

A picture says in its metadata who made it, a JSON file by its fields; an array has no room for that, and is ours where
the picture or the result beside it is.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

from krypton_compile.disk.read import open_regular

PRODUCER = "krypton-compile"
"""The software that a picture's metadata names."""
RESULT_FIELDS = ("reduce", "upsample", "base_score")
REPORT_FIELDS = ("layers", "redundancy_paper", "redundancy_overlap", "verification")
_HEAD = 1 << 14


def is_picture(path: Path) -> bool:
    """Tell whether the file is a PNG that this package has drawn."""
    head = _head(path)
    if not head.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    at = 8
    while at + 8 <= len(head):
        size, kind = struct.unpack_from(">I4s", head, at)
        if kind == b"tEXt" and head[at + 8 : at + 8 + size].startswith(f"Software\0{PRODUCER}".encode()):
            return True
        if kind == b"IDAT":
            return False
        at += size + 12
    return False


def is_json_with(*fields: str) -> Callable[[Path], bool]:
    """A test whether a file is a JSON object that has these fields."""

    def holds(path: Path) -> bool:
        try:
            with open_regular(path) as file:
                content = json.load(file)
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(content, dict) and all(field in content for field in fields)

    return holds


def is_array_beside(*others: tuple[Path, Callable[[Path], bool]]) -> Callable[[Path], bool]:
    """A test whether a file is a NumPy array and one of the files beside it is ours."""
    return lambda path: _head(path).startswith(b"\x93NUMPY") and any(ours(other) for other, ours in others)


def is_empty(path: Path) -> bool:
    """Tell whether there is nothing to lose in the file."""
    return path.stat().st_size == 0


def _head(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_HEAD)
    except OSError:
        return b""
