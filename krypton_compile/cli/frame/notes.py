"""Warnings of the library as lines of a command: what a user should know, without the place in the code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def noted(say: Callable[[str], None]) -> Iterator[None]:
    """Let ``say`` have each warning that is given inside, on one line."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        say(" ".join(str(message).split()))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield
