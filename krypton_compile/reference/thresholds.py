"""The two thresholds of approximate inference (DESIGN section 3); both are exact at their defaults.

tau, propagation: boxes are cut around their centre to the share tau of the map (geometry.crop_boxes)
eps, value:       entries of a delta with |D| <= limit become 0,    limit = eps * max |T0|
"""

from __future__ import annotations

import math

import numpy as np
from onnx.reference.op_run import OpRun

from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.reference.ragged import Floats, check_map


class DeltaLimit(OpRun):
    """Below what a tensor's delta counts as zero; it runs once an image."""

    op_domain = DOMAIN

    def _run(self, tensor: Floats, eps: Floats, layer_group: int = 0) -> tuple[Floats]:
        share = pick("eps", eps, layer_group)
        if not 0 <= share < math.inf:
            raise ValueError(f"eps: expected 0 (exact) or more, found {share}")
        largest = np.abs(tensor).max(initial=0) if share else np.float32(0)
        return (np.array([np.float32(share) * largest], np.float32),)


def flush(values: Floats, limit: Floats | None) -> Floats:
    """Values with entries up to ``limit`` set to 0; NaN stays."""
    if limit is None:
        return values
    check_map("limit", limit, (1,))
    if not 0 <= limit[0] < math.inf:
        raise ValueError(f"limit: expected 0 (exact) or more, found {limit[0]}")
    return np.where(np.abs(values) <= limit[0], np.float32(0), values)


def pick(name: str, threshold: Floats, group: int) -> float:
    """The threshold of a layer group; one value stands for all of them."""
    check_map(name, threshold, (-1,))
    if len(threshold) != 1 and not 0 <= group < len(threshold):
        raise ValueError(
            f"{name}: expected 1 value or one for each layer group, found {len(threshold)} for group {group}"
        )
    return float(threshold[0 if len(threshold) == 1 else group])
