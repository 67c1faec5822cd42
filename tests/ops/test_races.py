"""The kernels of the GPU under ThreadSanitizer, on a CPU: no races, and those of mutants of their source are found.

KRYPTON_RACES_BUILD names the folder in which krypton_races was built (KRYPTON_RACES); skipped without.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.ops.agreement import RELATIVE, agree, precision_of
from tests.ops.cases import cases
from tests.ops.running import run_reference
from tests.support.harness import Harness

BUILD = Path(os.environ.get("KRYPTON_RACES_BUILD", ""))
SOURCES = Path(__file__).parents[2] / "custom_ops"

pytestmark = pytest.mark.skipif("KRYPTON_RACES_BUILD" not in os.environ, reason="KRYPTON_RACES_BUILD names no folder")


@dataclass(frozen=True)
class Mutant:
    """A change of one file, the source that is compiled with it, the case in which it is found, and as what."""

    name: str
    file: str
    changes: dict[str, str]
    source: str
    case: str
    finding: str = "ThreadSanitizer: data race"


TAPS, CROWD = "conv dilated 16->32 group 1", "conv crowded 1x1 sparse"
MUTANTS = [
    Mutant(
        "no barrier before rows are read",
        "cuda/conv/block.h",
        {"shared);\n  self.Barrier();\n": "shared);\n"},
        "cuda/conv.cu",
        TAPS,
    ),
    Mutant(
        "no barrier in the loop",
        "cuda/conv/block.h",
        {"    self.Barrier();  // everybody's": "    //"},
        "cuda/conv.cu",
        TAPS,
    ),
    Mutant(
        "waits for one group less",
        "cuda/conv/block.h",
        {"Wait<Program::kStages - 2>": "Wait<Program::kStages - 1>"},
        "cuda/conv.cu",
        TAPS,
    ),
    Mutant(
        "loads one stretch too far ahead",
        "cuda/conv/block.h",
        {
            "i < Program::kStages - 1": "i < Program::kStages",
            "Wait<Program::kStages - 2>": "Wait<Program::kStages - 1>",
            "load(index + Program::kStages - 1)": "load(index + Program::kStages)",
        },
        "cuda/conv.cu",
        TAPS,
    ),
    Mutant(
        "loads before the barrier",
        "cuda/conv/block.h",
        {
            "    self.template Wait<Program::kStages - 2>();\n": "    load(index + Program::kStages - 1);\n"
            "    self.template Wait<Program::kStages - 1>();\n",
            "loaded next\n    load(index + Program::kStages - 1);\n": "\n",
        },
        "cuda/conv.cu",
        TAPS,
    ),
    Mutant(
        "idle warps come to no barrier",
        "cuda/conv/block.h",
        {"    self.template Wait<": "    if (Program::Idle(warp, tile)) continue;\n    self.template Wait<"},
        "cuda/conv.cu",
        TAPS,
        "threads of a block wait for others that never come",
    ),
    Mutant(
        "bits set without atomics",
        "cuda/conv/channel_lists.h",
        {"AtomicOr(to, mine);": "*to |= mine;"},
        "cuda/conv.cu",
        CROWD,
    ),
    Mutant(
        "all lanes make one list",
        "cuda/conv/channel_lists.h",
        {"bit = warp.lane; bit < 32; bit += warp.lanes": "bit = 0; bit < 32; ++bit"},
        "cuda/conv.cu",
        CROWD,
    ),
    Mutant(
        "tiles overlap",
        "cuda/conv/tiles.cc",
        {"first < rows.rows; first += tile_rows": "first < rows.rows; first += tile_rows - 1"},
        "cuda/conv/tiles.cc",
        "conv crowded 1x1 dense",
    ),
    Mutant(
        "all lanes write",
        "cuda/rows.cu",
        {"if (warp.lane == 0) out[row]": "out[row]"},
        "cuda/rows.cu",
        "reduce L2 33",
    ),
    Mutant(
        "lanes limit what others wrote",
        "cuda/rows.cu",
        {"c = warp.lane; c < channels; c += warp.lanes) y[c] = limit": "c = 0; c < channels; ++c) y[c] = limit"},
        "cuda/rows.cu",
        "softmax 33 0",
    ),
    Mutant(
        "two rows go to one place",
        "cuda/pool.cu",
        {"out[row * d.channels + c] = limit(static": "out[row / 2 * d.channels + c] = limit(static"},
        "cuda/pool.cu",
        "lp pool 3x3 2",
    ),
]


def test_there_are_no_races() -> None:
    done = run_sanitized(["-m", "pytest", "-q", "-s", "tests/ops/test_harness.py"], BUILD / "libkrypton_races.so")
    assert done.returncode == 0, done.stdout[-20_000:]


def test_cases_of_mutants_have_none() -> None:
    done = run_sanitized(run_some(*{mutant.case for mutant in MUTANTS}), BUILD / "libkrypton_races.so")
    assert done.returncode == 0, done.stdout[-20_000:]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """What came of each mutant; all are made and run side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            mutant.name: pool.submit(try_out, mutant, tmp_path_factory.mktemp("mutant", numbered=True))
            for mutant in MUTANTS
        }


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutants_are_found(mutant: Mutant, found: dict[str, Future[subprocess.CompletedProcess[str]]]) -> None:
    done = found[mutant.name].result()
    assert mutant.finding in done.stdout, done.stdout[-20_000:]
    assert done.returncode != 0


