"""Heat maps from occlusion scores.

With v_p = base score - occluded score of window p (positive: the window supports the class), the
map is the mean over the windows that cover a pixel, Captum's formula:

    M[y, x] = sum of v_p over {p : (y, x) in box p} / #{p : (y, x) in box p},   NaN where nothing covers
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def accumulate(
    values: npt.ArrayLike, boxes: npt.NDArray[np.int32], image_shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Mean of ``values`` [P] over the ``boxes`` [P, 4] that cover each pixel; float32 [H, W], NaN where none does.

    Each box is four corner entries of a difference array whose two cumulative sums are its
    indicator, so the cost is P + H*W whatever the boxes' sizes. Sums are float64. Where every
    covering value is exactly zero the map is too: the sums' rounding residue is cut off.

    Raises:
        ValueError: shapes that do not match, a box outside the image, or a value that is NaN or Inf.
    """
    value = np.asarray(values, np.float64)
    height, width = image_shape
    if value.ndim != 1 or boxes.shape != (len(value), 4):
        raise ValueError(f"values {list(value.shape)} and boxes {list(boxes.shape)}; expected [P] and [P, 4]")
    if not np.isfinite(value).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(value))} of {len(value)} values are NaN or Inf")
    y0, x0, h, w = boxes.astype(np.int64).T
    outside = (boxes < 0).any(axis=1) | (y0 + h > height) | (x0 + w > width)
    if outside.any():
        first = int(np.argmax(outside))
        raise ValueError(f"box {first} = {boxes[first].tolist()} leaves the image of {height} x {width} pixels")

    corners = np.concatenate([y0, y0, y0 + h, y0 + h]) * (width + 1) + np.concatenate([x0, x0 + w, x0, x0 + w])

    def covered(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        signed = np.concatenate([weight, -weight, -weight, weight])
        steps = np.bincount(corners, signed, minlength=(height + 1) * (width + 1)).reshape(height + 1, width + 1)
        return np.asarray(steps.cumsum(axis=0).cumsum(axis=1)[:height, :width])

    count = covered(np.ones(len(value)))
    changing = covered((value != 0).astype(np.float64))
    total = np.where(changing == 0, 0.0, covered(value))
    return np.where(count == 0, np.nan, total / np.maximum(count, 1)).astype(np.float32)
