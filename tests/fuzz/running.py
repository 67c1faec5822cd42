"""Runs jobs in a worker process that may die or hang: it is started again, and the job that did it is named."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 60
_START_SECONDS = 120


@dataclass
class Tally:
    """What came of the jobs; ``wrong`` are bugs, crashes, hangs and prints, each with the command that repeats it."""

    counts: Counter[str] = field(default_factory=Counter)
    parsed: int = 0
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> str:
        """For people."""
        return ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))


def run(kind: str, seeds: Iterable[int], seconds: float = SECONDS, before: str = "") -> Tally:
    """Runs the jobs of one kind; Python code that the worker runs ``before`` each tests this harness."""
    tally = Tally()
    worker = _Worker(before)
    try:
        for seed in seeds:
            answer = worker.ask(kind, seed, seconds)
            again = f"python -m tests.fuzz.worker {kind} {seed}"
            if isinstance(answer, str):
                tally.counts[answer] += 1
                tally.wrong.append(f"{answer}: {again}")
                worker.stop()
                worker = _Worker(before)
                continue
            tally.counts[answer["became"] if answer["became"] != "error" else f"error {answer['kind']}"] += 1
            tally.parsed += answer["parsed"]
            if answer["became"] == "bug":
                tally.wrong.append(f"{answer['message']}\n  {answer['what']}: {again}")
            # A command line says one line; and sanitizers print what they find and go on.
            if answer["printed"] and (kind == "model" or "runtime error" in answer["printed"]):
                tally.wrong.append(f"printed: {answer['printed']}\n  {answer['what']}: {again}")
    finally:
        worker.stop()
    return tally


class _Worker:
    def __init__(self, before: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", before],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if not before else subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
            text=True,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stream("stdout"), selectors.EVENT_READ)
        self._fresh = True

    def ask(self, kind: str, seed: int, seconds: float) -> dict | str:
        """The worker's answer, or what became of it: "signal N", "exit N" or "hang"."""
        if self._fresh:
            self._fresh = False
            said = self._listen(_START_SECONDS)
            assert said == "ready\n", f"the worker does not start: {said}"
        stream = self._stream("stdin")
        stream.write(f"{kind} {seed}\n")
        stream.flush()
        line = self._listen(seconds)
        return json.loads(line) if line.endswith("\n") else line

    def _listen(self, seconds: float) -> str:
        """The next line, or what became of the worker."""
        if not self._selector.select(seconds):
            self._process.kill()
            self._process.wait()
            return "hang"
        line = self._stream("stdout").readline()
        if line:
            return line
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit {code}"

    def stop(self) -> None:
        """Ends it."""
        self._selector.close()
        self._stream("stdin").close()
        self._stream("stdout").close()
        self._process.kill()
        self._process.wait()

    def _stream(self, name: str):
        stream = getattr(self._process, name)
        assert stream is not None
        return stream
