"""A progress bar for people: on a terminal only, silent when output goes to a file or a pipe."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from krypton_compile.contract import validate
from krypton_compile.errors import OcclusionError


class _Rate(ProgressColumn):
    """The column of the rate, so many a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f}/s", style="progress.data.speed")


class _Deaf(io.TextIOBase):
    """A terminal that may go away: what cannot be shown then is dropped, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _is_terminal() -> bool:
    """Whether standard error is one; it may be closed, which raises a ValueError, or missing."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:
        return False


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callable ``(done, total)`` that draws on standard error; None where that is no terminal."""
    if not _is_terminal():
        yield None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _Rate())
    clock = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    console = Console(file=_Deaf(sys.stderr))  # type: ignore[arg-type]  # more than this is not asked of it
    with Progress(*columns, *clock, console=console, transient=True) as bar:
        task = bar.add_task("".join(letter if letter.isprintable() else "?" for letter in label), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def progress_within(
    progress: Callable[[int, int], None] | None, before: int, total: int
) -> Callable[[int, int], None] | None:
    """Report the progress of a part as progress of the whole, of which ``before`` windows of ``total`` are done."""
    return None if progress is None else lambda done, _: progress(before + done, total)


@contextmanager
def reporter(
    progress: Callable[[int, int], None] | bool | None, label: str = "windows"
) -> Iterator[Callable[[int, int], None] | None]:
    """Read a caller's ``progress``: a callable is taken as it is, True draws a bar, None and False do nothing.

    Raises:
        OcclusionError: if ``progress`` is anything else.
    """
    if progress is True:
        with progress_bar(label) as bar:
            yield bar
    elif progress is None or progress is False:
        yield None
    elif callable(progress):
        yield progress
    else:
        raise OcclusionError(f"progress {validate.show(progress)}; expected True or a callable (done, total)")
