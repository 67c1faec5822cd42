"""Calibration: what a sampled map of a model that was never tuned is worth, by how much its last windows changed it.

    about  = ratio[g] * change             the median of the loss where sampling stops
    limit  = careful * ratio[g] * change   at 95 of 100 maps at least it is kept where sampling stops by it

for each measure and overlap of the windows. ``benchmarks.maps.calibration.fit`` writes the table
(calibration_table.py) and checks it on other networks and pictures (docs/performance.md). A maximum over pixels does
not fall as a mean does, nor the same where fewer windows share a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation import calibration_table
from krypton_compile.runtime.approximation.lattice import GROUPS

STAGES = (2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 112, 128, 144, GROUPS)


@dataclass(frozen=True)
class Calibration:
    """Of one measure and overlap: ``ratios`` by stage, and what they are multiplied by to be careful.

    ``careful_of_others`` is that of classes other than the one with the largest score.
    """

    careful: float
    careful_of_others: float
    ratios: tuple[float, ...]


TABLE: dict[tuple[str, float], Calibration] = {
    (measure, overlap): Calibration(careful, of_others, (*ratios, 0.0))
    for measure, overlap, careful, of_others, ratios in calibration_table.ROWS
}
"""By measure and overlap, the number of windows that share a pixel."""


def find(measure: str, overlap: float) -> Calibration | None:
    """Look up the calibration of a measure where ``overlap`` windows share a pixel, or the next fewer that were tried.

    None where there is none: the windows are farther apart, or the measure did not pass its check there.
    """
    tried = [known for _, known in TABLE if known <= overlap * (1 + 1e-9)]
    return TABLE.get((measure, max(tried))) if tried else None


def calibrated(measure: str, overlap: float) -> Calibration:
    """Look up the calibration of a measure, see :func:`find`.

    Raises:
        OcclusionError: if there is none; the message says what to do.
    """
    found = find(measure, overlap)
    if found is not None:
        return found
    others = sorted({name for name, _ in TABLE if find(name, overlap) is not None})
    reason = (
        "too many maps of the calibration broke such bounds" if others else "windows that do not touch were not tried"
    )
    instead = f", or bound {' or '.join(others)} instead" if others else ""
    raise OcclusionError(
        f"approximation: nothing is promised for {measure} of an untuned model where the stride is "
        f"{1 / math.sqrt(overlap):.2g} of the patch: {reason}. Tune the model (krypton-tune --quality with this "
        f"bound), use exact maps{instead}"
    )
