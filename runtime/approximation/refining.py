"""Ever finer grids of any number of axes: each stage halves the distance between the windows that are scored.

    stage     every 8th, 4th, 2nd window along each axis, then all; the last of each axis always, so that nothing is
              extrapolated
    between   linear along each axis from the scored windows

Signals and volumes take it; pictures have a lattice (lattice.py) and kriging (interpolation.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Array = npt.NDArray[np.float32]

COARSEST = 8


def stages(shape: Sequence[int]) -> Iterator[list[Indices]]:
    """Yield the places of the scored windows along each axis, stage by stage; the last stage has all."""
    step = COARSEST
    while step >= 1:
        yield [np.unique(np.append(np.arange(0, count, step), count - 1)) for count in shape]
        step //= 2


def between(values: Array, places: Sequence[Indices], shape: Sequence[int]) -> Array:
    """Fill a grid [*shape, K] from ``values`` [len(places[0]), ..., K], known at these places."""
    filled = values.astype(np.float64)
    for axis, (known, count) in enumerate(zip(places, shape, strict=True)):
        rows = np.moveaxis(filled, axis, 0)
        after = np.clip(np.searchsorted(known, np.arange(count), side="right"), 1, len(known) - 1)
        before = after - 1
        if len(known) == 1:
            rows = np.repeat(rows, count, axis=0)
        else:
            share = (np.arange(count) - known[before]) / (known[after] - known[before])
            share = share.reshape(-1, *[1] * (rows.ndim - 1))
            rows = rows[before] * (1 - share) + rows[after] * share
        filled = np.moveaxis(rows, 0, axis)
    return filled.astype(np.float32)
