"""Models that were compiled on the fly, kept for the next time.

A compiled file is named by what it depends on: the model's bytes and those of the weights beside it, the compiler's
options and its version. So a changed model is another name, and no entry goes stale; what was not used for longest
is deleted when the folder grows beyond its limit.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from krypton_compile.annotations import FORMAT_VERSION
from krypton_compile.errors import ModelError

LIMIT_BYTES = 8 << 30
"""Of the folder, unless KRYPTON_CACHE_BYTES says otherwise."""
_ENDING = ".krypton.onnx"


def cache_folder() -> Path:
    """Where compiled files are kept: $KRYPTON_CACHE/compiled, else krypton/compiled in the user's cache folder."""
    own = os.environ.get("KRYPTON_CACHE")
    if own:
        return Path(own) / "compiled"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krypton" / "compiled"


def compile_cached(model: str | os.PathLike[str] | bytes, **options: Any) -> tuple[Path, bool]:
    """The compiled file of a model, and whether it was compiled now rather than found.

    Args:
        model: a path, or the bytes of a file.
        **options: of :func:`krypton_compile.compile`.

    Raises:
        ModelError: no such file, no model, or one that cannot be compiled; nothing is kept then.
        OSError: the cache folder cannot be written to; the message names KRYPTON_CACHE.
    """
    folder = cache_folder()
    path = folder / f"{_key(model, options)}{_ENDING}"
    if path.is_file():
        os.utime(path)
        return path, False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written to")
    except OSError as error:
        raise OSError(f"the cache of compiled models: {error}; set KRYPTON_CACHE to a folder of yours") from error
    from krypton_compile.pipeline import compile

    compile(model, path, **options)
    _forget(folder, keep=path)
    return path, True


def _key(model: str | os.PathLike[str] | bytes, options: dict[str, Any]) -> str:
    import krypton_compile

    digest = hashlib.sha256()
    said = json.dumps(options, sort_keys=True, default=lambda one: one.to_json())
    digest.update(f"{krypton_compile.__version__} {FORMAT_VERSION} {said}".encode())
    if isinstance(model, bytes):
        digest.update(hashlib.sha256(model).digest())
        return digest.hexdigest()
    from krypton_compile.runtime.model_file import external_files

    path = Path(model)
    for file in (path, *external_files(path)):
        try:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise ModelError(f"{file}: {error.strerror}") from error
    return digest.hexdigest()


def _forget(folder: Path, keep: Path) -> None:
    """Deletes what was not used for longest, down to the limit; another process may be doing the same."""
    limit = int(os.environ.get("KRYPTON_CACHE_BYTES") or LIMIT_BYTES)
    files = [(file.stat(), file) for file in folder.glob(f"*{_ENDING}") if file != keep and file.is_file()]
    held = keep.stat().st_size + sum(status.st_size for status, _ in files)
    for status, file in sorted(files, key=lambda one: one[0].st_mtime):
        if held <= limit:
            return
        file.unlink(missing_ok=True)
        Path(f"{file}.data").unlink(missing_ok=True)
        held -= status.st_size