def check(*names: str) -> None:
    """Cases by the library in use."""
    harness = Harness(os.environ["KRYPTON_HARNESS_LIBRARY"])
    for case in cases():
        if case.name in names:
            made = harness.run(case.op, case.attributes, case.inputs)
            for one, expected in zip(made, run_reference(case), strict=True):
                agree(one, np.asarray(expected), RELATIVE[precision_of(case)])


def run_some(*names: str) -> list[str]:
    return ["-c", f"from tests.ops.test_races import check; check(*{names})"]


def run_sanitized(arguments: list[str], library: Path) -> subprocess.CompletedProcess[str]:
    """Python with the run-time of ThreadSanitizer, which sees the library alone."""
    runtime = subprocess.run(
        [commands()["cuda/conv.cu"][0], "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True
    )
    environment = {
        **os.environ,
        "KRYPTON_HARNESS_LIBRARY": str(library),
        "KRYPTON_HARNESS_DEVICE": "cpu",
        "LD_PRELOAD": runtime.stdout.strip(),
        "OPENBLAS_NUM_THREADS": "1",
        "TSAN_OPTIONS": "halt_on_error=1:ignore_noninstrumented_modules=1",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=SOURCES.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def try_out(mutant: Mutant, folder: Path) -> subprocess.CompletedProcess[str]:
    """Compiles the changed source, links it in the place of the other, runs the case."""
    text = (SOURCES / mutant.file).read_text()
    for old, new in mutant.changes.items():
        assert text.count(old) == 1, f"{mutant.file} has {text.count(old)} of {old!r}"
        text = text.replace(old, new)
    changed = folder / mutant.file
    changed.parent.mkdir(parents=True)
    changed.write_text(text)
    command = commands()[mutant.source]
    if mutant.source != mutant.file:
        shutil.copy(SOURCES / mutant.source, folder / mutant.source)
    made = Path(command[command.index("-o") + 1])
    command[command.index("-o") + 1] = str(folder / "changed.o")
    command[command.index("-c") + 1] = str(folder / mutant.source)
    subprocess.run([command[0], f"-I{folder}", *command[1:], "-g0"], cwd=BUILD, check=True)
    objects = [
        path
        for target in ("krypton_races", "krypton_cpu")
        for path in (BUILD / "CMakeFiles" / f"{target}.dir").rglob("*.o")
        if path != BUILD / made
    ]
    library = folder / "libmutant.so"
    subprocess.run(
        [command[0], "-shared", "-fsanitize=thread", "-o", library, folder / "changed.o", *objects], check=True
    )
    return run_sanitized(run_some(mutant.case), library)


def commands() -> dict[str, list[str]]:
    """How the sources of krypton_races are compiled."""
    entries = json.loads((BUILD / "compile_commands.json").read_text())
    return {
        Path(entry["file"]).relative_to(SOURCES).as_posix(): shlex.split(entry["command"])
        for entry in entries
        if "krypton_races.dir" in entry["command"]
    }
