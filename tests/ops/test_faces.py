"""Every op of the schemas has its five faces, each where its name and its family in ops.def say."""

from __future__ import annotations

import importlib
import re
from collections import Counter

import numpy as np
import pytest

from krypton_compile.contract.schemas import SCHEMAS
from krypton_compile.reference import REFERENCE_OPS
from tests.ops.cases import FAMILIES as MAKERS
from tests.ops.ops_def import FAMILIES, ROOT, SOURCES, Op, read_ops

OPS = read_ops()
IN_CASES = {family: {case.op for case in make(np.random.default_rng(0))} for family, make in MAKERS.items()}
BOTH = [op for op in OPS if op.kernels == "CPU_AND_GPU"]


def test_the_list_is_the_schemas() -> None:
    assert Counter(op.name for op in OPS) == Counter(schema.name for schema in SCHEMAS)
    assert {op.family for op in OPS} == set(FAMILIES) == set(MAKERS)
    assert {op.kernels for op in OPS} == {"CPU", "CPU_AND_GPU"}


def test_what_makes_values_has_a_kernel_for_the_gpu() -> None:
    """But for the op that files for CUDA never have (tests/passes/body/test_fuse_concat.py)."""
    makes = {schema.name for schema in SCHEMAS if schema.outputs[0].endswith(":float")}
    assert {op.name for op in BOTH} == makes - {"IncrementalConcatConv"}


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_a_rule_or_an_emission(op: Op) -> None:
    """Some pass writes the op into compiled files."""
    named = re.compile(rf"[\"']{op.name}[\"']")
    assert [path for path in (ROOT / "passes").rglob("*.py") if named.search(path.read_text())]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_a_reference(op: Op) -> None:
    module = importlib.import_module(f"krypton_compile.reference.{op.family}")
    [found] = [each for each in REFERENCE_OPS if each.__name__ == op.name]
    assert found is getattr(module, op.name)
    assert found.__module__ == module.__name__


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_a_kernel_of_the_cpu(op: Op) -> None:
    source = (SOURCES / "ops" / op.family / f"{op.snake}.cc").read_text()
    assert f'kName = "{op.name}";' in source
    assert f"const OrtCustomOp* {op.name}Op()" in source


def test_a_folder_holds_its_family_alone() -> None:
    """Kernels of no other family, and none that the list does not name."""
    for family in FAMILIES:
        names = {
            name
            for path in (SOURCES / "ops" / family).glob("*.cc")
            for name in re.findall(r'kName = "(\w+)"', path.read_text())
        }
        assert names == {op.name for op in OPS if op.family == family}


def test_kernels_of_the_gpu() -> None:
    """One source a family, with the kernels that the list promises; boxes have none."""
    for family in FAMILIES:
        path = SOURCES / "cuda" / f"{family}.cu"
        promised = {op.name for op in BOTH if op.family == family}
        source = path.read_text() if path.exists() else ""
        assert set(re.findall(r'kName = "(\w+)"', source)) == promised
        assert set(re.findall(r"OrtCustomOp\* (\w+)Op\(\)", source)) == promised
        assert bool(promised) == path.exists()


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_cases(op: Op) -> None:
    assert op.name in IN_CASES[op.family]


def test_cases_stand_with_their_family() -> None:
    families = {op.name: op.family for op in OPS}
    for family, names in IN_CASES.items():
        assert {families[name] for name in names} == {family}
