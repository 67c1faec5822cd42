"""One kept map, played through: what every stage of sampling would have made of it.

A stride that is a multiple of the kept grid's is a part of that grid. What is computed is kept beside the maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from krypton_compile.runtime.approximation import interpolation
from krypton_compile.runtime.approximation.bounds import Bound, Quality
from krypton_compile.runtime.approximation.lattice import GROUPS
from krypton_compile.runtime.inputs.windows import Windows, find_windows
from krypton_compile.runtime.maps.heatmap import make_map
from krypton_compile.runtime.maps.quality import compare

Array = npt.NDArray[np.float32]

KEPT_STRIDE = 4


@dataclass
class Played:
    """One class of one map at one stride: score drops of the whole grid, and maps of them as they are asked for.

    ``half`` is 0 where it may be fitted on and 1 where it checks; ``space`` that of the scores.
    """

    name: str
    network: str
    half: int
    first: bool
    space: str
    windows: Windows
    drop: Array
    unchanged: npt.NDArray[np.bool_]
    maps: dict[int, tuple[Array, float]] = field(default_factory=dict)

    @property
    def overlap(self) -> float:
        """The number of windows that share a pixel."""
        return self.windows.overlap

    def map_of(self, count: int) -> tuple[Array, float]:
        """The map of the first groups, and the share of the windows that change something that it takes."""
        if count not in self.maps:
            if count == GROUPS:
                self.maps[count] = make_map(self.drop, self.windows), 1.0
            else:
                fill = interpolation.from_groups(self.windows.grid, count, self.windows.steps)
                filled = np.where(self.unchanged, 0, fill(self.drop[..., None])[..., 0])
                share = (fill.known & ~self.unchanged).sum() / max(1, (~self.unchanged).sum())
                self.maps[count] = make_map(filled, self.windows), float(share)
        return self.maps[count]

    def against_exact(self, count: int, measures: tuple[str, ...]) -> Quality:
        """What the map of the first groups is worth."""
        return compare(self.map_of(GROUPS)[0], self.map_of(count)[0], measures)

    def change(self, count: int, measures: tuple[str, ...]) -> Quality:
        """How the map of half the groups differs from it."""
        return compare(self.map_of(count)[0], self.map_of(count // 2)[0], measures)


def losses(quality: Quality, measures: tuple[str, ...]) -> list[float]:
    """The losses of some measures."""
    values = asdict(quality)
    return [Bound(name, 0.5).loss(Quality(**values)) for name in measures]


def plays(folder: Path, places: dict[str, int], multiples: tuple[int, ...] = (1, 2, 4)) -> Iterator[Played]:
    """Play every kept map; ``places`` tells where a picture stands in its folder: even ones are fitted on."""
    for path in sorted(folder.glob("*-p*.npz")):
        model, relative, rest = path.stem.split("-", 2)
        picture, patch = rest.rsplit("-p", 1)
        with np.load(path) as kept:
            arrays = {name: kept[name] for name in kept.files}
        yield from _of(path.stem, f"{model}-{relative}", places[picture] % 2, int(patch), arrays, multiples)


def _of(
    name: str, network: str, half: int, patch: int, kept: dict[str, Array], multiples: tuple[int, ...]
) -> Iterator[Played]:
    size = tuple(kept["size"].tolist())
    (fine,) = find_windows(size, [patch], KEPT_STRIDE)
    rows = {tuple(box): row for row, box in enumerate(fine.boxes.tolist())}
    order = np.argsort(kept["ranks"])
    first = int(order[0])
    # One other class of each map, another one from map to map; the last is that of the smallest score.
    other = int(order[1 + sum(map(ord, name)) % (len(order) - 1)])
    for multiple in multiples:
        (windows,) = find_windows(size, [patch], KEPT_STRIDE * multiple)
        at = np.array([rows[tuple(box)] for box in windows.boxes.tolist()])
        for column in (first, other):
            drop = kept["base_scores"][column] - kept["scores"][at, column]
            yield Played(
                f"{name}-s{KEPT_STRIDE * multiple}-c{kept['classes'][column]}",
                network,
                half,
                column == first,
                "scores",
                windows,
                drop.reshape(windows.grid).astype(np.float32),
                kept["unchanged"][at].reshape(windows.grid),
            )
