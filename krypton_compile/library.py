"""Where the custom-op library is, and what its kernels do on this processor."""

from __future__ import annotations

import os
from pathlib import Path

from krypton_compile.errors import LibraryError

_NAME = "libkrypton_ops.so"


def get_library_path() -> str:
    """Path of the custom-op library, for ``SessionOptions.register_custom_ops_library``.

    ``KRYPTON_OPS_LIBRARY`` overrides it.

    Raises:
        LibraryError: there is no such file.
    """
    given = os.environ.get("KRYPTON_OPS_LIBRARY")
    path = Path(given) if given else _installed()
    if not path.is_file():
        raise LibraryError(
            f"the custom-op library is not at {path}. Reinstall krypton-compile (a C++17 compiler builds it), "
            "or set KRYPTON_OPS_LIBRARY to the file."
        )
    return str(path)


def _installed() -> Path:
    # An editable install keeps sources and built files apart: every folder of the package is searched.
    import krypton_compile

    folders = [Path(folder) / "lib" / _NAME for folder in krypton_compile.__path__]
    return next((path for path in folders if path.is_file()), folders[0])


def multiplies_bfloat16() -> bool:
    """Whether the kernels in use have matrix tiles for bfloat16, as custom_ops/kernels/kernels.cc decides."""
    if os.environ.get("KRYPTON_CPU_ISA") not in (None, "", "amx"):
        return False
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False  # no Linux, whose permission the tiles need
    return {"amx_bf16", "amx_tile", "avx512_bf16", "avx512_vbmi2"} <= flags
