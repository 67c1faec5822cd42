"""``python -m benchmarks.maps.calibration.fit``: from kept maps (collect.py) to calibration.py's table, and its check.

Maps of pictures at even places fit, those at odd places check: other pictures, and other random relatives.

    ratio[g]   median over maps of loss / change at stage g
    careful    the least factor with which sampling keeps its bounds on enough of the maps that fit it

for each measure and overlap; ``careful`` of the first class and of others. A measure whose factor would be beyond
all bounds, or whose check fails, is left out of the table: nothing is promised for it without tuning.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.maps.calibration.replay import Played, losses, plays
from benchmarks.maps.core import pictures_of

MEASURES = ("ssim", "color_ssim", "rank", "top10", "error")
PLAYED = (2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 112)
"""Stages that are played through; between them ratios are interpolated."""
Numbers = npt.NDArray[np.float64]


def play_all(folder: Path, kept: Path, places: dict[str, int], say: Callable[[str], None]) -> None:
    """Compute the losses and changes of every kept map at every played stage; those that are there stay."""
    kept.mkdir(parents=True, exist_ok=True)
    done = 0
    for played in plays(folder, places):
        path = kept / f"{played.name}.json"
        if path.exists():
            continue
        path.with_suffix(".part").write_text(json.dumps(_table(played)))
        path.with_suffix(".part").replace(path)
        done += 1
        if done % 10 == 0:
            say(f"{done}: {played.name}")


def _table(played: Played) -> dict[str, object]:
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


def _stage(played: Played, count: int) -> dict[str, object]:
    return {
        "share": played.map_of(count)[1],
        "loss": losses(played.against_exact(count, MEASURES), MEASURES),
        "change": losses(played.change(count, MEASURES), MEASURES),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of collect.py's maps")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KRYPTON_DATA", "data")))
    options = parser.parse_args()
    names = ("squeezenet1_1", "vgg16_tumour")
    places = {path.stem: place for name in names for place, path in enumerate(pictures_of(name, options.data, 10**6))}
    play_all(options.folder, options.folder / "played", places, lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
