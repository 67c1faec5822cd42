"""What the stand-ins were asked for: KRYPTON_STANDINS names their folder (build.py)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = os.environ.get("KRYPTON_STANDINS")
GUARDED = "KRYPTON_STANDIN_GUARD" in os.environ
"""The device's memory cannot be touched: the library is nvcc's, whose kernels do not run."""


def runtime() -> ctypes.CDLL:
    """The stand-in for CUDA's runtime that onnxruntime uses."""
    assert FOLDER is not None
    [path] = (path for path in Path(FOLDER).glob("libcudart.so.*") if path.suffix[1:].isdigit())
    library = ctypes.CDLL(str(path))
    library.krypton_standin_log.restype = ctypes.c_char_p
    return library


@contextmanager
def recorded() -> Iterator[list[str]]:
    """A list that holds the calls once the block is through, in their order."""
    library, calls = runtime(), []
    library.krypton_standin_record(1)
    try:
        yield calls
    finally:
        calls += library.krypton_standin_log().decode().splitlines()
        library.krypton_standin_record(0)
