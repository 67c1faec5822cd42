"""The geometry of a drill-down: the windows of a grid that each stage scores, and estimates of the others.

    coarse      every m-th row and column of the grid, and the last, so that nothing is extrapolated
    interpolate bilinear between scored rows and columns; at those themselves it changes nothing
    largest     the ceil(r n) windows of the largest effect

All on grids of windows [rows, columns]; pure functions of numbers.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float32]


def coarse(count: int, step: int) -> Indices:
    """Choose 0, step, 2 step, ... below ``count``, and ``count - 1``."""
    return np.unique(np.append(np.arange(0, count, step), count - 1))


def interpolate(values: Array, rows: Indices, columns: Indices, shape: tuple[int, int]) -> Array:
    """Fill a grid [*shape, K] from ``values`` [len(rows), len(columns), K]; both hold the first and the last place."""
    vertical, horizontal = _weights(rows, shape[0]), _weights(columns, shape[1])
    wide = np.einsum("ij,jkc->ikc", vertical, values.astype(np.float64))
    return np.asarray(np.einsum("lk,ikc->ilc", horizontal, wide), np.float32)


def largest(effect: npt.NDArray[np.floating], r: float) -> Mask:
    """Mark the ceil(r n) largest entries of ``effect``; of equal ones the first."""
    chosen = np.zeros(effect.size, np.bool_)
    order = np.argsort(-effect.ravel(), kind="stable")
    chosen[order[: math.ceil(r * effect.size - 1e-9)]] = True
    return chosen.reshape(effect.shape)


def _weights(known: Indices, count: int) -> npt.NDArray[np.float64]:
    """[count, len(known)]: each row's shares of the two known neighbours."""
    unit = np.eye(len(known))
    positions = np.arange(count)
    return np.stack([np.interp(positions, known, unit[:, j]) for j in range(len(known))], axis=1)
