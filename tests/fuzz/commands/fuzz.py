"""Call the commands in processes of their own, and look at what is left of the folder.

    python -m tests.fuzz.commands.fuzz --calls 20000                   fresh seeds
    python -m tests.fuzz.commands.fuzz --first 7 --calls 1 --show      one call again

A process that has imported everything is forked for each call, with its memory bounded. Wrong is a signal, a hang, a
traceback that nobody asked for, exit code 70 or another that is not documented, more than a line of error, a character
on a stream that is not printable, a file that was changed and is no output, and anything left over.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import io
import itertools
import math
import os
import pkgutil
import resource
import secrets
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from krypton_compile.cli import entry
from krypton_compile.cli.frame.command import CODES, MISTAKE
from krypton_compile.disk.write import ROOM
from tests.fuzz.commands.calls import Call, make_call, prepare
from tests.fuzz.commands.template import make_template

SECONDS = 180.0
MEMORY_BYTES = 6 << 30
STANDARD = (1, 2)


@dataclass
class Tally:
    """What came of the calls; each of ``wrong`` with the command that repeats it."""

    codes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def run(seeds: range, show: bool = False, seconds: float | None = None) -> Tally:
    """Make the calls of these seeds, for at most ``seconds`` if that is given."""
    tally, began = Tally(), time.monotonic()
    import_all()
    with tempfile.TemporaryDirectory(prefix="krypton-fuzz-") as name, quick_figures():
        root = Path(name)
        quicken_tuning()
        in_child(lambda: make_template(root / "template") or 0, [os.devnull, os.devnull])
        for seed in seeds:
            if seconds is not None and time.monotonic() - began > seconds:
                break
            code, wrong = one(seed, root, show)
            tally.codes[code] += 1
            again = f"python -m tests.fuzz.commands.fuzz --first {seed} --calls 1 --show"
            if (seed - seeds.start) % 500 == 499:
                print(f"{seed - seeds.start + 1} calls", flush=True)
            for what in wrong:
                tally.wrong.append(f"{what}\n  {again}")
                print(f"WRONG {tally.wrong[-1]}\n", flush=True)
    return tally


def import_all() -> None:
    """Import what the commands import when they work, so that the forked ones need not."""
    for folder in ("cli", "contract", "files", "compiler", "passes", "runtime"):
        package = importlib.import_module(f"krypton_compile.{folder}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # a collection in a forked process would copy all pages


def quicken_tuning(choose: bool = False) -> None:
    """Try few thresholds; ``choose`` lets settings be chosen that save nothing, as none does of so small a network."""
    from krypton_compile.runtime.tuning import screening, search

    if choose:
        search._WORTH = search._SLOWER = math.inf
    screening.TAUS, screening.EPSES = (1.0, 0.65), (0.0, 1e-2)


@contextlib.contextmanager
def quick_figures() -> Iterator[None]:
    """Draw one figure of eight; drawing takes ten times as long as all the rest."""
    from krypton_compile.disk.earlier import PRODUCER
    from krypton_compile.runtime.maps import figure

    data, about = io.BytesIO(), PngInfo()
    about.add_text("Software", PRODUCER)
    Image.new("RGB", (4, 4)).save(data, "PNG", pnginfo=about)
    real, drawn = figure.figure_png, itertools.count(int.from_bytes(os.urandom(1)))

    def draw(*arguments: Any, **options: Any) -> bytes:
        return data.getvalue() if (next(drawn) + os.getpid()) % 8 else real(*arguments, **options)

    figure.figure_png = draw
    try:
        yield
    finally:
        figure.figure_png = real


def one(seed: int, root: Path, show: bool = False) -> tuple[str, list[str]]:
    """Make one call; return what it ended with, and what is wrong."""
    rng = np.random.default_rng(seed)
    outside = Path(tempfile.mkdtemp(dir=root))
    folder = outside / "work"
    try:
        prepare(rng, root / "template", folder)
        call = make_call(rng, folder)
        before = snapshot(outside)
        streams = [str(root / "out"), str(root / "err")]
        for path in streams:
            Path(path).write_bytes(b"")
        ended = in_child(lambda: work(call, folder), streams, call.streams)
        out, err = (Path(path).read_bytes() for path in streams)
        wrong = check(call, ended, out, err, before, snapshot(outside))
        if show:
            print(call.command, call.words, call.streams, call.done, sorted(call.outputs), sep="\n  ")
            print(ended, out.decode(errors="replace"), err.decode(errors="replace"), sep="\n")
        what = f"{call.command} {call.words} {call.streams} {call.done}\n  {err.decode(errors='replace')[-1500:]}"
        return ended, [f"{each}: {what}" for each in wrong]
    finally:
        shutil.rmtree(outside, ignore_errors=True)


def in_child(job: Callable[[], int], streams: list[str], kind: str = "usual") -> str:
    """Run in a forked process; return "exit N", "signal N" or "hang"."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            connect(streams, kind)
            code = job()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 98
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            os._exit(code)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            number = os.waitstatus_to_exitcode(status)
            return f"exit {number}" if number >= 0 else f"signal {-number}"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hang"


def connect(streams: list[str], kind: str) -> None:
    """Connect the standard streams; ``kind`` says what is odd about standard output, and of a few about both."""
    for number, path in zip(STANDARD, streams, strict=True):
        target = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(target, number)
        os.close(target)
    if kind == "full" and Path("/dev/full").exists():
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, 1)
    if kind == "broken":
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
    encoding = kind if kind in ("ascii", "latin-1") else "utf-8"
    sys.stdout = sys.__stdout__ = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    if kind == "closed":
        os.close(1)
        sys.stdout = sys.__stdout__ = None  # type: ignore[misc, assignment]


def work(call: Call, folder: Path) -> int:
    """Be the command."""
    os.chdir(folder)
    os.environ["KRYPTON_CACHE"] = str(folder.parent / "cache")
    sys.argv = [f"krypton-{call.command}", *call.words]
    program: Callable[[], int] = getattr(entry, call.command)
    return program()


Snapshot = dict[str, tuple[int, bytes]]


def snapshot(root: Path) -> Snapshot:
    """All that lies there but the cache: kinds and contents."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = os.fspath(path.relative_to(root))
        if not name.startswith("cache"):
            mode = path.lstat().st_mode
            content = os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else b""
            found[name.removeprefix("work/")] = mode, path.read_bytes() if stat.S_ISREG(mode) else content
    return found


def check(call: Call, ended: str, out: bytes, err: bytes, before: Snapshot, after: Snapshot) -> list[str]:
    """List what is wrong."""
    kind, _, number = ended.partition(" ")
    if kind != "exit":
        return [ended]
    code, wrong = int(number), []
    if code not in CODES or code == MISTAKE:
        wrong.append(f"exit code {code}")
    if b"Traceback" in err and "--debug" not in call.words:
        wrong.append("a traceback")
    for name, text in (("output", out), ("error", err)):
        strange = {letter for letter in text.decode("utf-8", "backslashreplace") if not letter.isprintable()} - {"\n"}
        if strange and call.streams != "latin-1":
            wrong.append(f"{strange} on standard {name}")
    lines = err.decode(errors="replace").splitlines()
    if (
        code == 2
        and "--debug" not in call.words
        and (not lines or not lines[-1].startswith(f"krypton-{call.command}: "))
    ):
        wrong.append("no line that says why")
    if code == 2 and call.command != "explain" and "--debug" not in call.words and len(lines) != 1:
        wrong.append(f"{len(lines)} lines")
    starts = tuple(call.outputs)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            there = path in before
            allowed = (
                path in call.outputs or f"../{path}" in call.outputs
                if there
                else path.startswith(starts) or path == "up"
            )
            if not allowed and not (not there and f"../{path}".startswith(starts)):
                wrong.append(f"{path!r} was {'changed' if there else 'made'}")
            if code == 2 and there and call.command != "explain" and path.removesuffix("/") != "t":
                wrong.append(f"{path!r} was changed by a call that failed")
    if any(ROOM in path for path in after):
        wrong.append("something temporary was left")
    return wrong


def main() -> int:
    """Run the calls that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--first", type=int, default=None, help="the first seed (default: a fresh one)")
    parser.add_argument("--seconds", type=float, default=None, help="stop after so many (default: never)")
    parser.add_argument("--show", action="store_true", help="print the calls and what they say")
    options = parser.parse_args()
    first = secrets.randbelow(1 << 40) if options.first is None else options.first
    tally = run(range(first, first + options.calls), options.show, options.seconds)
    codes = dict(sorted(tally.codes.items()))
    print(f"{sum(codes.values())} calls from seed {first}: {codes}; {len(tally.wrong)} wrong")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
