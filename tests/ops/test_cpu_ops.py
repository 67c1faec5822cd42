"""Every op: the CPU kernel agrees with the NumPy reference, on every instruction set that this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from krypton_compile.schemas import SCHEMAS
from tests.ops.cases import Case, cases
from tests.ops.running import run_cpu, run_reference

RELATIVE = 2e-6
"""Of the largest entry: sums of up to 3,000 float32 products against float64 ones."""

CASES = cases()


def agree(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if found.dtype != np.float32:
        np.testing.assert_array_equal(found, expected)
        return
    scale = float(np.nanmax(np.abs(expected), initial=1.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=RELATIVE * scale)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cpu_agrees_with_reference(case: Case) -> None:
    for found, expected in zip(run_cpu(case), run_reference(case), strict=True):
        agree(found, np.asarray(expected))


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: case.name)
def test_threads_change_nothing(case: Case) -> None:
    for one, many in zip(run_cpu(case, 1), run_cpu(case, 3), strict=True):
        np.testing.assert_array_equal(one, many)


def test_every_op_has_a_case() -> None:
    assert {case.op for case in CASES} == {schema.name for schema in SCHEMAS}


@pytest.mark.parametrize("isa", ["portable", "avx2"])
def test_other_instruction_sets(isa: str) -> None:
    if isa != "portable" and isa not in Path("/proc/cpuinfo").read_text():
        pytest.skip(f"this CPU has no {isa}")
    script = (
        "from tests.ops.test_cpu_ops import *\n"
        "kernels = {'IncrementalConv', 'IncrementalClip', 'IncrementalMaxPool', 'IncrementalAveragePool',\n"
        "           'IncrementalAdd', 'IncrementalGemm', 'ShrinkBoxes', 'IncrementalGlobalAveragePool'}\n"
        "for case in CASES:\n"
        "    if case.op in kernels:\n"
        "        for found, expected in zip(run_cpu(case), run_reference(case), strict=True):\n"
        "            agree(found, np.asarray(expected))\n"
    )
    environment = {**os.environ, "KRYPTON_CPU_ISA": isa}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_an_instruction_set_that_is_not_there_is_refused() -> None:
    script = "from tests.ops.running import session_options\nsession_options()"
    environment = {**os.environ, "KRYPTON_CPU_ISA": "sse9"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "KRYPTON_CPU_ISA" in done.stderr
