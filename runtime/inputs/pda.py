"""Prediction difference analysis (Zintgraf and others, 2017): pixels that might stand in a window, by its surroundings.

Each channel of the image is taken for a stationary Gaussian field, its covariance by distance read off the image itself
(the biased estimate, which is positive semi-definite). Of a window w and the ring r of two pixels around it, with
S the covariance of their pixels and m the channel's mean,

    x_w | x_r  ~  N(m + S_wr S_rr^-1 (x_r - m),  S_ww - S_wr S_rr^-1 S_rw),   clipped to the range of pixels

Scores are averaged over samples of x_w. Beyond the image's edges there is no ring. A sample depends on the seed, its
number and the window's place alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.signal import fftconvolve

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes, Pair
from krypton_compile.errors import OcclusionError

RING = 2
"""Width of the ring of surroundings in pixels, as in the paper (windows of 10 in patches of 14)."""
LARGEST = 1024
"""The most pixels of a window: the covariance is a matrix of that size squared."""
_NUGGET = 1e-6
"""Share of the variance that is added to every pixel's: covariances of smooth pictures are singular in float64."""

Array = npt.NDArray[np.float64]
Margins = tuple[int, int, int, int]


@dataclass
class ConditionalSampler:
    """Samples windows of ``image`` [H, W, C], each value between ``low`` and ``high`` [C]."""

    image: Array
    low: Array
    high: Array
    seed: int = 0
    _fields: dict[tuple[Pair, Margins], list[tuple[Array, Array]]] = field(default_factory=dict)

    def sample(self, boxes: Boxes, number: int) -> npt.NDArray[np.float32]:
        """Draw sample ``number`` of the pixels of each box, box after box: float32 [sum of h*w, C].

        Raises:
            OcclusionError: if a window has more than ``LARGEST`` pixels.
        """
        largest = boxes[int(geometry.areas(boxes).argmax()), 2:]
        if largest.prod() > LARGEST:
            raise OcclusionError(
                f"baseline 'pda': windows of {largest[0]} x {largest[1]} pixels; expected at most {LARGEST} pixels. "
                "Use smaller windows or another baseline."
            )
        starts = geometry.row_offsets(boxes)
        pixels = np.empty((int(starts[-1]), self.image.shape[2]), np.float32)
        kinds = np.concatenate([boxes[:, 2:], self._margins(boxes)], axis=1)
        for kind in np.unique(kinds, axis=0):
            h, w, top, left, bottom, right = kind.tolist()
            at = np.flatnonzero((kinds == kind).all(axis=1))
            rows = starts[at, None] + np.arange(h * w)
            pixels[rows] = self._sample(boxes[at], number, (h, w), (top, left, bottom, right))
        return pixels

    def _margins(self, boxes: Boxes) -> npt.NDArray[np.int64]:
        """[P, 4]: how many rows and columns of the ring lie in the image, above, left, below and right of each box."""
        wide = boxes.astype(np.int64)
        height, width = self.image.shape[:2]
        room = np.stack(
            [wide[:, 0], wide[:, 1], height - wide[:, 0] - wide[:, 2], width - wide[:, 1] - wide[:, 3]], axis=1
        )
        return np.asarray(np.minimum(room, RING))

    def _sample(self, boxes: Boxes, number: int, patch: Pair, margins: Margins) -> Array:
        """[P, h*w, C] of boxes of one size, with surroundings of one form."""
        ring, inner = _places(patch, margins)
        key = patch, margins
        if key not in self._fields:
            channels = range(self.image.shape[2])
            self._fields[key] = [self._condition(self.image[..., c], ring, inner) for c in channels]
        around = self.image[boxes[:, 0, None] + ring[:, 0], boxes[:, 1, None] + ring[:, 1]]  # [P, ring, C]
        noise = np.stack([self._noise(box, number, len(inner)) for box in boxes])
        mean = self.image.mean(axis=(0, 1))
        drawn = np.empty((len(boxes), len(inner), self.image.shape[2]))
        for c, (weights, root) in enumerate(self._fields[key]):
            drawn[..., c] = mean[c] + (around[..., c] - mean[c]) @ weights.T + noise[..., c] @ root.T
        return np.clip(drawn, self.low, self.high)

    def _noise(self, box: Boxes, number: int, pixels: int) -> Array:
        generator = np.random.default_rng([self.seed, number, *box[:2].tolist()])
        return generator.standard_normal((pixels, self.image.shape[2]))

    @staticmethod
    def _condition(channel: Array, ring: npt.NDArray[np.int64], inner: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """(S_wr S_rr^-1, root of the conditional covariance) of one channel [H, W]."""
        centred = channel - channel.mean()
        by_distance = fftconvolve(centred, centred[::-1, ::-1]) / channel.size
        middle = np.array(channel.shape) - 1
        nugget = _NUGGET * max(float(by_distance[middle[0], middle[1]]), float(np.finfo(np.float32).tiny))

        def covariance(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> Array:
            apart = a[:, None] - b[None]
            reach = np.abs(apart) <= middle  # beyond the image's own size nothing is known: no correlation
            at = np.clip(apart + middle, 0, 2 * middle)
            return np.where(reach.all(axis=2), by_distance[at[..., 0], at[..., 1]], 0.0)

        around = covariance(ring, ring) + nugget * np.eye(len(ring))
        across = covariance(inner, ring)
        weights = linalg.solve(around, across.T, assume_a="pos").T
        left = covariance(inner, inner) - weights @ across.T
        values, vectors = linalg.eigh((left + left.T) / 2)
        return weights, vectors * np.sqrt(np.maximum(values, 0))


def _places(patch: Pair, margins: Margins) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(y, x) of the ring's pixels and of the window's, from the window's corner."""
    top, left, bottom, right = margins
    rows, columns = np.mgrid[-top : patch[0] + bottom, -left : patch[1] + right]
    whole = np.stack([rows.ravel(), columns.ravel()], axis=1).astype(np.int64)
    inner = ((whole >= 0) & (whole < patch)).all(axis=1)
    return whole[~inner], whole[inner]
