"""Tell a shared library that is cut off: to load one ends the process by a signal, SIGBUS, and not by an error.

The loader maps the segments that an ELF file's headers name without asking whether the file is that long. Compilers
write the table of sections last, so a file that holds both all of its segments and that table is whole.
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from pathlib import Path

_MAGIC = b"\x7fELF"
_ORDER = {1: "<", 2: ">"}
_HEADER = {1: (52, "IIIIHHHHHH"), 2: (64, "QQQIHHHHHH")}
"""Of 32 and 64 bits: the size of a file's header, and its fields from the entry point on."""
_SEGMENT = {1: (4, 16), 2: (8, 32)}
"""Where a segment's header has its offset, and its size in the file."""


def missing_bytes(path: Path) -> int:
    """Count the bytes that an ELF file lacks by its own headers; 0 of a whole one, and of what is no ELF file.

    Raises:
        OSError: if the file cannot be read.
    """
    status = path.stat()
    return _missing(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=16)
def _missing(path: Path, size: int, *_changed: int) -> int:
    with path.open("rb") as file:
        start = file.read(64)
        if start[:4] != _MAGIC or len(start) < 6 or start[4] not in _HEADER or start[5] not in _ORDER:
            return 0
        bits, order = start[4], _ORDER[start[5]]
        length, fields = _HEADER[bits]
        if len(start) < length:
            return length - len(start)
        _, segments, sections, _, _, segment_size, segment_count, section_size, section_count, _ = struct.unpack_from(
            order + fields, start, 24
        )
        needed = max(segments + segment_size * segment_count, sections + section_size * section_count)
        file.seek(segments, os.SEEK_SET)
        table = file.read(segment_size * segment_count)
    number = "I" if bits == 1 else "Q"
    for begin in range(0, len(table) - segment_size + 1, segment_size):
        offset, held = (struct.unpack_from(order + number, table, begin + at)[0] for at in _SEGMENT[bits])
        needed = max(needed, offset + held)
    end: int = max(0, needed - size)
    return end
