"""The cache of models that were compiled on the fly, kept for the next time.

A compiled file is named by what it depends on: the model's bytes and those of the weights beside it, the compiler's
options and its version. So a changed model is another name, and no entry goes stale; what was not used for longest
is deleted when the folder grows beyond its limit.

Several processes may share the folder, on several machines too. A file is renamed when it is whole, and its name holds
a digest of its bytes, which is compared whenever it is opened (entries.py): so whoever comes first, all find the same,
and a damaged file is compiled again. That one process waits while another compiles the same model (alone.py) spares
work and memory; nothing depends on it. A folder or file that others could have written is refused (private.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from krypton_compile._version import __version__
from krypton_compile.compiler.alone import alone
from krypton_compile.compiler.entries import ENDING, delete, held, is_whole, weights_of, write
from krypton_compile.compiler.private import CacheError, home, make_private
from krypton_compile.contract.annotations import FORMAT_VERSION
from krypton_compile.errors import ModelError

__all__ = ["CacheError", "cache_folder", "cache_root", "compile_cached", "content_key", "open_cached"]

LIMIT_BYTES = 8 << 30
"""How many bytes the folder may hold, unless KRYPTON_CACHE_BYTES says otherwise."""
LEFT_BEHIND = 24 * 3600
"""After how many seconds what a killed process was writing is deleted."""
TRIES = 3
"""How often a file is opened that other processes delete meanwhile, or that turns out to be damaged."""

T = TypeVar("T")


def cache_root() -> Path:
    """Name the folder of all that is kept: $KRYPTON_CACHE, else krypton in the user's cache folder.

    Raises:
        CacheError: if there is no variable and no home folder that would tell.
    """
    own = os.environ.get("KRYPTON_CACHE")
    if own:
        return Path(own).absolute()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else home() / ".cache") / "krypton"


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
        CacheError: if the cache folder cannot be written to, or others can; the message names KRYPTON_CACHE.
        TypeError: if an option is nothing that JSON can hold, and has no ``to_json``.
        ValueError: if KRYPTON_CACHE_BYTES is no number of bytes.
    """
    with _found(model, options) as found:
        return found


def open_cached(
    model: str | os.PathLike[str] | bytes, open_file: Callable[[Path], T], **options: Any
) -> tuple[T, Path, bool]:
    """Open a model's compiled file, which is compiled first unless the cache has it.

    No process deletes the file before it is open. Where files cannot be locked, one that has gone is compiled again.

    Returns:
        What ``open_file`` made of the file, the file, and whether it was compiled now.

    Raises:
        ModelError, CacheError, TypeError, ValueError: as :func:`compile_cached`, or as ``open_file``.
    """
    for left in reversed(range(TRIES)):
        with _found(model, options) as (path, new):
            try:
                return open_file(path), path, new
            except ModelError:
                if not left or is_whole(path):
                    raise
    raise AssertionError("the last try returns or raises")


@contextmanager
def _found(model: str | os.PathLike[str] | bytes, options: Mapping[str, Any]) -> Iterator[tuple[Path, bool]]:
    """Hold the compiled file, and tell whether it was compiled now."""
    folder, limit = cache_folder(), _limit()
    key = content_key(model, options, f"{__version__} {FORMAT_VERSION}")
    with contextlib.ExitStack() as stack:
        new = False
        with _naming_the_variable():
            if folder.is_dir():
                make_private(cache_root())
                make_private(folder)
            path = stack.enter_context(held(folder, key))
            if path is not None:
                _touch(path)
            else:
                path, new = _compiled(model, options, folder, key, stack)
        if new:
            _forget(folder, limit, keep=path)
            _sweep(folder)
        yield path, new


def _compiled(
    model: str | os.PathLike[str] | bytes,
    options: Mapping[str, Any],
    folder: Path,
    key: str,
    stack: contextlib.ExitStack,
) -> tuple[Path, bool]:
    """Compile a model into the folder, unless a process that is waited for does; the file is held by ``stack``."""
    make_private(cache_root())
    make_private(folder)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to")
    with alone(cache_root() / "locks" / key):
        path = stack.enter_context(held(folder, key))
        if path is not None:
            return path, False
        from krypton_compile.compiler.pipeline import compile  # onnxscript takes a second: not for what is found

        chosen = {name: option for name, option in options.items() if option is not None}
        path = write(folder, key, lambda target: compile(model, target, **chosen))
        return stack.enter_context(held(folder, key)) or path, True


@contextmanager
def _naming_the_variable() -> Iterator[None]:
    """Let errors of the folder say how to choose another one."""
    try:
        yield
    except CacheError:
        raise
    except OSError as error:
        raise CacheError(f"the cache of compiled models: {error}; set KRYPTON_CACHE to a folder of yours") from error


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
    if all(hasattr(option, name) for name in ("tobytes", "dtype", "shape")):  # a held input
        array: Any = option
        return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    raise TypeError(f"expected options that JSON can hold or that have to_json(), found {option!r}")


def _limit() -> int:
    text = os.environ.get("KRYPTON_CACHE_BYTES") or str(LIMIT_BYTES)
    if not text.isdecimal():
        raise ValueError(f"KRYPTON_CACHE_BYTES: expected a number of bytes such as {LIMIT_BYTES}, found '{text}'")
    return int(text)


def _touch(path: Path) -> None:
    """Make a file the one that was used last; in a folder that may only be read none is."""
    with contextlib.suppress(OSError):
        os.utime(path)


def _forget(folder: Path, limit: int, keep: Path) -> None:
    """Delete what was not used for longest, down to the limit; another process may be doing the same.

    What someone is opening at this moment stays.
    """
    files = []
    for file in folder.glob(f"*{ENDING}"):
        with contextlib.suppress(FileNotFoundError):
            status = file.stat()
            files.append((status.st_mtime_ns, status.st_size + _size(weights_of(file)), file))
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files):
        if total <= limit:
            return
        if file != keep and delete(file):
            total -= size


def _sweep(folder: Path) -> None:
    """Delete what processes that were killed had begun to write."""
    for left in folder.glob(f".*{ENDING}.*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_BEHIND:
                shutil.rmtree(left)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
