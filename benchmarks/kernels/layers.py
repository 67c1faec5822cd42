"""``python -m benchmarks.kernels.layers MODEL``: where the time of one thread goes, by layer, against the roofline.

onnxruntime's profiler times the second run over a square of neighbouring windows (patch 16, stride 4, black); the work
in it is counted by benchmarks/lib/limits.py. A layer's roofline is the longer of two times,

    2 * (multiply-adds on non-zero entries) / (peak of float32)
    (deltas read and written, weights once a chunk) / (rate of reading from L3)

both as benchmarks/kernels/microkernels.py measures them. Layers on matrix tiles may pass it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.kernels import microkernels
from benchmarks.lib.limits import LayerCounter, LayerWork
from benchmarks.lib.naive import cpu_description
from benchmarks.lib.subjects import TORCH_MODELS, Subject, subject
from krypton_compile import compile
from krypton_compile.contract.geometry import Boxes, occlusion_grid
from krypton_compile.contract.schemas import PRECISIONS
from krypton_compile.runtime import OcclusionSession
from models.preprocess import RECIPES

SIDE = 24


@dataclass(frozen=True)
class Machine:
    """What one thread can do at most: floating-point operations and bytes a second."""

    operations: float
    bytes: float


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=(*RECIPES, *TORCH_MODELS))
    parser.add_argument("--precision", choices=PRECISIONS, help="of our convolutions (default: exact)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = _machine()
    print(f"{cpu_description()}; one thread; {machine.operations / 1e9:.0f} GF/s, {machine.bytes / 1e9:.0f} GB/s")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            rows += _measure(subject(name), Path(folder), machine, options.precision)
    if options.json:
        about = {"machine": cpu_description(), "date": time.strftime("%Y-%m-%d")}
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    return 0


def _measure(chosen: Subject, folder: Path, machine: Machine, precision: str | None) -> list[dict[str, Any]]:
    compiled = folder / f"{chosen.name}.krypton.onnx"
    compile(chosen.path, compiled)
    counter = LayerCounter(compiled)
    boxes = _square(occlusion_grid(counter.model.image_size, (16, 16), (4, 4)))
    work = {layer.name: layer for layer in counter.count(chosen.image, boxes, chosen.baseline)}
    chunks = -(-len(boxes) // counter.model.annotation.chunk)
    times = _profile(chosen, compiled, boxes, precision, folder, chunks)
    total = sum(seconds for _, seconds in times.values())
    print(f"\n{chosen.name}, {len(boxes)} windows: {1e3 * total / len(boxes):.2f} ms a window in the ops")
    print("| layer | weights | box | non-zero | time | us a window | GF/s | GF/s on boxes | of its roofline |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    by_op: dict[str, float] = defaultdict(float)
    for node, (op, seconds) in times.items():
        by_op[op] += seconds
        layer = work.get(node)
        if layer is None or not seconds:
            continue
        roofline = _roofline(layer, machine, chunks)
        row = {
            "model": chosen.name,
            "layer": node,
            "weights": layer.shape,
            "box": layer.box / len(boxes),
            "density": layer.on_nonzeros / max(layer.on_boxes, 1),
            "share": seconds / total,
            "seconds": seconds / len(boxes),
            "gflops": 2e-9 * layer.on_nonzeros / seconds,
            "gflops_on_boxes": 2e-9 * layer.on_boxes / seconds,
            "of_roofline": roofline / seconds,
        }
        rows.append(row)
        print(
            f"| {node} | {layer.shape} | {row['box']:.0f} | {100 * row['density']:.0f} % | {100 * row['share']:.1f} % "
            f"| {1e6 * row['seconds']:.0f} | {row['gflops']:.0f} | {row['gflops_on_boxes']:.0f} "
            f"| {100 * row['of_roofline']:.0f} % |"
        )
    kinds = sorted(by_op.items(), key=lambda item: -item[1])
    print("\nby op: " + ", ".join(f"{op} {100 * seconds / total:.1f} %" for op, seconds in kinds))
    return [*rows, {"model": chosen.name, "by_op": {op: seconds / len(boxes) for op, seconds in kinds}}]


def _profile(
    chosen: Subject, compiled: Path, boxes: Boxes, precision: str | None, folder: Path, chunks: int
) -> dict[str, tuple[str, float]]:
    """Of each node of the incremental part: its op and its seconds in the second run over the boxes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = OcclusionSession(compiled, session_options=options, precision=precision)
    for _ in range(2):
        session.run(chosen.image, boxes, chosen.baseline)
    events = json.loads(Path(session.scorer.sessions.incremental.end_profiling()).read_text(encoding="utf-8"))
    found: dict[str, tuple[str, list[float]]] = {}
    for event in sorted((event for event in events if event.get("cat") == "Node"), key=lambda event: event["ts"]):
        name, ending, _ = event["name"].partition("_kernel_time")
        if ending:
            found.setdefault(name, (event["args"]["op_name"], []))[1].append(event["dur"] * 1e-6)
    return {name: (op, float(np.sum(seconds[-chunks:]))) for name, (op, seconds) in found.items()}


def _roofline(layer: LayerWork, machine: Machine, chunks: int) -> float:
    moved = layer.bytes + layer.weight_bytes * chunks
    return max(2 * layer.on_nonzeros / machine.operations, moved / machine.bytes)


def _machine() -> Machine:
    lines = microkernels.measure()
    isa = os.environ.get("KRYPTON_CPU_ISA")
    peaks = [line["float32_peak"] for line in lines if line.get("float32_peak") and isa in (None, line["isa"])]
    if not peaks:
        raise SystemExit(
            "benchmarks.kernels.layers: expected a processor with AVX2, and KRYPTON_CPU_ISA unset, avx2 or wider"
        )
    rates = {line["from"]: line["read"] for line in lines if "from" in line}
    return Machine(1e9 * peaks[-1], 1e9 * rates["L3"])


def _square(grid: Boxes) -> Boxes:
    """A square of neighbouring windows in the middle of the grid."""
    corners = [np.unique(grid[:, axis]) for axis in (0, 1)]
    middles = [values[max(0, (len(values) - SIDE) // 2) :][:SIDE] for values in corners]
    return grid[np.isin(grid[:, 0], middles[0]) & np.isin(grid[:, 1], middles[1])]


if __name__ == "__main__":
    sys.exit(main())
