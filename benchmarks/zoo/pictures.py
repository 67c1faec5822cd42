"""Random pictures with structure at several scales, for any number of axes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks.zoo.entries import Shape


def pictures(count: int, shape: Shape, seed: int) -> npt.NDArray[np.float32]:
    """float32 [count, *shape], of unit variance."""
    rng = np.random.default_rng(seed)
    total = np.zeros((count, *shape))
    for cells in (4, 16, 64):
        coarse = rng.standard_normal((count, shape[0], *(min(cells, size) for size in shape[1:])))
        zoom = [wanted / found for wanted, found in zip(total.shape, coarse.shape, strict=True)]
        total += ndimage.zoom(coarse, zoom, order=1, grid_mode=True, mode="nearest")
    return (total / total.std()).astype(np.float32)
