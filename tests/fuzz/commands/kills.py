"""End the commands by signals, at random and at chosen places: nothing half-written, lost or left over.

    python -m tests.fuzz.commands.kills --kills 200

Each command runs over files of an earlier run. One in four is a process of its own, imports included; the others are
forked with everything imported. After INT and TERM the files of a set are all earlier or all new, and nothing else is
there; after KILL each file is one of them, and the next run succeeds and leaves nothing. Inputs stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from krypton_compile.disk.write import ROOM
from tests.fuzz.commands import fuzz, pictures
from tests.fuzz.commands.calls import Call
from tests.fuzz.commands.template import make_template

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
PLACES = ("Path.replace", "Path.mkdir", "Path.chmod", "os.link", "os.fsync", "shutil.rmtree", "Path.open", "os.open")
"""Functions at whose calls a process ends itself, before or behind them."""
ROOT = Path(__file__).resolve().parents[3]
TUNING = (
    "from krypton_compile.cli import entry; entry._begin(); "
    "from tests.fuzz.commands.fuzz import quicken_tuning; quicken_tuning(choose=True); "
)
"""What a process of its own does before krypton-tune."""
_OURS = "krypton_compile" + os.sep
WAYS: dict[str, tuple[str, list[str], tuple[tuple[str, ...], ...]]] = {
    "compile": (
        "compile",
        ["tiny.onnx", "-o", "out.onnx", "--report", "out.json"],
        (("out.onnx", "out.json"),),
    ),
    "explain": (
        "explain",
        ["tiny.krypton.onnx", "a0.png", "a1.png", "--patch-size", "4", "--stride", "4", "--output-dir", "maps"],
        tuple(
            tuple(f"maps/{stem}{end}" for end in ("_overlay.png", "_heatmap.npy", "_result.json"))
            for stem in ("a0", "a1")
        ),
    ),
    "progressive": (
        "explain",
        ["tiny.krypton.onnx", "a0.png", "--patch-size", "4", "--stride", "4", "--mode", "progressive"],
        (("a0_overlay.png", "a0_heatmap.npy", "a0_result.json"),),
    ),
    "store": (
        "explain",
        ["bare.krypton.onnx", "a0.png", "--patch-size", "4", "--stride", "4", "--preprocess", "unit", "--store"],
        (("a0_overlay.png", "a0_heatmap.npy", "a0_result.json"), ("bare.krypton.onnx",)),
    ),
    "tune": (
        "tune",
        ["tiny.krypton.onnx", "a0.png", "a1.png", "--patch-size", "6", "--stride", "8", "--quality", "ssim>=0.1"],
        (("tiny.krypton.tuned.onnx", "tiny.krypton.tuned.tuning.png"),),
    ),
    "in place": (
        "tune",
        *(
            "tiny.krypton.onnx a0.png a1.png --patch-size 6 --stride 8 --quality ssim>=0.1 --in-place".split(),
            (("tiny.krypton.onnx", "tiny.krypton.tuning.png"),),
        ),
    ),
}

Inode = tuple[int, int]
"""A file's number, and when that last changed."""


