"""Random pictures with structure at several scales, and what windows hide of them, for any number of axes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import channels_first
from krypton_compile.contract.occlude import occlude

Shape = tuple[int, ...]
"""Of one image: channels, then its sizes."""


def pictures(count: int, shape: Shape, seed: int) -> npt.NDArray[np.float32]:
    """float32 [count, *shape], of unit variance."""
    rng = np.random.default_rng(seed)
    total = np.zeros((count, *shape))
    for cells in (4, 16, 64):
        coarse = rng.standard_normal((count, shape[0], *(min(cells, size) for size in shape[1:])))
        zoom = [wanted / found for wanted, found in zip(total.shape, coarse.shape, strict=True)]
        total += ndimage.zoom(coarse, zoom, order=1, grid_mode=True, mode="nearest")
    return (total / total.std()).astype(np.float32)


def hidden(image: npt.NDArray[np.float32], boxes: Boxes) -> npt.NDArray[np.float32]:
    """Copies of ``image`` [1, C, ...], zeros in one box each."""
    return occlude(image, boxes, 0.0, channels_first(boxes.shape[1] // 2))
