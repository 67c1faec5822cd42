"""How closely a kernel's results agree with the reference's, by the precision that it may multiply in."""

from __future__ import annotations

import numpy as np

from krypton_compile.ort.library import multiplies_bfloat16, multiplies_bfloat16x3
from tests.ops.cases import Case
from tests.ops.running import EMULATED

RELATIVE = {"float32": 2e-6, "bfloat16x3": 2e-5, "bfloat16": 2e-2}
"""Of the largest entry: sums of up to 3,000 products against float64 ones."""

OFFERED = {
    "float32": True,
    "bfloat16x3": multiplies_bfloat16x3() and not EMULATED,
    "bfloat16": multiplies_bfloat16() or EMULATED,
}
"""By the kernels in use; what is not is float32. Those of the GPU multiply TF32 numbers in place of bfloat16 ones."""


def precision_of(case: Case) -> str:
    """The one that the case's sums may be made in."""
    asked = case.attributes.get("precision", "float32")
    return asked if OFFERED[asked] else "float32"


def agree(found: np.ndarray, expected: np.ndarray, relative: float) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if found.dtype != np.float32:
        np.testing.assert_array_equal(found, expected)
        return
    scale = float(np.nanmax(np.abs(expected), initial=1.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=relative * scale)
