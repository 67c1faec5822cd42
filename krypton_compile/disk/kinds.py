"""The kinds of files that are no files: what stands where a regular file was expected."""

from __future__ import annotations

import os
import stat

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def kind_of(status: os.stat_result) -> str | None:
    """Name what the file is; None of a regular file."""
    if stat.S_ISREG(status.st_mode):
        return None
    return next((name for holds, name in _KINDS if holds(status.st_mode)), "no regular file")
