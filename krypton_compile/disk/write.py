"""Write files: each of a set whole, or none of them, over regular files alone.

What is written goes to a folder beside its target first, `.krypton-writing-...`, and takes the target's place when all
of the set is whole and on the disk. A link stays: the file that it leads to is replaced. Signals that would end the
process wait meanwhile. What a process left behind that was killed is deleted by the next one that writes there, which
tells by a lock on the folder that nobody is at work in it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import signal
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from krypton_compile.disk.kinds import kind_of
from krypton_compile.errors import FileError

ROOM = ".krypton-writing-"
"""How the names of folders begin in which files are written."""
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a process."""
_swept: set[str] = set()


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write each path's bytes, of all of them or of none.

    Raises:
        OSError: if one cannot be written; it names the path.
    """
    with replacing(*contents) as places:
        for path, data in contents.items():
            with naming(path), places[path].open("xb") as file:
                file.write(data)


@contextmanager
def replacing(*targets: Path) -> Iterator[dict[Path, Path]]:
    """Yield a path to write to for each target; when the block is left, those that were written take their places.

    Raises:
        OSError: if a target is no regular file, two are the same, or one cannot be written; nothing is changed then.
    """
    with uninterrupted(), ExitStack() as stack:
        rooms: dict[Path, Path] = {}
        places: dict[Path, tuple[Path, Path]] = {}
        for target in targets:
            real = real_target(target)
            if real in [other for other, _ in places.values()]:
                raise FileError(f"{target}: would be written twice")
            if real.parent not in rooms:
                with naming(target):
                    rooms[real.parent] = stack.enter_context(_room(real.parent))
            places[target] = real, rooms[real.parent] / real.name
        yield {target: temporary for target, (_, temporary) in places.items()}
        written = {target: place for target, place in places.items() if place[1].exists()}
        for target, (real, temporary) in written.items():
            with naming(target):
                _settle(temporary, real)
        _exchange(written)
        for parent in {real.parent for real, _ in written.values()}:
            with contextlib.suppress(OSError):
                _sync(parent)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals that would end the process wait until the block is left; in the main thread, which alone has them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []

    def wait(number: int, _: FrameType | None) -> None:
        waiting.append(number)

    # Of a handler that is not Python's own, nothing is known that could be put back.
    handled = [number for number in ENDING if signal.getsignal(number) not in (None, signal.SIG_IGN)]
    before = {}
    try:
        for number in handled:
            before[number] = signal.signal(number, wait)
        yield
    finally:
        for number in reversed(before):
            signal.signal(number, before[number])
        for number in waiting[:1]:
            signal.raise_signal(number)


def real_target(path: Path) -> Path:
    """Follow links to the file that writing to ``path`` means.

    Raises:
        OSError: if it is there and no regular file, or there is no folder for it.
    """
    real = Path(os.path.realpath(path))
    try:
        status = path.stat()
    except FileNotFoundError:
        if not real.parent.is_dir():
            raise FileError(f"{path}: there is no folder {path.parent}; make it first, or choose another") from None
        return real
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    kind = kind_of(status)
    if kind is not None:
        raise FileError(f"{path}: expected a file or a new name, found {kind}, which is not replaced")
    for number, stream in enumerate(("standard input", "standard output", "standard error output")):
        if _is_at(path, number):
            raise FileError(f"{path}: is the command's own {stream}; choose a file")
    return real


def prove(path: Path) -> None:
    """Find out whether ``path`` can be written, before the work that it is for.

    Raises:
        OSError: if it cannot; the message names it.
    """
    real = real_target(path)
    with naming(path):
        if real.exists():
            if not os.access(real, os.W_OK):
                raise PermissionError(13, "Permission denied", str(path))
            _check_sticky(real)
        with uninterrupted(), _room(real.parent) as room:
            (room / real.name).touch()  # a name may be too long


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error name the path that a user knows; that of a full disk does not say where."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def create(path: Path) -> BinaryIO:
    """Make a new file, which must not be there; the file is not atomic, as a trace that grows need not be.

    Raises:
        OSError: if it is there already, or cannot be written.
    """
    return path.open("xb")


@contextmanager
def updating(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yield a file that nobody else updates meanwhile, and one to write what shall take its place.

    Raises:
        OSError: if ``path`` is no regular file that can be read and written.
    """
    while True:
        real = real_target(path)
        with real.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # another process may be updating too; closing the file lets it go
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), real.stat()):
                    with replacing(path) as places, naming(path), places[path].open("xb") as changed:
                        yield file, changed
                    return


@contextmanager
def _room(parent: Path) -> Iterator[Path]:
    """A folder in ``parent`` that is locked as long as it is in use."""
    _sweep(parent)
    room, lock = parent / f"{ROOM}{secrets.token_hex(8)}", -1
    try:
        while lock < 0 or not _is_at(room, lock):  # who sweeps may have met it before it was locked
            if lock >= 0:
                os.close(lock)
            room.mkdir(0o700)
            lock = os.open(room, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _sweep(parent: Path) -> None:
    """Delete what processes that were killed had begun to write; once a process and folder."""
    if str(parent) in _swept:
        return
    _swept.add(str(parent))
    with contextlib.suppress(OSError):
        for left in [Path(entry.path) for entry in os.scandir(parent) if entry.name.startswith(ROOM)]:
            with contextlib.suppress(OSError):  # another user's, or a process is at work in it
                lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
                finally:
                    os.close(lock)


def _settle(temporary: Path, real: Path) -> None:
    """Bring a file to the disk, with the permissions of the one that it replaces."""
    with contextlib.suppress(FileNotFoundError):
        status = real.stat()
        temporary.chmod(stat.S_IMODE(status.st_mode))
        if os.geteuid() == 0:
            os.chown(temporary, status.st_uid, status.st_gid)
    _sync(temporary)


def _exchange(written: Mapping[Path, tuple[Path, Path]]) -> None:
    """Rename all files, or take back what was renamed, where the file system lets a file have two names."""
    done: list[tuple[Path, Path | None]] = []
    try:
        for target, (real, temporary) in written.items():
            real_target(target)  # it may have become something else
            earlier: Path | None = temporary.with_name(f"{ROOM}{len(done)}")
            with naming(target):
                try:
                    os.link(real, temporary.with_name(f"{ROOM}{len(done)}"))
                except FileNotFoundError:
                    earlier = None
                except OSError:
                    earlier = real
                temporary.replace(real)
            done.append((real, earlier))
    except BaseException:
        for real, earlier in done:
            with contextlib.suppress(OSError):
                if earlier is None:
                    real.unlink()
                else:
                    earlier.replace(real)  # by itself where it could not be kept
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no such thing
            raise
    finally:
        os.close(descriptor)


def _check_sticky(real: Path) -> None:
    """In a folder such as /tmp a file can be replaced by its owner alone."""
    folder, user = real.parent.stat(), os.geteuid()
    if folder.st_mode & stat.S_ISVTX and user not in (0, folder.st_uid, real.stat().st_uid):
        raise PermissionError(1, "Operation not permitted: another user's file", str(real))
