"""The entries of the cache: files that are whole or not there, and stay while someone opens them.

    <key>.<digest>.krypton.onnx         a compiled file; its digest is that of its bytes, and of its weights'
    <key>.<digest>.krypton.onnx.data    its weights, where they are beyond protobuf's 2 GB

A file is written under another name, brought to the disk and renamed, so that a power failure leaves none that is
half. Whoever opens one holds a shared lock on it (flock) and has compared the digest; who deletes one wants the lock
alone. Where files cannot be locked, one may go before it is opened, and is compiled again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from krypton_compile.compiler.private import require_private

ENDING = ".krypton.onnx"


@contextmanager
def held(folder: Path, key: str) -> Iterator[Path | None]:
    """Hold the entry of a key, which nobody deletes meanwhile; None where there is none that is whole.

    Damaged ones are deleted.

    Raises:
        CacheError: if the entry belongs to another user, or others may write to it.
    """
    with contextlib.ExitStack() as stack:
        found = None
        for path in sorted(folder.glob(f"{key}.*{ENDING}")):
            file = _opened(path)
            if file is None:
                continue
            stack.enter_context(file)
            if not _lock(file, fcntl.LOCK_SH) or not _is_still(path, file):
                continue  # it is being deleted
            require_private(path, os.fstat(file.fileno()))
            if _digest(path) == _named_digest(path):
                found = path
                break
            if _is_still(path, file):
                _unlink(path)
        yield found


def write(folder: Path, key: str, make: Callable[[Path], object]) -> Path:
    """Let ``make`` write a file, and make it the entry of a key.

    Raises:
        OSError: if it cannot be written; nothing is left then.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{key}{ENDING}.") as temporary:
        made = Path(temporary) / f"{key}{ENDING}"
        make(made)
        for part in (weights_of(made), made):
            if part.exists():
                part.chmod(0o600)
                _to_disk(part)
        target = folder / f"{key}.{_digest(made)}{ENDING}"
        if weights_of(made).exists():  # first: who sees the file finds its weights
            weights_of(made).replace(weights_of(target))
        made.replace(target)
    _to_disk(folder)
    return target


def delete(path: Path) -> bool:
    """Delete an entry unless someone is opening it; tell whether it is gone."""
    file = _opened(path)
    if file is None:
        return True
    with file:
        if not _lock(file, fcntl.LOCK_EX):
            return False
        if _is_still(path, file):
            _unlink(path)
        return True


def weights_of(file: Path) -> Path:
    """The file beside it in which loading.py puts weights beyond protobuf's 2 GB."""
    return Path(f"{file}.data")


def is_whole(path: Path) -> bool:
    """Tell whether a file is the one that its name says."""
    try:
        return _digest(path) == _named_digest(path)
    except OSError:
        return False


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    weights_of(path).unlink(missing_ok=True)


def _named_digest(path: Path) -> str:
    return path.name.removesuffix(ENDING).rpartition(".")[2]


def _digest(path: Path) -> str:
    """The digest of a file, and of its weights where it has some."""
    digest = hashlib.sha256()
    for part in (path, weights_of(path)):
        with contextlib.suppress(FileNotFoundError), part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _opened(path: Path) -> BinaryIO | None:
    """The file, if it is there: no link to another one."""
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError:
        return None


def _lock(file: BinaryIO, how: int) -> bool:
    """Lock a file at once; False where another process holds it the other way."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: whoever deletes, deletes
        return True
    return True


def _is_still(path: Path, file: BinaryIO) -> bool:
    """Whether the name is still that of the open file, and of a plain one."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno())) and path.is_file()
    except OSError:
        return False


def _to_disk(path: Path) -> None:
    """Let the system write what it holds of a file or folder."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    except OSError:  # of folders some file systems know no such thing
        if not path.is_dir():
            raise
    finally:
        os.close(place)
