"""Every op: the CPU kernel agrees with the NumPy reference, on every instruction set that this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from krypton_compile.contract.schemas import PRECISIONS, SCHEMAS
from krypton_compile.passes.body.add_thresholds import LIMITED
from tests.ops.agreement import OFFERED, RELATIVE, agree, precision_of
from tests.ops.cases import Case, cases
from tests.ops.limited import limited_cases
from tests.ops.running import EMULATED, run_cpu, run_reference

CASES = cases()
CASES += list(limited_cases(CASES))
CONVOLUTIONS = ("IncrementalConv", "IncrementalConcatConv")


def has(*flags: str) -> bool:
    return set(flags) <= set(Path("/proc/cpuinfo").read_text().split())


def check(case: Case) -> None:
    for found, expected in zip(run_cpu(case), run_reference(case), strict=True):
        agree(found, np.asarray(expected), RELATIVE[precision_of(case)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cpu_agrees_with_reference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("precision", ["bfloat16x3", "bfloat16"])
@pytest.mark.parametrize("case", [case for case in CASES if case.op in CONVOLUTIONS], ids=lambda case: case.name)
def test_split_products_agree_with_reference(case: Case, precision: str) -> None:
    if precision == "bfloat16" and limit_of(case) is not None:
        pytest.skip("its rounding decides on which side of a limit a result lies: the test below")
    check(replace(case, attributes={**case.attributes, "precision": precision}))


@pytest.mark.skipif(EMULATED, reason="of the two convolutions one has the GPU's kernel then")
def test_split_products_are_made_where_they_pay() -> None:
    """Or the tests above would compare float32 with itself."""
    for case in (case for case in CASES if case.name in ("conv wide 3x3 dense", "concat conv dense")):
        plain, *split = (
            run_cpu(replace(case, attributes={**case.attributes, "precision": precision}))[0]
            for precision in ("float32", "bfloat16x3", "bfloat16")
        )
        offered = [OFFERED["bfloat16x3"], OFFERED["bfloat16"]]
        assert [not np.array_equal(plain, found) for found in split] == offered


@pytest.mark.parametrize("case", [case for case in CASES if "wide" in case.name][::3], ids=lambda case: case.name)
def test_a_limit_makes_sums_of_bfloat16_zero(case: Case) -> None:
    """As far from the limit as they are exact."""
    expected = run_reference(case)[0]
    limit = np.median(np.abs(expected))
    inputs = [*case.inputs, *[None] * (LIMITED[case.op] - len(case.inputs)), np.array([limit], np.float32)]
    found = run_cpu(replace(case, inputs=inputs, attributes={**case.attributes, "precision": "bfloat16"}))[0]
    error = RELATIVE["bfloat16"] * np.abs(expected).max()
    assert not found[np.abs(expected) <= limit - error].any()
    kept = np.abs(expected) > limit + error
    np.testing.assert_allclose(found[kept], expected[kept], rtol=0, atol=error)


def limit_of(case: Case) -> np.ndarray | None:
    slot = LIMITED[case.op]
    return case.inputs[slot] if len(case.inputs) > slot else None


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: case.name)
def test_threads_change_nothing(case: Case) -> None:
    for one, many in zip(run_cpu(case, 1), run_cpu(case, 3), strict=True):
        np.testing.assert_array_equal(one, many)


def test_every_op_has_a_case() -> None:
    assert {case.op for case in CASES} == {schema.name for schema in SCHEMAS}


ISAS = {"portable": (), "avx2": ("avx2", "fma"), "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl")}
ISAS["avx512bf16"] = (*ISAS["avx512"], "avx512_bf16", "avx512_vbmi2")


@pytest.mark.parametrize("isa", ISAS)
def test_other_instruction_sets(isa: str) -> None:
    """Matrix tiles, where there are any, have had their turn above."""
    if EMULATED:
        pytest.skip("the kernels are the GPU's")
    if not has(*ISAS[isa]):
        pytest.skip(f"this CPU has no {isa}")
    script = (
        "from tests.ops.test_cpu_ops import *\n"
        "kernels = {'IncrementalConv', 'IncrementalClip', 'IncrementalMaxPool', 'IncrementalAveragePool',\n"
        "           'IncrementalAdd', 'IncrementalScale', 'IncrementalGemm', 'ShrinkBoxes',\n"
        "           'IncrementalGlobalAveragePool'}\n"
        "for case in CASES:\n"
        "    if case.op in kernels:\n"
        "        check(case)\n"
        "    if ' wide ' in case.name:\n"
        "        check(replace(case, attributes={**case.attributes, 'precision': 'bfloat16'}))\n"
    )
    environment = {**os.environ, "KRYPTON_CPU_ISA": isa}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_bfloat16_is_used_where_there_is_some() -> None:
    """Its results differ from float32's, or the bounds above have tested nothing."""
    cases = {precision: next(c for c in CASES if c.name == f"conv deep 1.0 {precision}") for precision in PRECISIONS}
    results = {precision: run_cpu(case)[0] for precision, case in cases.items()}
    for precision in ("bfloat16", "bfloat16x3"):
        assert np.array_equal(results["float32"], results[precision]) != OFFERED[precision]
    for case in CASES:
        if " wide " in case.name:
            plain = replace(case, attributes={**case.attributes, "precision": "bfloat16"})
            assert np.array_equal(run_cpu(case)[0], run_cpu(plain)[0]) != OFFERED["bfloat16"], case.name


def test_an_instruction_set_that_is_not_there_is_refused() -> None:
    script = "from tests.ops.running import session_options\nsession_options()"
    environment = {**os.environ, "KRYPTON_CPU_ISA": "sse9"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "KRYPTON_CPU_ISA" in done.stderr
