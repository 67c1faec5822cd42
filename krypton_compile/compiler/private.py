"""Folders and files that nobody else can have written: what is read from them decides what a user is shown.

Others of the same machine may make ~/.cache/krypton, or what KRYPTON_CACHE names, before its user does. So a folder or
file counts only if it belongs to the user who runs this, or to root, and neither its group nor others may write to it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from krypton_compile.disk.kinds import kind_of
from krypton_compile.errors import KryptonError

_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


class CacheError(KryptonError, OSError):
    """The folder of compiled files cannot be written to, or others can."""


def home() -> Path:
    """The user's home folder, by HOME, or where that is empty, unset or no whole path by the system's list of users.

    Raises:
        CacheError: if there is none.
    """
    named = Path(os.environ.get("HOME", ""))
    if not named.is_absolute():
        try:
            import pwd  # not on every system

            named = Path(pwd.getpwuid(os.getuid()).pw_dir)
        except (ImportError, KeyError):
            named = Path()
    if not named.is_absolute():
        raise CacheError(
            "the cache of compiled models: there is no home folder; set KRYPTON_CACHE to a folder of yours"
        )
    return named


def make_private(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there; then it must be private.

    Raises:
        CacheError: if others could write to it, or it cannot be made; the message says what to do.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise CacheError(
            f"the cache of compiled models: {folder} cannot be made ({_obstacle(folder, error)}); set KRYPTON_CACHE to "
            "a folder of yours"
        ) from error
    require_private(folder, status)


def _obstacle(folder: Path, error: OSError) -> str:
    """What is in the way of a folder: a file of its name or above it, or what the system says."""
    for place in (*reversed(folder.parents), folder):
        try:
            kind = kind_of(place.stat()) or "a file"
        except OSError:
            break
        if kind != "a folder":
            return f"{place}: expected a folder, found {kind}"
    return f"{error.strerror or error}: {error.filename or folder}"


def require_private(path: Path, status: os.stat_result) -> None:
    """Refuse a folder or file of another user, or one that others may write to.

    Raises:
        CacheError: if it is one; the message says what to do.
    """
    user = os.geteuid()
    if status.st_uid not in (user, 0):
        raise CacheError(
            f"the cache of compiled models: {path} belongs to user {status.st_uid}, not to you ({user}), who may put "
            "anything into it; set KRYPTON_CACHE to a folder of yours"
        )
    if status.st_mode & _WRITABLE:
        raise CacheError(
            f"the cache of compiled models: others may write to {path}, and so change what is read from it; run "
            f"chmod go-w {path}, or set KRYPTON_CACHE to a folder of yours"
        )
