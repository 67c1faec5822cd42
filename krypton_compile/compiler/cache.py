"""The cache of models that were compiled on the fly, kept for the next time.

A compiled file is named by what it depends on: the model's bytes and those of the weights beside it, the compiler's
options and its version. So a changed model is another name, and no entry goes stale; what was not used for longest
is deleted when the folder grows beyond its limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from krypton_compile._version import __version__
from krypton_compile.contract.annotations import FORMAT_VERSION
from krypton_compile.errors import ModelError

LIMIT_BYTES = 8 << 30
"""How many bytes the folder may hold, unless KRYPTON_CACHE_BYTES says otherwise."""
_ENDING = ".krypton.onnx"


def cache_folder() -> Path:
    """Name the folder of compiled files: $KRYPTON_CACHE/compiled, else krypton/compiled in the user's cache folder."""
    own = os.environ.get("KRYPTON_CACHE")
    if own:
        return Path(own) / "compiled"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krypton" / "compiled"


def compile_cached(model: str | os.PathLike[str] | bytes, **options: Any) -> tuple[Path, bool]:
    """Compile a model unless the cache has it; return the compiled file, and whether it was compiled now.

    Args:
        model: a path, or the bytes of a file.
        **options: those of :func:`krypton_compile.compile`; None stands for its default.

    Raises:
        ModelError: if ``model`` is not a file that can be read, or cannot be compiled; nothing is kept then.
        OSError: if the cache folder cannot be written to; the message names KRYPTON_CACHE.
        TypeError: if an option is nothing that JSON can hold, and has no ``to_json``.
        ValueError: if KRYPTON_CACHE_BYTES is no number of bytes.
    """
    folder, limit = cache_folder(), _limit()
    path = folder / f"{_key(model, options)}{_ENDING}"
    if _touch(path):
        return path, False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written to")
    except OSError as error:
        raise OSError(f"the cache of compiled models: {error}; set KRYPTON_CACHE to a folder of yours") from error
    from krypton_compile.compiler.pipeline import compile  # onnxscript takes a second: not for what is found

    compile(model, path, **{name: option for name, option in options.items() if option is not None})
    _forget(folder, limit, keep=path)
    return path, True


def _key(model: str | os.PathLike[str] | bytes, options: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    chosen = {name: option for name, option in options.items() if option is not None}
    text = json.dumps(chosen, sort_keys=True, default=_to_json)
    digest.update(f"{__version__} {FORMAT_VERSION} {text}".encode())
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


def _weights(file: Path) -> Path:
    """The file beside it in which loading.py puts weights beyond protobuf's 2 GB."""
    return Path(f"{file}.data")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
