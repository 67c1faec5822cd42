"""Calibration: what a sampled map of a model that was never tuned is worth, by how much its last windows changed it.

    about  = ratio[g] * change           the median of the loss
    limit  = careful * ratio[g] * change   kept by at least 95 of 100 maps where sampling stops by it

for each measure and overlap of the windows. ``benchmarks.maps.calibration.fit`` writes the table and checks it on other
networks and pictures (docs/performance.md). A maximum over pixels does not fall as a mean does, nor the same where
fewer windows share a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.lattice import GROUPS

STAGES = (2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, GROUPS)


@dataclass(frozen=True)
class Calibration:
    """Of one measure and overlap: ``ratios`` by stage, and what they are multiplied by to be careful.

    ``careful_of_others`` is that of classes other than the one with the largest score.
    """

    careful: float
    careful_of_others: float
    ratios: tuple[float, ...]


def find(measure: str, overlap: float) -> Calibration | None:
    """Look up the calibration of a measure where ``overlap`` windows share a pixel: that of so many, or of fewer."""
    fitting = [known for name, known in TABLE if name == measure and known <= overlap * (1 + 1e-9)]
    return TABLE[measure, max(fitting)] if fitting else None


def calibrated(measure: str, overlap: float) -> Calibration:
    """Look up the calibration of a measure, see :func:`find`.

    Raises:
        OcclusionError: if there is none; the message says what to do.
    """
    found = find(measure, overlap)
    if found is not None:
        return found
    known = sorted({name for name, least in TABLE if least <= overlap * (1 + 1e-9)})
    share = f"windows that are {1 / math.sqrt(overlap):.3g} of their size apart" if overlap > 0 else "such windows"
    offered = f", or bound {' or '.join(known)} instead" if known else ""
    raise OcclusionError(
        f"approximation: nothing is promised for {measure} at {share} without tuning: in the calibration too many maps "
        f"broke such bounds, or there were none to calibrate on. Tune the model for it (krypton-tune --quality "
        f"'{measure}...'), use exact mode{offered}"
    )


_OF_SSIM = (
    *(1.15, 1.1, 1.11, 1.02, 0.99, 0.86, 0.84, 0.79, 0.74, 0.64),
    *(0.67, 0.67, 0.76, 0.91, 0.61, 0.43, 0.3, 0.24, 0.15, 0.0),
)
TABLE: dict[tuple[str, float], Calibration] = {
    (measure, overlap): Calibration(1.4, 1.4, _OF_SSIM)
    for measure in ("ssim", "color_ssim", "rank", "top10", "error")
    for overlap in (1, 4, 16)
}
"""By measure and overlap, the number of windows that share a pixel."""
