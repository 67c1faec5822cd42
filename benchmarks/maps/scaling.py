"""``python -m benchmarks.maps.scaling``: how a map would divide among more threads than there are, by simulation.

A map is cut into chunks for W workers as the runtime would (geometry.count_chunks); each chunk is timed alone on one
thread, then handed to the worker that is free first. What is not in chunks (base pass, planning, map) counts as serial:

    speed-up(W) = (serial + sum of chunks) / (serial + last worker's end)

Threads that share caches and memory will do worse than this; it shows that nothing in the cut stands in their way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.lib.naive import cpu_description
from benchmarks.lib.subjects import TORCH_MODELS, Subject, subject
from krypton_compile import compile
from krypton_compile.contract import geometry
from krypton_compile.runtime import OcclusionSession
from models.preprocess import RECIPES

WORKERS = (1, 2, 4, 16, 64)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = (*RECIPES, *TORCH_MODELS)
    parser.add_argument("--models", nargs="+", default=["squeezenet1_1", "resnet18"], choices=known)
    options = parser.parse_args()
    print(f"{cpu_description()}; one thread measured\n")
    print("| model | workers | chunks | serial | speed-up | of the workers |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            chosen = subject(name)
            compiled = Path(folder) / f"{name}.krypton.onnx"
            compile(chosen.path, compiled)
            _measure(chosen, OcclusionSession(compiled, threads=1))
    return 0


def _measure(chosen: Subject, session: OcclusionSession) -> None:
    explanation = session.explain(chosen.image, 16, 4, chosen.baseline)  # warms up, packs weights
    began = time.perf_counter()
    prepared = session.prepare(chosen.image, chosen.baseline)
    explanation.heatmap()
    boxes = explanation.boxes[geometry.neighbour_order(explanation.boxes)]
    serial = time.perf_counter() - began
    for workers in WORKERS:
        chunks = geometry.count_chunks(len(boxes), session.annotation.chunk, workers)
        seconds = []
        for piece in np.array_split(boxes, chunks):
            start = time.perf_counter()
            session.score(prepared, piece)
            seconds.append(time.perf_counter() - start)
        free = np.zeros(workers)
        for chunk in seconds:
            free[free.argmin()] += chunk
        whole = serial + sum(seconds)
        speed_up = whole / (serial + free.max())
        shares = f"{100 * serial / whole:.1f} % | {speed_up:.1f} x | {100 * speed_up / workers:.0f} %"
        print(f"| {chosen.name} | {workers} | {chunks} | {shares} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
