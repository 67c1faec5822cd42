"""Ops by the C ABI, without onnxruntime: they agree with the reference; skipped where the harness is not built.

KRYPTON_HARNESS_LIBRARY names the harness, KRYPTON_HARNESS_DEVICE the device whose memory its kernels want (cpu, cuda).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.ops.agreement import RELATIVE, agree
from tests.ops.cases import Case, cases
from tests.ops.limited import limited_cases
from tests.ops.running import run_reference
from tests.support.harness import Harness, HarnessError

PATH = os.environ.get("KRYPTON_HARNESS_LIBRARY")
DEVICE = os.environ.get("KRYPTON_HARNESS_DEVICE", "cpu")
ALL = [*cases(), *limited_cases(cases())]
CASES = ALL if DEVICE == "cuda" else [*{case.op: case for case in reversed(ALL)}.values(), *ALL[::7]]
"""On a CPU the first case of each op, and each seventh."""
DIFFERENCES = {
    "IncrementalActivation",
    "IncrementalClip",
    "IncrementalLRN",
    "IncrementalLpPool",
    "IncrementalReduceChannels",
    "IncrementalSoftmax",
}
"""Ops that subtract two results: compilers may round one of them in another way."""

pytestmark = pytest.mark.skipif(PATH is None, reason="KRYPTON_HARNESS_LIBRARY names no harness")


@pytest.fixture(scope="module")
def harness() -> Harness:
    return Harness(str(PATH), DEVICE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_abi_agrees_with_the_reference(case: Case, harness: Harness) -> None:
    precision = str(case.attributes.get("precision", "float32"))
    for found, expected in zip(harness.run(case.op, case.attributes, case.inputs), run_reference(case), strict=True):
        agree(found, np.asarray(expected), RELATIVE[precision])


@pytest.mark.parametrize("case", [case for case in CASES if case.op in DIFFERENCES], ids=lambda case: case.name)
def test_a_delta_of_zero_stays_zero(case: Case, harness: Harness) -> None:
    """Exactly: what is zero is skipped by the layers behind."""
    (found,) = harness.run(case.op, case.attributes, [np.zeros_like(case.inputs[0]), *case.inputs[1:]])
    np.testing.assert_array_equal(found, np.zeros_like(found))


def test_refusals_keep_their_words(harness: Harness) -> None:
    case = next(case for case in cases() if case.op == "IncrementalConv")
    with pytest.raises(HarnessError, match="no op Unknown"):
        harness.run("Unknown", {}, [])
    with pytest.raises(HarnessError, match="attribute kernel_shape: expected 2 integers"):
        harness.run(case.op, {**case.attributes, "kernel_shape": [3]}, case.inputs)
    outside = [case.inputs[0], np.full_like(case.inputs[1], 10_000), *case.inputs[2:]]
    with pytest.raises(HarnessError, match="does not lie inside the map"):
        harness.run(case.op, case.attributes, outside)
