"""Writing result files: every one of a set, whole, or none of them.

The bytes of all files first go to temporary names beside their targets; only when the last one
is written are they renamed, so a full disk or an interrupt leaves no half file and no old file damaged.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write each path's bytes; on an error nothing temporary is left behind and the error goes on, naming the path."""
    waiting: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            waiting[path] = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
            try:
                with waiting[path].open("xb") as file:
                    file.write(data)
            except OSError as error:  # that of a full disk does not say where
                raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        for path, temporary in waiting.items():
            temporary.replace(path)
    finally:
        for temporary in waiting.values():
            temporary.unlink(missing_ok=True)
