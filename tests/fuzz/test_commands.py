"""A few hostile calls and kills of the commands, and that their harness would see what it looks for."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.commands.calls import Call
from tests.fuzz.commands.fuzz import check

ROOT = Path(__file__).resolve().parents[2]
FILE = stat.S_IFREG | 0o644


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    ["fuzz --calls 100 --first 0", "kills --kills 3 --seed 0 --way compile --way explain --way store --way tune"],
)
def test_hostile_calls_and_kills(line):
    command = [sys.executable, "-m", *f"tests.fuzz.commands.{line}".split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


@pytest.mark.parametrize(
    ("ended", "err", "after", "expected"),
    [
        ("signal 11", b"", {}, ["signal 11"]),
        ("exit 70", b"krypton-tune: x\n", {}, ["exit code 70"]),
        ("exit 5", b"", {}, ["exit code 5"]),
        ("exit 0", b"Traceback (most recent call last):\n", {}, ["a traceback"]),
        ("exit 0", b"\x1b[2K", {}, ["{'\\x1b'} on standard error"]),
        ("exit 2", b"", {}, ["no line that says why", "0 lines"]),
        ("exit 0", b"", {"input": (FILE, b"other")}, ["'input' was changed"]),
        ("exit 0", b"", {"input": (FILE, b"old"), "more": (FILE, b"")}, ["'more' was made"]),
        ("exit 0", b"", {}, ["'input' was changed"]),
        ("exit 0", b"", {"input": (FILE, b"old"), "out": (FILE, b"")}, []),
    ],
)
def test_the_harness_sees(ended, err, after, expected):
    before = {"input": (FILE, b"old")}
    given = after or (before if expected != ["'input' was changed"] else {})
    assert check(Call("tune", outputs={"out"}), ended, b"", err, before, given) == expected
