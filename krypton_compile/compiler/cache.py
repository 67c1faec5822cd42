"""The cache of models that were compiled on the fly, kept for the next time.

A compiled file is named by what it depends on: the model's bytes and those of the weights beside it, the compiler's
options and its version. So a changed model is another name, and no entry goes stale; what was not used for longest
is deleted when the folder grows beyond its limit.

Several processes may share the folder, on several machines too. A file is written under another name and renamed when
it is whole, so whoever comes first, all find the same. That one process waits while another compiles the same model
(alone.py) spares work and memory; nothing depends on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from krypton_compile._version import __version__
from krypton_compile.compiler.alone import alone
from krypton_compile.contract.annotations import FORMAT_VERSION, MODEL_KEY
from krypton_compile.errors import ModelError

LIMIT_BYTES = 8 << 30
"""How many bytes the folder may hold, unless KRYPTON_CACHE_BYTES says otherwise."""
LEFT_BEHIND = 24 * 3600
"""After how many seconds what a killed process was writing is deleted."""
TRIES = 3
"""How often a file is opened that other processes delete meanwhile, or that turns out to be damaged."""
_ENDING = ".krypton.onnx"

T = TypeVar("T")


class CacheError(OSError):
    """The folder of compiled files cannot be written to."""


def cache_root() -> Path:
    """Name the folder of all that is kept: $KRYPTON_CACHE, else krypton in the user's cache folder.

    Raises:
        CacheError: if there is no variable and no home folder that would tell.
    """
    own = os.environ.get("KRYPTON_CACHE")
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krypton"
    except RuntimeError as error:  # a user without a home folder
        raise CacheError(f"the cache of compiled models: {error}; set KRYPTON_CACHE to a folder of yours") from error


def cache_folder() -> Path:
    """Name the folder of compiled files; errors are those of :func:`cache_root`."""
    return cache_root() / "compiled"


def compile_cached(model: str | os.PathLike[str] | bytes, **options: Any) -> tuple[Path, bool]:
    """Compile a model unless the cache has it; return the compiled file, and whether it was compiled now.

    Args:
        model: a path, or the bytes of a file.
        **options: those of :func:`krypton_compile.compile`; None stands for its default.

    Raises:
        ModelError: if ``model`` is not a file that can be read, or cannot be compiled; nothing is kept then.
        CacheError: if the cache folder cannot be written to; the message names KRYPTON_CACHE.
        TypeError: if an option is nothing that JSON can hold, and has no ``to_json``.
        ValueError: if KRYPTON_CACHE_BYTES is no number of bytes.
    """
    folder, limit = cache_folder(), _limit()
    key = content_key(model, options, f"{__version__} {FORMAT_VERSION}")
    path = folder / f"{key}{_ENDING}"
    if _touch(path):
        return path, False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written to")
        with alone(cache_root() / "locks" / key):
            if _touch(path):  # compiled by the process that was waited for
                return path, False
            from krypton_compile.compiler.pipeline import compile  # onnxscript takes a second: not for what is found

            compile(model, path, **{name: option for name, option in options.items() if option is not None})
    except OSError as error:
        raise CacheError(f"the cache of compiled models: {error}; set KRYPTON_CACHE to a folder of yours") from error
    _forget(folder, limit, keep=path)
    _sweep(folder)
    return path, True


def open_cached(
    model: str | os.PathLike[str] | bytes, open_file: Callable[[Path], T], **options: Any
) -> tuple[T, Path, bool]:
    """Open a model's compiled file, which is compiled first unless the cache has it.

    A file that another process has deleted before it could be opened, or one that a power failure has damaged, is
    compiled again.

    Returns:
        What ``open_file`` made of the file, the file, and whether it was compiled now.

    Raises:
        ModelError, CacheError, TypeError, ValueError: as :func:`compile_cached`, or as ``open_file``.
    """
    for left in reversed(range(TRIES)):
        path, new = compile_cached(model, **options)
        try:
            return open_file(path), path, new
        except ModelError:
            if not left or _is_whole(path):
                raise
            path.unlink(missing_ok=True)
    raise AssertionError("the last try returns or raises")


def content_key(model: str | os.PathLike[str] | bytes, options: Mapping[str, Any], version: str = "") -> str:
    """Hash a model's bytes, those of the weights beside it, the options that are not None, and a version.

    Raises:
        ModelError: if ``model`` is not a file that can be read.
        TypeError: if an option is nothing that JSON can hold, and has no ``to_json``.
    """
    digest = hashlib.sha256()
    chosen = {name: option for name, option in options.items() if option is not None}
    text = json.dumps(chosen, sort_keys=True, default=_to_json)
    digest.update(f"{version} {text}".encode())
    if isinstance(model, bytes):
        digest.update(hashlib.sha256(model).digest())
        return digest.hexdigest()
    from krypton_compile.files.model_file import external_files  # onnx: not for bytes

    path = Path(model)
    for file in (path, *external_files(path)):
        try:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise ModelError(f"{file}: {error.strerror}") from error
    return digest.hexdigest()


def _to_json(option: object) -> object:
    """What stands for an option that JSON cannot hold."""
    if hasattr(option, "to_json"):
        return option.to_json()
    if hasattr(option, "tobytes"):  # a held input: NumPy is imported by whoever made it
        array: Any = option
        return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    raise TypeError(f"expected options that JSON can hold or that have to_json(), found {option!r}")


def _limit() -> int:
    text = os.environ.get("KRYPTON_CACHE_BYTES") or str(LIMIT_BYTES)
    if not text.isdecimal():
        raise ValueError(f"KRYPTON_CACHE_BYTES: expected a number of bytes such as {LIMIT_BYTES}, found '{text}'")
    return int(text)


def _touch(path: Path) -> bool:
    """Tell whether the file is there; if so, it is now the one that was used last."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # a folder that may only be read still serves
        return path.is_file()
    return True


def _forget(folder: Path, limit: int, keep: Path) -> None:
    """Delete what was not used for longest, down to the limit; another process may be doing the same."""
    files = []
    for file in folder.glob(f"*{_ENDING}"):
        with contextlib.suppress(FileNotFoundError):
            status = file.stat()
            files.append((status.st_mtime_ns, status.st_size + _size(_weights(file)), file))
    held = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if held <= limit:
            return
        if file != keep:
            file.unlink(missing_ok=True)
            _weights(file).unlink(missing_ok=True)
            held -= size


def _sweep(folder: Path) -> None:
    """Delete what processes that were killed had begun to write."""
    for left in folder.glob(f".*{_ENDING}.*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_BEHIND:
                shutil.rmtree(left)


def _is_whole(file: Path) -> bool:
    from krypton_compile.files.metadata import read_metadata  # onnx: not for what is found and opens

    try:
        return MODEL_KEY in read_metadata(file)
    except (ModelError, OSError):
        return False


def _weights(file: Path) -> Path:
    """The file beside it in which loading.py puts weights beyond protobuf's 2 GB."""
    return Path(f"{file}.data")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
