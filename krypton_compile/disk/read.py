"""Read files that a user names: regular files alone, and no more of one than its kind can have.

Opening a pipe waits for whoever writes to it, and a device may have no end, so neither is opened.
"""

from __future__ import annotations

import json
import math
import os
import stat
import sys
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any

from krypton_compile.disk.kinds import kind_of
from krypton_compile.errors import FileError

LONGEST_TEXT = 32 << 20
"""Bytes of a file of labels or of a configuration; those of ImageNet's 21,841 classes have 2 million."""

AnyPath = str | os.PathLike[str]


def open_regular(path: AnyPath, longest: int | None = None) -> BufferedReader:
    """Open a regular file for reading its bytes.

    Raises:
        OSError: if there is no such file, or it may not be read.
        FileError: if ``path`` is no regular file, or one of more than ``longest`` bytes.
    """
    _require_regular(path, Path(path).stat())
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may have become a pipe since
    try:
        status = os.fstat(descriptor)
        _require_regular(path, status)
        if longest is not None and status.st_size > longest:
            raise FileError(f"{os.fspath(path)}: {status.st_size} bytes; expected at most {longest}")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def is_regular(path: AnyPath) -> bool:
    """Tell whether there is such a file, and it is a regular one."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def read_bytes(path: AnyPath, longest: int = LONGEST_TEXT) -> bytes:
    """Read a file of at most ``longest`` bytes; errors are those of :func:`open_regular`."""
    with open_regular(path, longest) as file:
        data = file.read(longest + 1)
    if len(data) > longest:  # files of /proc have no size
        raise FileError(f"{os.fspath(path)}: expected at most {longest} bytes, found more")
    return data


def read_text(path: AnyPath) -> str:
    """Read a file of text, with or without a byte-order mark.

    Raises:
        OSError: as :func:`open_regular`.
        ValueError: if it is not UTF-8.
    """
    return read_bytes(path).decode("utf-8-sig")


def parse_json(text: str, finite: bool = True) -> Any:
    """Parse JSON that anyone may have written.

    Args:
        text: what they have.
        finite: whether NaN and infinity, which Python writes and JSON does not know, are refused, and with them what
            float() makes infinity of.

    Raises:
        ValueError: if it is no JSON, is nested too deeply, or holds half a character or an integer of so many digits
            that no float is as large.
    """

    def refuse(number: str) -> None:
        raise ValueError(f"expected JSON, found {number}, which it does not know")

    def read_integer(number: str) -> int:
        if len(number) > sys.float_info.max_10_exp:
            raise ValueError(f"expected a number that a float can hold, found one of {len(number)} digits")
        return int(number)

    def read_float(number: str) -> float:
        if math.isinf(float(number)):
            raise ValueError(f"expected a number that a float can hold, found {number}")
        return float(number)

    try:
        if finite:
            content = json.loads(text, parse_constant=refuse, parse_int=read_integer, parse_float=read_float)
        else:
            content = json.loads(text, parse_int=read_integer)
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("found JSON nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"expected text, found half a character ({error.reason})") from error
    return content


def read_array(path: AnyPath, longest: int = 1 << 30) -> Any:
    """Read the array of an .npy file.

    Raises:
        OSError: as :func:`open_regular`.
        ValueError: if it holds no array of numbers, or fewer bytes than it says.
    """
    import numpy as np  # not for --help

    with open_regular(path, longest) as file:
        try:
            version = np.lib.format.read_magic(file)
            header: Callable[[BufferedReader], tuple[tuple[int, ...], bool, np.dtype[Any]]]
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = header(file)
            sizes, held = [int(size) for size in shape], os.fstat(file.fileno()).st_size - file.tell()
            count = 1
            for size in sizes:
                count *= size
            if kind.hasobject or min(sizes, default=0) < 0 or count * kind.itemsize != held:
                raise ValueError(f"{kind} {sizes} of {held} bytes")
            file.seek(0)
            return np.load(file, allow_pickle=False)
        except Exception as error:  # a header is an expression of Python, which may be anything
            raise ValueError(f"{os.fspath(path)}: expected an array of numbers in an .npy file ({error})") from error


def _require_regular(path: AnyPath, status: os.stat_result) -> None:
    kind = kind_of(status)
    if kind == "a folder":
        raise IsADirectoryError(21, "Is a folder", os.fspath(path))
    if kind is not None:
        raise FileError(f"{os.fspath(path)}: expected a file, found {kind}. Write its content to a file, and name that")
