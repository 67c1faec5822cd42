"""Find the custom-op library, and tell what its kernels do on this processor."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from krypton_compile.contract import validate
from krypton_compile.errors import LibraryError
from krypton_compile.ort.shared_object import missing_bytes

_NAME = "libkrypton_ops.so"
_CUDA_NAME = "libkrypton_ops_cuda.so"
_BFLOAT16 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16", "avx512_vbmi2"}


def get_library_path(cuda: bool = False) -> str:
    """Return the path of the custom-op library, for ``SessionOptions.register_custom_ops_library``.

    ``KRYPTON_OPS_LIBRARY`` overrides it.

    Args:
        cuda: the library for sessions of the CUDA provider: the same ops, and kernels for the GPU.

    Raises:
        LibraryError: if there is no such file, or only a part of it.
    """
    validate.require("cuda", cuda, validate.is_truth(cuda), "True or False", LibraryError)
    given = os.environ.get("KRYPTON_OPS_LIBRARY")
    path = Path(given) if given else _installed(_CUDA_NAME if cuda else _NAME)
    if path.is_file():
        _require_whole(path)
        return str(path)
    if cuda:
        raise LibraryError(
            f"the op library for CUDA is not at {path}. Install krypton-compile where nvcc is, with "
            "pip install -C cmake.define.KRYPTON_CUDA=ON, or set KRYPTON_OPS_LIBRARY to the file."
        )
    raise LibraryError(
        f"the custom-op library is not at {path}. Reinstall krypton-compile (a C++17 compiler builds it), "
        "or set KRYPTON_OPS_LIBRARY to the file."
    )


def _require_whole(path: Path) -> None:
    try:
        missing = missing_bytes(path)
    except OSError as error:
        raise LibraryError(f"the op library {path} cannot be read: {error.strerror}") from error
    if missing:
        raise LibraryError(
            f"the op library {path} is cut off: {missing} bytes are missing at its end. Reinstall krypton-compile, or "
            "set KRYPTON_OPS_LIBRARY to a whole file."
        )


def _installed(name: str) -> Path:
    # An editable install keeps sources and built files apart: every folder of the package is searched.
    package = find_spec("krypton_compile")
    places = [] if package is None else package.submodule_search_locations or []
    folders = [Path(folder) / "lib" / name for folder in places]
    return next((path for path in folders if path.is_file()), folders[0])


def multiplies_bfloat16x3() -> bool:
    """Tell whether the kernels in use make float32 products of three bfloat16 ones, as those on matrix tiles do."""
    return _uses("amx") and _processor_flags() >= {"amx_bf16", "amx_tile", *_BFLOAT16}


def multiplies_bfloat16() -> bool:
    """Tell whether the kernels in use multiply in plain bfloat16 where a node allows it, on tiles or dot products."""
    return multiplies_bfloat16x3() or (_uses("avx512bf16") and _processor_flags() >= _BFLOAT16)


def _uses(isa: str) -> bool:
    """Tell whether custom_ops/kernels/table.cc would take the kernels of this name if the processor had them."""
    return os.environ.get("KRYPTON_CPU_ISA") in (None, "", isa)


def _processor_flags() -> set[str]:
    try:
        return set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return set()  # no Linux: no permission to use matrix tiles, and no other way to ask
