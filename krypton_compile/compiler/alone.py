"""One process at a time, where that can be had: what is done must be right also if another does it at the same time."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PATIENCE = 120.0
"""How many seconds another process is waited for, which may have been stopped."""
_PAUSE = 0.05


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Wait while another process or thread is inside for the same ``place``, for at most PATIENCE seconds.

    The kernel holds the lock on the file ``place``, so that of a killed process is gone with it. Where files cannot be
    made or locked, nobody waits. The file is deleted by whoever was inside; a process that waited for a deleted file
    has what it waited for.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file = place.open("ab")
    except OSError:
        yield
        return
    with file:
        locked = _lock(file)
        try:
            yield
        finally:
            if locked:
                with suppress(OSError):
                    place.unlink()


def _lock(file: BinaryIO) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError:  # a file system without locks
            return False
        else:
            return True
    return False
