"""A journal of what was done, so that it can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Journal:
    """Within a transaction, how to take back each step that was done."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []
        self._open = 0

    def note(self, take_back: Callable[[], object]) -> None:
        """Note how to take back a step that has just been done."""
        if self._open:
            self._steps.append(take_back)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take back all steps of the block, the last one first, if it raises; blocks may be nested."""
        begin = len(self._steps)
        self._open += 1
        try:
            yield
        except BaseException:
            while len(self._steps) > begin:
                self._steps.pop()()
            raise
        finally:
            self._open -= 1
            if not self._open:
                self._steps.clear()
