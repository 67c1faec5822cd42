"""The two thresholds of approximate inference (DESIGN section 3); both are exact at their defaults.

tau, propagation: boxes are cut around their centre to the share tau of the map (geometry.crop_boxes)
eps, value:       entries of a delta with |D| <= limit become 0,    limit = eps * max |T0|    (boundary.DeltaLimit)
"""

from __future__ import annotations

import math

import numpy as np

from krypton_compile.reference.ragged import Floats, check_map


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
