"""Images far from their range: a delta keeps seven digits of the base's tensors, not of the occluded image's.

T' = T0 + D is rounded at T0's size, as D is. Where an image is a thousand times too large, and so T0, a window of
zeros leaves T' as small as it ever is, and four of its seven digits are lost in the first layers already. Logits of
such windows are off by 1e-5 to 1e-3 of the largest, those of an image in its range by 1e-6 (DESIGN section 10).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.preprocessing import Preprocessing

_TIMES = 4
"""An image that reaches so many times as far as its range is far from it."""
_LARGEST_PIXEL = 255.0


def describe_excess(image: npt.NDArray[np.float32], preprocessing: Preprocessing | None) -> str:
    """Say that an image reaches far beyond what pictures become by the preprocessing; "" where it does not.

    Where no preprocessing is known, the range is that of raw pixels, which is the widest of the usual ones.
    """
    low, high = float(image.min(initial=0)), float(image.max(initial=0))
    expected_low, expected_high = _range_of(preprocessing)
    if max(-low, high) <= _TIMES * max(-expected_low, expected_high):
        return ""
    whose = "raw pixels reach" if preprocessing is None else "the model's preprocessing makes pictures reach"
    return f"This image reaches from {low:.4g} to {high:.4g}, {whose} from {expected_low:.4g} to {expected_high:.4g}."


def _range_of(preprocessing: Preprocessing | None) -> tuple[float, float]:
    if preprocessing is None:
        return 0.0, _LARGEST_PIXEL
    channels = max(len(preprocessing.mean), len(preprocessing.std))
    ends = np.array([[0.0], [_LARGEST_PIXEL]], np.float32)
    made = preprocessing.normalise(np.repeat(ends, channels, axis=1))
    return float(made.min()), float(made.max())
