"""Everything that a command says, on one line each: control characters shown escaped, and no stream stops the work.

Labels and names of nodes come from models that were downloaded, names of files from archives. Printed as they are, they
could move the cursor, change colours, or write a line that looks like ours.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import TextIO

LONGEST = 2000
"""Characters of a complaint; exceptions may hold a whole file."""


def shown(text: str) -> str:
    """The text on one line, every character that is not printable escaped as Python escapes it.

    So are characters without an image that change the order or the joining of others, and halves of characters.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


class Terminal:
    """The two streams of a command called ``name``.

    Attributes:
        note_mark: how lines begin that tell a warning.
        left: what an interrupt leaves, for its message.
        interrupted: raises if a signal has come that some library has swallowed.
    """

    def __init__(self, name: str, note_mark: str = "note             ") -> None:
        self.name, self.note_mark = name, note_mark
        self.left = "nothing was written"
        self.interrupted: Callable[[], None] = lambda: None

    def say(self, line: str) -> None:
        """Print a line of results."""
        self.interrupted()
        put(sys.stdout, f"{shown(line)}\n")

    def say_all(self, lines: Iterable[str]) -> None:
        """Print several lines."""
        for line in lines:
            self.say(line)

    def note(self, text: str) -> None:
        """Print a warning among the results."""
        self.say(f"{self.note_mark}{' '.join(text.split())}")

    def complain(self, text: str) -> None:
        """Print a line of trouble on the error stream."""
        line = shown(" ".join(text.split()))
        put(sys.stderr, f"{self.name}: {line if len(line) <= LONGEST else f'{line[:LONGEST]}...'}\n")

    def trace(self, error: BaseException) -> None:
        """Print where an exception comes from."""
        for part in traceback.format_exception(error):
            for line in part.splitlines():
                put(sys.stderr, f"{shown(line)}\n")


def put(stream: TextIO | None, text: str) -> None:
    """Write text and flush it; where the stream is closed, broken or full, it is dropped, and so is all that follows.

    Characters that the stream's encoding does not have are escaped.
    """
    if stream is None:
        return
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError):  # a closed one raises a ValueError
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Let a stream lead nowhere, or Python would complain of what is left in its buffer when it ends."""
    if stream not in (sys.__stdout__, sys.__stderr__):
        return
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


def fill_descriptors() -> None:
    """Open what is closed of the three standard streams: the next file that is opened would be one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            while os.open(os.devnull, os.O_RDWR) < number:
                pass