@dataclass
class Kills:
    """What came of them."""

    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def run(count: int, seed: int, ways: Sequence[str] = tuple(WAYS), cold: float = 0.25) -> Kills:
    """End each of the ``ways`` to call a command ``count`` times, a share of them in ``cold`` processes."""
    kills, rng = Kills(), np.random.default_rng(seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    fuzz.import_all()
    fuzz.quicken_tuning(choose=True)
    with tempfile.TemporaryDirectory(prefix="krypton-kills-") as name, fuzz.quick_figures():
        root = Path(name)
        fuzz.in_child(lambda: make_template(root / "template") or 0, [os.devnull, os.devnull])
        for way in ways:
            command, words, sets = WAYS[way]
            earlier = root / way
            shutil.copytree(root / "template", earlier)
            for picture in ("a0.png", "a1.png"):
                pictures.good(rng, earlier / picture)
            call = Call(command, words)
            print(way, flush=True)
            times = [_timed(lambda call=call, earlier=earlier: _forked(call, earlier, root)) for _ in range(2)]
            for _ in range(count):
                number = SIGNALS[int(rng.integers(len(SIGNALS)))]
                end, wrong = _one(rng, number, call, sets, earlier, root, min(times), cold)
                kills.ends[f"{way}: {number.name} {end}"] += 1
                for what in wrong:
                    kills.wrong.append(f"{way}, {number.name}, {what}")
                    print(f"WRONG {kills.wrong[-1]}\n", flush=True)
    return kills


def _timed(job: Callable[[], object]) -> float:
    began = time.monotonic()
    job()
    return time.monotonic() - began


def _forked(call: Call, folder: Path, root: Path, before: Callable[[], None] = lambda: None) -> str:
    streams = [str(root / "out"), str(root / "err")]
    for path in streams:
        Path(path).write_bytes(b"")

    def work() -> int:
        before()
        return fuzz.work(call, folder)

    return fuzz.in_child(work, streams)


def _one(
    rng: np.random.Generator,
    number: signal.Signals,
    call: Call,
    sets: tuple[tuple[str, ...], ...],
    earlier: Path,
    root: Path,
    seconds: float,
    cold: float,
) -> tuple[str, list[str]]:
    folder = Path(tempfile.mkdtemp(dir=root)) / "work"
    shutil.copytree(earlier, folder)
    before, inodes = fuzz.snapshot(folder), _inodes(folder, sets)
    choice = rng.random()
    if choice < cold:
        delay = float(rng.uniform(0, 3 * seconds + 1))
        how, ended = f"own process, {delay:.2f} s", _cold(call, folder, root, number, delay)
    elif choice < 0.6:
        delay = float(rng.uniform(0, seconds))
        how = f"{delay:.3f} s"
        ended = _forked(call, folder, root, lambda: _later(number, delay))
    else:
        place, at, behind = str(rng.choice(PLACES)), int(rng.integers(1, 12)), bool(rng.integers(2))
        how = f"call {at} of {place}, {'behind' if behind else 'before'} it"
        ended = _forked(call, folder, root, lambda: _at(place, at, behind, number))
    err = (root / "err").read_text(errors="replace")
    found = _check(number, ended, err, sets, before, inodes, folder)
    if ended == f"signal {number}" and choice < cold and _OURS not in err:
        # Python ended before a line of ours had run: importing, it prints where.
        found = [what for what in found if not what.startswith(("ended", "not one line"))]
    wrong = [f"{how}, {ended}: {what}\n{err[-1000:]}" for what in found]
    if number == signal.SIGKILL and not wrong:
        again = _forked(call, folder, root)
        if again not in ("exit 0",) or [path for path in fuzz.snapshot(folder) if ROOM in path]:
            said = (root / "err").read_text(errors="replace")
            wrong.append(f"{how}: the next run ended with {again} and left {sorted(fuzz.snapshot(folder))}\n{said}")
    shutil.rmtree(folder.parent, ignore_errors=True)
    return ended, wrong


def _later(number: int, delay: float) -> None:
    """Send the signal from a process beside this one."""
    target = os.getpid()
    if os.fork() == 0:
        time.sleep(delay)
        with _ignored():
            os.kill(target, number)
        os._exit(0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


class _ignored:  # noqa: N801 - used as contextlib.suppress is
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, ProcessLookupError)


def _at(place: str, at: int, behind: bool, number: int) -> None:
    """Let the ``at``-th call of a function end the process."""
    of, _, name = place.partition(".")
    home = {"Path": Path, "os": os, "shutil": shutil}[of]
    real, calls = getattr(home, name), 0

    def ending(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == at and not behind:
            os.kill(os.getpid(), number)
        result = real(*arguments, **options)
        if calls == at and behind:
            os.kill(os.getpid(), number)
        return result

    setattr(home, name, ending)


def _cold(call: Call, folder: Path, root: Path, number: int, delay: float) -> str:
    first = TUNING if call.command == "tune" else ""
    script = f"import sys; {first}from krypton_compile.cli.entry import {call.command} as main; sys.exit(main())"
    environment = os.environ | {"KRYPTON_CACHE": str(folder.parent / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (root / "out").open("wb") as out, (root / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *call.words], cwd=folder, env=environment, stdout=out, stderr=err
        )
        time.sleep(delay)
        process.send_signal(number)
        code = process.wait()
    return f"exit {code}" if code >= 0 else f"signal {-code}"


def _check(
    number: signal.Signals,
    ended: str,
    err: str,
    sets: tuple[tuple[str, ...], ...],
    before: fuzz.Snapshot,
    inodes: dict[str, Inode],
    folder: Path,
) -> list[str]:
    wrong, after = [], fuzz.snapshot(folder)
    expected = {"exit 0", "signal 9"} if number == signal.SIGKILL else {"exit 0", f"exit {128 + number}"}
    if ended not in expected:
        wrong.append(f"ended with {ended}")
    if "Traceback" in err or len(err.splitlines()) > 1:
        wrong.append("not one line")
    outputs = {name for names in sets for name in names}
    for path in before.keys() | after.keys():
        if path in outputs or path == "maps" or (number == signal.SIGKILL and ROOM in path):
            continue
        if before.get(path) != after.get(path):
            wrong.append(f"{path!r} was changed, made or lost")
    for names in sets:
        there = _inodes(folder, (names,))
        new = [name for name in names if inodes.get(name) != there.get(name)]
        wrong += [f"{name} is not whole" for name in new if not _is_whole(folder / name)]
        if number != signal.SIGKILL and new and len(new) != len(names):
            wrong.append(f"of {names} only {new} are new")
    return wrong


def _inodes(folder: Path, sets: tuple[tuple[str, ...], ...]) -> dict[str, Inode]:
    """The files of sets that are there: a new one may have an earlier one's content, and even its number."""
    paths = {name: folder / name for names in sets for name in names}
    found = {name: path.stat() for name, path in paths.items() if path.exists()}
    return {name: (status.st_ino, status.st_ctime_ns) for name, status in found.items()}


def _is_whole(path: Path) -> bool:
    try:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix == ".npy":
            np.load(path)
        elif path.suffix == ".json":
            json.loads(path.read_text("utf-8"))
        else:
            onnx.load(path)
    except Exception:  # whatever a reader raises
        return False
    return True


def main() -> int:
    """Run as many as the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of each way to call a command")
    parser.add_argument("--seed", type=int, default=None, help="(default: a fresh one)")
    parser.add_argument("--way", choices=WAYS, action="append", help="(default: all of them)")
    options = parser.parse_args()
    seed = secrets.randbelow(1 << 40) if options.seed is None else options.seed
    kills = run(options.kills, seed, options.way or tuple(WAYS))
    for end, count in sorted(kills.ends.items()):
        print(f"{count:5} {end}")
    print(f"seed {seed}: {len(kills.wrong)} wrong")
    return 1 if kills.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
