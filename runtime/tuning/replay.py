"""One image under some thresholds, scored once, and the maps that any sampling or drill-down would have made of it.

    score drops of the whole grid  --sampled, drilled, stops-->  the map's quality, and how many windows it takes

What a map costs is counted, not timed, so that the same images make the same choice on a busy machine:

    cost = base pass + windows that change something * work a window + pixels of the maps that are filled and judged

in multiply-adds (counted_work.py); work a window is that under the thresholds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.geometry import Pair
from krypton_compile.runtime.approximation import drilldown, interpolation
from krypton_compile.runtime.approximation.bounds import Quality
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import Approximation, DrillDown
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.heatmap import make_map
from krypton_compile.runtime.maps.quality import compare
from krypton_compile.runtime.sweep.explain import explain_one_size
from krypton_compile.runtime.sweep.request import Request

Array = npt.NDArray[np.float32]

_PIXEL_WORK = 1e4
"""Multiply-adds that take as long as a pixel of a map that is made and compared."""
_MAP_PIXELS = 8000
"""Pixels that would take as long as what each map costs whatever its size."""


@dataclass(frozen=True)
class Sample:
    """One image: the model's input, the occluder, and a name (a hash) to list it by."""

    name: str
    image: Array
    baseline: Array


@dataclass(frozen=True)
class Explainer:
    """Makes maps of one window size."""

    scorer: Scorer
    patch: Pair
    stride: Pair

    def __call__(self, sample: Sample, approximation: Approximation, target: int | None = None) -> Explanation:
        """Make a map, not checked."""
        request = Request(self.patch, self.stride, sample.baseline, target, approximation=approximation)
        return explain_one_size(self.scorer, sample.image, request, check=False)


@dataclass
class Play:
    """One image under some thresholds: score drops of the whole grid, and what they cost.

    ``base_work`` and ``window_work`` are multiply-adds of the base pass and of a window.
    """

    exact: Explanation
    drop: Array
    unchanged: npt.NDArray[np.bool_]
    base_work: float
    window_work: float
    measures: frozenset[str]
    stages: dict[int, tuple[Quality, Quality, int]] = field(default_factory=dict)
    drills: dict[DrillDown, tuple[Quality, int]] = field(default_factory=dict)

    def sampled(self, count: int) -> tuple[Quality, Quality, int]:
        """The map of the first groups: against the exact one, against that of half of them; and its windows."""
        if count not in self.stages:
            now, windows = self._map_of(count)
            before, _ = self._map_of(count // 2)
            against_exact = compare(self._exact_map, now, self.measures)
            self.stages[count] = against_exact, compare(now, before, self.measures), windows
        return self.stages[count]

    def drilled(self, drill: DrillDown) -> tuple[Quality, int]:
        """The map of a drill-down against the exact one, and its windows."""
        if drill not in self.drills:
            steps = drill.steps(self._stride)
            rows, columns = (drilldown.coarse(n, step) for n, step in zip(self.drop.shape, steps, strict=True))
            at = np.ix_(rows, columns)
            guessed = drilldown.interpolate(self.drop[at][..., None], rows, columns, self._shape)[..., 0]
            scored = drilldown.largest(np.abs(guessed), drill.r)
            scored[at] = True
            heatmap = self._heatmap(np.where(scored, self.drop, guessed))
            changing = int((scored & ~self.unchanged).sum())
            self.drills[drill] = compare(self._exact_map, heatmap, self.measures), changing
        return self.drills[drill]

    def stops(self, sampling: Sampling) -> tuple[int, int]:
        """The number of groups after which this sampling stops, and how many maps it makes and compares until then."""
        judged = 0

        def changes(count: int) -> list[float]:
            nonlocal judged
            judged += 2
            return [bound.loss(self.sampled(count)[1]) for bound in sampling.bounds]

        return sampling.run(changes, self.exact.windows.overlap)[0], judged

    @property
    def changing(self) -> int:
        """The number of windows that change something."""
        return int((~self.unchanged).sum())

    def cost(self, windows: int, judged: int = 0) -> float:
        """The multiply-adds of a map of so many windows, for which so many maps are judged."""
        pixels = math.prod(self.exact.windows.image_shape) + _MAP_PIXELS
        maps = judged + (windows < self.changing)  # one to interpolate
        return self.base_work + windows * self.window_work + maps * pixels * _PIXEL_WORK

    @cached_property
    def _exact_map(self) -> Array:
        return self.exact.heatmap()

    @property
    def _stride(self) -> Pair:
        return self.exact.windows.steps

    @property
    def _shape(self) -> Pair:
        return self.exact.windows.grid

    def _map_of(self, count: int) -> tuple[Array, int]:
        filled = interpolation.from_groups(self._shape, count, self._stride)
        drop = np.where(self.unchanged, 0, filled(self.drop[..., None])[..., 0])
        return self._heatmap(drop), int((filled.known & ~self.unchanged).sum())

    def _heatmap(self, drop: Array) -> Array:
        return make_map(drop, self.exact.windows)
