"""The process in which hostile input runs: reads ``kind seed`` a line, answers each with a line of JSON.

    python -m tests.fuzz.worker model 42     repeats one job and prints what came of it

Its memory is limited, so that what asks for too much gets an error and not the machine. What libraries print on file
descriptor 2 goes with the answer.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from dataclasses import asdict
from typing import IO

from tests.fuzz.jobs import run_job

MEMORY_BYTES = 6 << 30


def main() -> None:
    """Answers until the input ends, or the one job of the arguments."""
    if "KRYPTON_FUZZ_UNLIMITED" not in os.environ:  # AddressSanitizer's shadow needs terabytes of addresses
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if len(sys.argv) == 3:
        for name, value in asdict(run_job(sys.argv[1], int(sys.argv[2]))).items():
            print(f"{name}: {value}")
        return
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        kind, seed = line.split()
        exec(sys.argv[1] if len(sys.argv) > 1 else "")
        with tempfile.TemporaryFile() as printed:
            outcome = _answer(kind, int(seed), printed)
        answers.write(json.dumps(outcome) + "\n")
        answers.flush()


def _answer(kind: str, seed: int, printed: IO[bytes]) -> dict[str, object]:
    usual = os.dup(2)
    os.dup2(printed.fileno(), 2)
    try:
        outcome = asdict(run_job(kind, seed))
    finally:
        sys.stderr.flush()
        os.dup2(usual, 2)
        os.close(usual)
    printed.seek(0)
    outcome["printed"] = printed.read(4000).decode(errors="replace")
    return outcome


if __name__ == "__main__":
    main()
