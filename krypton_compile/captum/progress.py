"""The progress of an attribution: what is being exported or compiled, then a bar of the windows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from krypton_compile.runtime.sweep.progress import reporter


@dataclass(frozen=True)
class Shown:
    """Where progress goes: ``say`` takes what begins now, ``windows`` (done, total)."""

    say: Callable[[str], None]
    windows: Callable[[int, int], None] | None


@contextmanager
def shown(wanted: bool, label: str) -> Iterator[Shown]:
    """Show progress on standard error if it is ``wanted``: lines of text, and on a terminal a bar."""
    if not wanted:
        yield Shown(lambda _: None, None)
        return
    stream = sys.stderr

    def say(doing: str) -> None:
        print(f"krypton: {doing} ...", file=stream, flush=True)

    with reporter(True, label) as windows:
        yield Shown(say, windows)
