"""A progress bar for people: on a terminal only, silent when output goes to a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

from krypton_compile.errors import OcclusionError


class _Rate(ProgressColumn):
    """The column of the rate, so many a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f}/s", style="progress.data.speed")


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callable ``(done, total)`` that draws on standard error; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    clock = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *clock, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
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
        raise OcclusionError(f"progress {progress!r}; expected True or a callable (done, total)")
