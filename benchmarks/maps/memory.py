"""``python -m benchmarks.maps.memory``: peak memory above the loaded model, ours and naive onnxruntime's.

Each measurement has a process of its own: it loads the model, runs once on little, notes its resident set, then works
and notes its highest resident set. Ours: ``--positions`` boxes of 16x16, the whole grid of stride 1 as often as that
takes, one class kept. Naive: batches of 16 real windows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.naive import NaiveModel, cpu_description, memory_held, memory_peak, threads_available
from benchmarks.lib.subjects import TORCH_MODELS, subject
from krypton_compile import compile
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.contract.occlude import occlude
from krypton_compile.runtime import OcclusionSession
from models.preprocess import RECIPES

BATCH = 16


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = (*RECIPES, *TORCH_MODELS)
    parser.add_argument("--models", nargs="+", default=["squeezenet1_1", "resnet18", "vgg16_tumour"], choices=known)
    parser.add_argument("--positions", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--most", type=int, default=10_000, help="positions of all models but the first (%(default)s)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=3, metavar=("MODEL", "COMPILED", "POSITIONS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, compiled, positions = options.measure
        print(json.dumps(_measure(name, Path(compiled), int(positions))))
        return 0
    threads = threads_available()
    print(f"{cpu_description()}; {threads} threads\n")
    print("| model | what | loaded, MB | peak above it, MB | seconds |")
    print("|---|---|---|---|---|")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            compiled = Path(folder) / f"{name}.krypton.onnx"
            compile(subject(name).path, compiled)
            most = max(options.positions) if name == options.models[0] else options.most
            for positions in (0, *(count for count in options.positions if count <= most)):
                rows.append(row := _apart(name, compiled, positions))
                what = f"{positions} positions" if positions else f"naive, batch {BATCH}"
                print(
                    f"| {name} | {what} | {row['loaded']:.0f} | {row['above']:.0f} | {row['seconds']:.1f} |", flush=True
                )
    if options.json:
        about = {"machine": cpu_description(), "threads": threads, "date": time.strftime("%Y-%m-%d")}
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    return 0


def _apart(name: str, compiled: Path, positions: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.maps.memory", "--measure", name, str(compiled), str(positions)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks.maps.memory: {name}, {positions} positions: {done.stderr}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _measure(name: str, compiled: Path, positions: int) -> dict[str, Any]:
    chosen = subject(name)
    threads = threads_available()
    if positions:
        session = OcclusionSession(compiled, threads=threads)
        grid = occlusion_grid(session.image_size, (16, 16), (1, 1))
        middle = np.roll(grid, -len(grid) // 2, axis=0)  # not from the border, which may be black already
        boxes = np.tile(middle, (-(-positions // len(grid)), 1))[:positions]
        session.run(chosen.image, middle[:1], chosen.baseline)
        loaded, start = memory_held(), time.perf_counter()
        found = session.run(chosen.image, boxes, chosen.baseline, classes=[0])
        assert found.scores.shape == (positions, 1)
    else:
        model = NaiveModel(chosen.path, threads)
        boxes = occlusion_grid(chosen.size, (16, 16), (4, 4))[: 4 * BATCH]
        windows = occlude(chosen.image, boxes, chosen.baseline, chosen.layout)
        model.run(windows[:1], 1)
        loaded, start = memory_held(), time.perf_counter()
        model.run(windows, BATCH)
    seconds = time.perf_counter() - start
    peak = memory_peak()
    return {
        "model": name,
        "positions": positions,
        "loaded": loaded / 1000,
        "above": (peak - loaded) / 1000,
        "seconds": seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
