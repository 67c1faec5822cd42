"""``python -m benchmarks.maps.calibration.fit``: from kept maps (collect.py) to calibration_table.py, and its check.

Maps of pictures at even places fit, those at odd places check: other pictures, and other random relatives.

    ratio[g]   median over maps of loss / change at stage g, times what makes the median right where sampling stops
    careful    the least factor with which sampling keeps its bounds on all maps that fit it but one in 30;
               1.15 times that where less than 95 % of the maps that check it keep theirs

for each measure and overlap, with ``careful`` of the first class and of others. What keeps its bounds on less than 95 %
of the maps that check it is left out of the table: nothing is promised for it without tuning. Maps that are played
through are kept beside the others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.maps.calibration.replay import Played, losses, plays
from benchmarks.maps.core import pictures_of
from krypton_compile.runtime.approximation import calibration
from krypton_compile.runtime.approximation.bounds import Bound, parse_bound
from krypton_compile.runtime.approximation.calibration import STAGES, Calibration
from krypton_compile.runtime.approximation.lattice import GROUPS
from krypton_compile.runtime.approximation.sampling import NEARLY_ALL, Sampling

BOUNDS = {
    "ssim": ("ssim>=0.8", "ssim>=0.9", "ssim>=0.95"),
    "color_ssim": ("color_ssim>=0.8", "color_ssim>=0.9", "color_ssim>=0.95"),
    "rank": ("rank>=0.9", "rank>=0.95", "rank>=0.98"),
    "top10": ("top10>=0.7", "top10>=0.8", "top10>=0.9"),
    "error": ("error<=0.3", "error<=0.2", "error<=0.1"),
}
MEASURES = tuple(BOUNDS)
PLAYED = tuple(count for count in STAGES if count <= NEARLY_ALL)
FACTORS = tuple(np.arange(1, 6, 0.05).round(2).tolist())
MARGINS = (1.0, 1.15)
"""What the least factor is multiplied by: nothing, and something where the maps that check it ask for it."""
ONE_IN = 30
KEPT = 0.95
_HOPELESS = 100.0
_LATE = {128: 0.8, 144: 0.5}
"""Ratios of stages that only progressive maps come to, in units of the last one that is played."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """Maps of one measure, overlap and rank of the class under one bound: what became of them."""

    measure: str
    overlap: float
    first: bool
    bound: str
    maps: int
    kept: float
    share: float
    every_window: float
    bias: float
    below: float

    def line(self) -> str:
        """A line of a table."""
        apart = {16.0: "1/4", 4.0: "1/2", 1.0: "1"}.get(self.overlap, f"{self.overlap**-0.5:g}")
        estimates = ["-" if np.isnan(value) else f"{value:.2f}" for value in (self.bias, self.below)]
        shares = [f"{100 * value:.0f} %" for value in (self.kept, self.share, self.every_window)]
        which = "first" if self.first else "other"
        return f"| `{self.bound}` | {apart} | {which} | {self.maps} | {' | '.join([*shares, *estimates])} |"


def play_all(folder: Path, kept: Path, places: dict[str, int], say: Callable[[str], None]) -> None:
    """Compute the losses and changes of every kept map at every played stage; those that are there stay."""
    kept.mkdir(parents=True, exist_ok=True)
    done = 0
    for played in plays(folder, places):
        path = kept / f"{played.name}.json"
        if path.exists():
            continue
        path.with_suffix(".part").write_text(json.dumps(_played(played)))
        path.with_suffix(".part").replace(path)
        done += 1
        if done % 10 == 0:
            say(f"{done}: {played.name}")


def _played(played: Played) -> Row:
    flat = float(np.ptp(played.drop)) == 0
    rows = {} if flat else {count: _stage(played, count) for count in PLAYED}
    return {
        "name": played.name,
        "network": played.network,
        "half": played.half,
        "first": played.first,
        "overlap": played.overlap,
        "windows": int((~played.unchanged).sum()),
        "stages": rows,
    }


def _stage(played: Played, count: int) -> Row:
    return {
        "share": played.map_of(count)[1],
        "loss": losses(played.against_exact(count, MEASURES), MEASURES),
        "change": losses(played.change(count, MEASURES), MEASURES),
    }


def fit(rows: list[Row], measure: str, overlap: float, margin: float) -> Calibration:
    """Fit one measure at one overlap to the maps of these rows."""
    at, some = MEASURES.index(measure), [row for row in rows if row["overlap"] == overlap]
    ratios = [float(np.median([_ratio(row, count, at) for row in some])) for count in PLAYED]
    bounds = [parse_bound(text) for text in BOUNDS[measure]]
    careful = {}
    for first in (True, False):
        own = [row for row in some if row["first"] == first]
        needed = sorted(_needed(row, bounds, at, ratios) for row in own)
        careful[first] = margin * needed[-1 - len(own) // ONE_IN]
    table = Calibration(careful[True], careful[False], _whole(ratios))
    stops = [_stop(row, bound, at, table) for row in some for bound in bounds]
    middle = float(np.median([loss / about for _, loss, about, _ in filter(None, stops)] or [1.0]))
    own = [max(1.0, factor / middle) for factor in (careful[True], careful[False])]
    return Calibration(*own, _whole([ratio * middle for ratio in ratios]))


def _needed(row: Row, bounds: list[Bound], at: int, ratios: list[float]) -> float:
    """The least factor with which sampling keeps all bounds on a map."""
    for factor in FACTORS:
        table = Calibration(factor, factor, _whole(ratios))
        if all(_kept(row, bound, at, table) for bound in bounds):
            return factor
    return _HOPELESS


def _ratio(row: Row, count: int, at: int) -> float:
    stage = row["stages"][str(count)]
    return float(stage["loss"][at] / max(stage["change"][at], 1e-9))


def _whole(ratios: list[float]) -> tuple[float, ...]:
    return (*ratios, *(ratios[-1] * share for share in _LATE.values()), 0.0)


def _stop(row: Row, bound: Bound, at: int, table: Calibration) -> tuple[int, float, float, float] | None:
    """Where sampling stops: groups, true loss, estimate of it, limit; None where every window is scored."""
    calibration.TABLE[bound.measure, row["overlap"]] = table
    count, (loss,) = Sampling(bounds=(bound,)).run(
        lambda groups: [_change(row, groups, at)], row["overlap"], row["first"]
    )
    return None if count == GROUPS else (count, row["stages"][str(count)]["loss"][at], loss.about, loss.limit)


def _change(row: Row, count: int, at: int) -> float:
    """As the runtime has it: maps that do not change at all tell nothing."""
    changes = row["stages"][str(count)]["change"]
    return float(changes[at]) if changes[MEASURES.index("error")] > 0 else np.inf


def _kept(row: Row, bound: Bound, at: int, table: Calibration) -> bool:
    stop = _stop(row, bound, at, table)
    return stop is None or stop[1] <= bound.allowed


def check(rows: list[Row], measure: str, overlap: float, table: Calibration) -> list[Cell]:
    """What the calibration is worth on the maps of these rows."""
    at, cells = MEASURES.index(measure), []
    for bound in map(parse_bound, BOUNDS[measure]):
        for first in (True, False):
            own = [row for row in rows if row["overlap"] == overlap and row["first"] == first]
            stops = [_stop(row, bound, at, table) for row in own]
            sampled = [stop for stop in stops if stop is not None]
            shares = [1.0 if s is None else r["stages"][str(s[0])]["share"] for r, s in zip(own, stops, strict=True)]
            kept = [stop is None or stop[1] <= bound.allowed for stop in stops]
            ratios = [about / loss for _, loss, about, _ in sampled if loss > 0]
            below = [limit < loss for _, loss, _, limit in sampled]
            numbers = [float(np.mean(values)) for values in (kept, shares, [stop is None for stop in stops])]
            told = [float(np.median(ratios)) if ratios else np.nan, float(np.mean(below)) if below else np.nan]
            cells.append(Cell(measure, overlap, first, str(bound), len(own), *numbers, *told))
    return cells


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of collect.py's maps")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KRYPTON_DATA", "data")))
    parser.add_argument("--only-play", action="store_true", help="fit nothing yet")
    parser.add_argument("--no-play", action="store_true", help="take what was played before")
    parser.add_argument("--write", type=Path, help="calibration_table.py, to be written")
    parser.add_argument("--json", type=Path, help="the check, to be written")
    options = parser.parse_args()
    names = ("squeezenet1_1", "vgg16_tumour")
    places = {path.stem: place for name in names for place, path in enumerate(pictures_of(name, options.data, 10**6))}
    played = options.folder / "played"
    if not options.no_play:
        play_all(options.folder, played, places, lambda text: print(text, flush=True))
    if options.only_play:
        return 0
    rows = [json.loads(path.read_text()) for path in sorted(played.glob("*.json"))]
    halves = [[row for row in rows if row["half"] == half and row["stages"]] for half in (0, 1)]
    tables: dict[tuple[str, float], Calibration] = {}
    cells = []
    for overlap in sorted({row["overlap"] for row in rows}, reverse=True):
        for measure in MEASURES:
            for margin in MARGINS:
                table = fit(halves[0], measure, overlap, margin)
                own = check(halves[1], measure, overlap, table)
                worst = min(cell.kept for cell in own)
                if worst >= KEPT:
                    break
            cells += own
            if worst >= KEPT:
                tables[measure, overlap] = table
            else:
                print(f"left out: {measure} at {overlap:g} windows a pixel, kept by {100 * worst:.1f} %")
    print(
        "| bound | stride / patch | class | maps | kept | windows | all windows | estimate / loss | loss above limit |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(cell.line() for cell in cells))
    print("\n".join(["", *_compact(cells, tables)]))
    if options.write:
        options.write.write_text(_source(tables), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(options.write)], check=False)
    if options.json:
        networks = [sorted({row["network"] for row in half}) for half in halves]
        about = {"fitted_on": networks[0], "checked_on": networks[1], "maps": [len(half) for half in halves]}
        text = json.dumps({**about, "cells": [vars(cell) for cell in cells]}, indent=1)
        options.json.write_text(text.replace("NaN", "null") + "\n", encoding="utf-8")
    return 0


def _compact(cells: list[Cell], tables: dict[tuple[str, float], Calibration]) -> list[str]:
    """A line a measure: of its middle bound, what keeps it and what it takes, of the first class and of others."""
    overlaps = sorted({cell.overlap for cell in cells}, reverse=True)
    lines = ["| bound | " + " | ".join(f"stride / patch {overlap**-0.5:g}" for overlap in overlaps) + " |"]
    lines.append("|---|" + "---|" * len(overlaps))
    for bound in (bounds[1] for bounds in BOUNDS.values()):
        texts = []
        for overlap in overlaps:
            own = [cell for cell in cells if cell.bound == bound and cell.overlap == overlap]
            kept, share = (
                " / ".join(f"{100 * value:.0f}" for value in values)
                for values in ([cell.kept for cell in own], [cell.share for cell in own])
            )
            refused = "" if (own[0].measure, overlap) in tables else "refused: "
            texts.append(f"{refused}{kept} %, {share} %")
        lines.append(f"| `{bound}` | {' | '.join(texts)} |")
    return lines


def _source(tables: dict[tuple[str, float], Calibration]) -> str:
    """The module that holds the table."""
    rows = [
        f"    ({measure!r}, {overlap}, {table.careful:.2f}, {table.careful_of_others:.2f}, "
        f"{tuple(float(f'{ratio:.3g}') for ratio in table.ratios[:-1])}),"
        for (measure, overlap), table in tables.items()
    ]
    return "\n".join(
        [
            '"""The calibration of sampled maps, as benchmarks.maps.calibration.fit wrote it; see calibration.py."""',
            "",
            "ROWS: tuple[tuple[str, float, float, float, tuple[float, ...]], ...] = (",
            *rows,
            ")",
            '"""Measure, overlap, factors of calibration.py (first class, others), ratios by stage but the last."""',
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
