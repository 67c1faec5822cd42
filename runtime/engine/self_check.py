"""A few windows of the work at hand, checked against the model itself run on the really occluded image.

Instruction sets differ in how they round, matrix tiles multiply in pieces of bfloat16, and a picture may amplify what
another does not, so a session measures on the machine that it runs on, and for every picture whose error it tells:

    error = max |logit of the window - logit of the occluded image| / max |logit|

The windows that change the image most, where rounding shows most, and as many spread over the rest.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.exactness import SELF_CHECK_BOUND
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import last_channels
from krypton_compile.contract.occlude import box_sums

Array = npt.NDArray[np.float32]

_WINDOWS = 4
_SHARE, _LATER_SHARE = 8, 512
"""How many windows of a map one of the check may stand for: each takes as long as the whole model, and a session's
later pictures have had its first one's check."""


def choose_windows(
    image: Array, baseline: Array, boxes: Boxes, layout: str, later: bool = False
) -> npt.NDArray[np.int64]:
    """Choose rows of ``boxes`` [P, 4] to check: up to four, at least one if there is any.

    They are at most an eighth of the boxes; of a ``later`` picture of a session 1 / 512, so that their cost vanishes.
    """
    count = min(len(boxes), max(1, min(_WINDOWS, len(boxes) // (_LATER_SHARE if later else _SHARE))))
    pixels = np.abs(last_channels(image - baseline, layout)).sum(axis=-1, dtype=np.float64)
    change = box_sums(pixels, boxes)
    largest = np.argsort(-change, kind="stable")
    spread = np.linspace(0, len(boxes) - 1, count // 2).astype(np.int64)
    return np.unique(np.concatenate([largest[: count - count // 2], spread]))


def measure_error(logits: Array, expected: Array, base: Array, excess: str = "") -> float:
    """Measure the largest difference of logits [P, K], in units of the largest; ``base`` [K].

    Classes that are finite for no image are left out; NaN elsewhere is an infinite difference. Where the image is
    far from its range, as ``excess`` says (input_range.py), the unit of a window is its own largest logit: the base's
    may be a thousand times as large.
    """
    alive = np.isfinite(base) | np.isfinite(expected).any(axis=0)
    logits, expected, base = logits[:, alive], expected[:, alive], base[alive]
    smallest = float(np.finfo(np.float32).tiny)
    own = np.abs(expected).max(axis=1, initial=0)
    largest = max(float(own.max(initial=0)), float(np.abs(base).max(initial=0)))
    scales = np.maximum(own if excess else largest, smallest)
    error = float((np.abs(logits.astype(np.float64) - expected).max(axis=1, initial=0) / scales).max(initial=0))
    return error if np.isfinite(error) else np.inf


def warn_of_error(error: float, windows: int, excess: str = "") -> None:
    """Tell the caller of an explanation that its windows differ from the model by more than rounding.

    ``excess`` says that the image is far from its range, where it is.
    """
    cause = (
        f"{excess} Where images are far too large, digits of what a window leaves are lost. Check how the image is "
        "scaled."
        if excess
        else "Networks that amplify rounding do this; if yours should not, please report it."
    )
    checked = "1 window" if windows == 1 else f"{windows} windows"
    warnings.warn(
        f"{checked} differed from the model on really occluded images by up to {error:.1e} of its largest "
        f"output; expected at most {SELF_CHECK_BOUND:.0e}. Smaller differences between windows mean nothing. {cause}",
        stacklevel=6,
    )
