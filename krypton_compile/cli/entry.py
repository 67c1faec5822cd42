"""The programs krypton-compile, krypton-explain and krypton-tune: quiet when interrupted, from their first moment on.

Nothing is written before a command's main begins, so an interrupt meanwhile ends the process at once: raised inside an
import it would be printed, or get lost.
"""

import os
import signal
import sys


def _end(number: int, _: object) -> None:
    os._exit(128 + number)


def _begin() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end_quietly(code: int) -> int:
    """The work is done, and the exit code is told: nothing that comes now may change it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def compile() -> int:
    """Run krypton-compile."""
    _begin()
    from krypton_compile.cli.compile import main

    return _end_quietly(main())


def explain() -> int:
    """Run krypton-explain."""
    _begin()
    from krypton_compile.cli.explain import main

    return _end_quietly(main())


def tune() -> int:
    """Run krypton-tune."""
    _begin()
    from krypton_compile.cli.tune import main

    return _end_quietly(main())
