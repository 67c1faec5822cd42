"""The frame of every command: its exit code, its interrupts, and one line for what goes wrong.

    0    all went well                        2    an option, a model or a place to write to is not usable
    1    some pictures were skipped           3    krypton-tune: no setting keeps the bounds
    70   a mistake of this package            129, 130, 143    ended by a signal: hangup, Ctrl-C, TERM

Whatever ends a command, each file is whole, and the one that it would replace is there until then.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from krypton_compile.cli.frame.notes import noted
from krypton_compile.cli.frame.terminal import Terminal, fill_descriptors
from krypton_compile.errors import KryptonError

DONE, SKIPPED, BAD, UNREACHABLE, MISTAKE = 0, 1, 2, 3, 70
BY_SIGNAL = 128
"""What is added to a signal's number."""
CODES = {
    DONE: "all went well",
    SKIPPED: "some pictures were skipped, as lines on standard error say",
    BAD: "an option, the model, all pictures or a place to write to are not usable",
    UNREACHABLE: "no setting keeps the bounds",
    MISTAKE: "a mistake of this package; --debug shows where",
    BY_SIGNAL + signal.SIGHUP: "ended by a hangup",
    BY_SIGNAL + signal.SIGINT: "interrupted by Ctrl-C",
    BY_SIGNAL + signal.SIGTERM: "ended by TERM",
}
PATIENCE = 1.0
"""Seconds from a signal on in which another one does not end the process at once: its files are being put away."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Work = Callable[[argparse.Namespace, Terminal], int]


class Ended(KeyboardInterrupt):
    """A signal that ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def epilog(*codes: int) -> str:
    """The lines of --help that tell the exit codes, those of :data:`CODES` that a command has."""
    every = sorted({DONE, BAD, MISTAKE, *codes, *(BY_SIGNAL + number for number in _ENDING)})
    lines = [f"  {code:<4} {CODES[code]}" for code in every]
    return "\n".join(["exit codes:", *lines])


def run_command(
    terminal: Terminal,
    make_parser: Callable[[Sequence[str]], argparse.ArgumentParser],
    work: Work,
    arguments: Sequence[str] | None = None,
) -> int:
    """Read the command line, do the work and return the exit code."""
    fill_descriptors()
    words = list(sys.argv[1:] if arguments is None else arguments)
    options: argparse.Namespace | None = None
    with _signals(terminal) as ended:
        terminal.interrupted = ended.check
        try:
            options = make_parser(words).parse_args(words)
            with noted(terminal.note):
                code = work(options, terminal)
        except SystemExit:  # argparse's
            raise
        except BaseException as error:
            if ended.number is not None or isinstance(error, KeyboardInterrupt):
                code = _tell_signal(ended.number or signal.SIGINT, terminal)
            else:
                code = _tell(error, terminal, debug=options is not None and options.debug)
        return code


def _tell_signal(number: int, terminal: Terminal) -> int:
    what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    terminal.complain(f"{what}; {terminal.left}")
    return BY_SIGNAL + number


def _tell(error: BaseException, terminal: Terminal, debug: bool) -> int:
    if debug:
        terminal.trace(error)
    if isinstance(error, MemoryError):
        terminal.complain(f"error: out of memory{f' ({error})' if str(error) else ''}. Is a size what it should be?")
        return BAD
    if isinstance(error, KryptonError | ValueError | OSError) and not isinstance(error, UnicodeError):
        terminal.complain(f"error: {error}")
        return BAD
    what = f"{type(error).__name__}: {error}"
    advice = "" if debug else "; --debug shows where, please report it"
    terminal.complain(f"error: a mistake of this package ({what}){advice}")
    return MISTAKE


class _Signals:
    """The first signal that has come, and when."""

    def __init__(self, terminal: Terminal) -> None:
        self.number: int | None = None
        self._at, self._terminal = 0.0, terminal

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise at the first signal; end the process at a later one, unless it comes at once.

        Inside an import nothing is raised: modules in C do not expect it while they begin, and some crash. Nothing is
        being written then, so the process ends.
        """
        if self.number is None:
            self.number, self._at = number, time.monotonic()
            if _is_importing(frame):
                os._exit(_tell_signal(number, self._terminal))
            raise Ended(number)
        if time.monotonic() - self._at > PATIENCE:
            os._exit(BY_SIGNAL + self.number)

    def check(self) -> None:
        """Raise again what a library has swallowed."""
        if self.number is not None:
            raise Ended(self.number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def _signals(terminal: Terminal) -> Iterator[_Signals]:
    """Let signals that would end the process raise; those that whoever started it ignores stay ignored."""
    signals = _Signals(terminal)
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before, hook = {}, sys.unraisablehook

    def ignore(unraisable: Any) -> None:
        """Leave what was raised where nothing can be raised to :meth:`_Signals.check`."""
        if not isinstance(unraisable.exc_value, Ended):
            hook(unraisable)

    try:
        sys.unraisablehook = ignore
        for number in _ENDING:
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                before[number] = signal.signal(number, signals.handle)
        yield signals
    finally:
        for number, handler in reversed(before.items()):
            signal.signal(number, handler)
        sys.unraisablehook = hook
