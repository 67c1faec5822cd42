"""Pictures that are skipped: a batch goes on without them, unless what is wrong is wrong with all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

ALIKE = 3
"""Pictures, the first ones, that fail for one reason: then no other will do better, and an option is wrong."""


class Failures:
    """The pictures that were skipped, each of which ``complain`` hears of."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain, self._skipped, self._succeeded = complain, 0, False
        self._held: list[tuple[Path, Exception]] = []

    def skip(self, path: Path, error: Exception) -> None:
        """Note a picture that cannot be read."""
        self._skipped += 1
        self._complain(f"skipped {path}: {reason_of(path, error)}")

    def fail(self, path: Path, error: Exception) -> None:
        """Note a picture that was read but not explained.

        Raises:
            Exception: that of the first picture, if it is that of the next ones too.
        """
        if self._succeeded:
            self.skip(path, error)
            return
        self._held.append((path, error))
        if len(self._held) == ALIKE:
            self._raise_alike()
            self._tell_held()

    def succeed(self) -> None:
        """Note a picture that went well: what was wrong with others was theirs."""
        self._succeeded = True
        self._tell_held()

    def end(self) -> int:
        """Count the pictures that were skipped; errors are those of :meth:`fail`."""
        self._raise_alike()
        self._tell_held()
        return self._skipped

    def _raise_alike(self) -> None:
        if len({str(error) for _, error in self._held}) == 1:
            raise self._held[0][1]

    def _tell_held(self) -> None:
        held, self._held = self._held, []
        for path, error in held:
            self.skip(path, error)


def reason_of(path: Path, error: Exception) -> str:
    """Why a picture was skipped, without its name, which the line begins with."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split()).removeprefix(f"{path}: ") or type(error).__name__
