"""Stages: what a library raises while it reads or changes a model becomes a ModelError.

It says what was being done, what the library found and what to try; ``__cause__`` is the library's own exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from krypton_compile.errors import KryptonError, ModelError

_LONGEST = 600

INVALID = "Check the file with onnx.checker, or export the model again."
BESIDE = "Its weights belong in the same folder, under the name that they were exported with."
REPORT = f"{INVALID} If onnxruntime runs it, please report it."


@contextmanager
def stage(doing: str, remedy: str) -> Iterator[None]:
    """Name what is done inside, such as "simplify the graph", and what a user may try where it cannot be done.

    Raises:
        ModelError: if what is done inside fails by an exception of a library.
    """
    try:
        yield
    except KryptonError:
        raise
    except MemoryError as error:
        raise ModelError(
            f"cannot {doing}: out of memory ({one_line(error)}). Is a size in it what it should be?"
        ) from error
    except Exception as error:  # libraries raise whatever they like, RecursionError too
        raise ModelError(f"cannot {doing}: {one_line(_root(error))}. {remedy}") from error


def one_line(error: BaseException) -> str:
    """Put an exception on one line of bearable length; name its class where it says nothing or little."""
    text = " ".join(str(error).split()).rstrip(".")
    if len(text.split()) < 3:  # a KeyError says the key alone
        text = f"{type(error).__name__} {text}".strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _root(error: BaseException) -> BaseException:
    """The first of a chain: passes wrap what happens in them, and name themselves by address."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
