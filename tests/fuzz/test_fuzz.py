"""Hostile input of every kind: a result or a clear error; and that the harness itself would see what it looks for.

By default some hundred of each, in well under a minute; with --full, some ten thousands. A failure prints the command
that repeats it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from krypton_compile.compiler import pipeline
from tests.fuzz import jobs
from tests.fuzz.running import Tally, run

# What a library does before we can look: kind and seed, and why. Empty as of onnx 1.23 and onnxruntime 1.32.
EXCLUDED: dict[tuple[str, int], str] = {}

COUNTS = {"model": (100, 2_000), "compiled": (60, 2_000), "boxes": (2_000, 100_000), "op": (400, 20_000)}
FIRST = 1_000_000
"""The full run's seeds start here, so that it does not repeat the short one."""


def check(kind: str, first: int, count: int) -> Tally:
    seeds = [seed for seed in range(first, first + count) if (kind, seed) not in EXCLUDED]
    tally = run(kind, seeds)
    print(f"{kind}: {tally.parsed} of {len(seeds)} parsed; {tally.lines()}")
    assert not tally.wrong, "\n\n".join(tally.wrong[:20])
    assert tally.parsed >= 0.3 * count, "too few got past the parser"
    assert tally.counts["result"] >= 0.05 * count, "too few got all the way"
    assert len(tally.counts) > 1, "nothing was refused"
    return tally


@pytest.mark.parametrize("kind", COUNTS)
def test_a_result_or_a_clear_error(kind: str) -> None:
    check(kind, 0, COUNTS[kind][0])


@pytest.mark.full
@pytest.mark.parametrize("kind", COUNTS)
def test_a_result_or_a_clear_error_in_full(kind: str) -> None:
    check(kind, FIRST, COUNTS[kind][1])


def test_jobs_are_reproducible() -> None:
    for kind in jobs.JOBS:
        for seed in range(3):
            first, second = jobs.run_job(kind, seed), jobs.run_job(kind, seed)
            assert (first.became, first.kind, first.what) == (second.became, second.kind, second.what)


FAULTS = {
    "crash": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
    "exit": ("import os; os._exit(3)", "exit 3"),
    "hang": ("import time; time.sleep(60)", "hang"),
    "memory": ("bytearray(7 << 30)", "exit 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_harness_sees(fault: str) -> None:
    code, expected = FAULTS[fault]
    tally = run("boxes", range(2), seconds=3, before=code)
    assert tally.counts == {expected: 2}
    assert tally.wrong[0] == f"{expected}: python -m tests.fuzz.worker boxes 0"


def test_a_surprise_of_our_own_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyError of a pass is a ModelError for a user, and a bug for this harness."""
    surprised = tuple(
        replace(each, change=lambda model: model.meta["nothing"]) if each.name == "gather_shuffles" else each
        for each in pipeline.SIMPLIFY
    )
    monkeypatch.setattr(pipeline, "SIMPLIFY", surprised)
    became = [jobs.run_job("model", seed) for seed in range(30)]
    assert any(outcome.became == jobs.BUG and "surprised" in outcome.message for outcome in became)


def test_a_broken_contract_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "is_allowed", lambda feeds, of: True)
    became = [jobs.run_job("boxes", seed) for seed in range(30)]
    assert any(outcome.became == jobs.BUG and "allowed" in outcome.message for outcome in became)
