"""Estimates of the windows that were not scored: kriging from their scored neighbours.

    estimate = sum_i w_i s_i,   [G 1; 1' 0] [w; m] = [g; 1],   G_ij = -|p_i - p_j|, g_i = -|p_i - p|

over the 16 nearest scored windows i: the best linear unbiased estimate of a field whose variogram is linear (Matheron
1963; the same as a linear radial basis function with a constant). Nothing is fitted, and no scale has to be chosen.
Weights depend on the places alone: windows that see their neighbours alike share one system, and the weights used last
are remembered, up to so many bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from krypton_compile.runtime.approximation import lattice

Array = npt.NDArray[np.float32]

KEPT_BYTES = 64 << 20
"""How much is remembered: all stages of a picture of 224 pixels at stride 2; of finer grids, the last stages."""
_NEIGHBOURS = 16


@dataclass(frozen=True)
class Interpolation:
    """The weights that lead from the ``known`` windows [rows, columns] to the others."""

    known: npt.NDArray[np.bool_]
    weights: csr_array  # [others, known]

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        weights = self.weights
        return int(self.known.nbytes + weights.data.nbytes + weights.indices.nbytes + weights.indptr.nbytes)

    def others(self, values: Array) -> Array:
        """Estimate the others [others, K] from ``values`` [rows, columns, K] that are right where they are known."""
        return np.asarray(self.weights @ values[self.known])

    def __call__(self, values: Array) -> Array:
        """Fill the others into a copy of ``values``."""
        filled = values.copy()
        filled[~self.known] = self.others(values)
        return filled


class _Kept:
    """The interpolations that were used last, of at most KEPT_BYTES together. Threads share it."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[object, ...], Interpolation] = OrderedDict()
        self._lock = threading.Lock()
        self.nbytes = 0

    def find(self, key: tuple[object, ...]) -> Interpolation | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def keep(self, key: tuple[object, ...], made: Interpolation) -> None:
        with self._lock:
            if key in self._entries or made.nbytes > KEPT_BYTES:
                return
            self._entries[key] = made
            self.nbytes += made.nbytes
            while self.nbytes > KEPT_BYTES:
                self.nbytes -= self._entries.popitem(last=False)[1].nbytes


KEPT = _Kept()


def from_groups(shape: tuple[int, int], count: int, stride: tuple[int, int]) -> Interpolation:
    """Interpolate from the first ``count`` groups of a grid (lattice.py) whose windows are ``stride`` pixels apart."""
    key = (shape, count, stride)
    found = KEPT.find(key)
    if found is None:
        known = lattice.first(shape, count)
        found = Interpolation(known, _weights(known, stride))
        KEPT.keep(key, found)
    return found


def _weights(known: npt.NDArray[np.bool_], stride: tuple[int, int]) -> csr_array:
    places = np.argwhere(known) * stride
    others = np.argwhere(~known) * stride
    count = min(_NEIGHBOURS, len(places))
    if not len(others):
        return csr_array((0, len(places)), dtype=np.float32)
    nearest = cKDTree(places).query(others, np.arange(1, count + 1))[1]
    # The same neighbours in the same order, so that equal surroundings are seen to be equal.
    nearest = np.sort(nearest, axis=1)
    seen = places[nearest] - others[:, None]
    kinds, kind = np.unique(seen.reshape(len(others), -1), axis=0, return_inverse=True)
    weights = _solve(kinds.reshape(len(kinds), count, 2).astype(np.float64))[kind.ravel()]
    ends = np.arange(0, len(others) * count + 1, count)
    return csr_array((weights.ravel().astype(np.float32), nearest.ravel(), ends), shape=(len(others), len(places)))


def _solve(seen: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Kriging weights [n, k] for neighbours at ``seen`` [n, k, 2], places relative to the one that is estimated."""
    n, k, _ = seen.shape
    system = np.ones((n, k + 1, k + 1))
    system[:, :k, :k] = -np.linalg.norm(seen[:, :, None] - seen[:, None], axis=3)
    system[:, k, k] = 0
    right = np.ones((n, k + 1, 1))
    right[:, :k, 0] = -np.linalg.norm(seen, axis=2)
    return np.asarray(np.linalg.solve(system, right)[:, :k, 0])
