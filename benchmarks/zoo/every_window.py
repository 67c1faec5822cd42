"""``python -m benchmarks.zoo.every_window``: norms on pictures that make them divide by nearly nothing, all windows.

Untrained networks whose biases are zero, from timm, transformers and MONAI: behind a black window nothing is left of
the features but rounding, and a norm makes features of that again. Each network is compared with onnxruntime at every
window of a grid and with the whole picture hidden, on a picture of noise and on one that is black beside an object,
with the baselines zero, black (ImageNet's) and mean (the picture's own). What the baseline's own base pass costs is
measured on the same files compiled without it, in turns.

A network whose packages are not installed is skipped. ``--only NAME`` tries one.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from benchmarks.zoo.exports.networks import Export, build
from benchmarks.zoo.exports.write_files import write_network
from krypton_compile import OcclusionSession, compile
from krypton_compile.contract.exactness import LOGIT_BOUND
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.occlude import occlude
from krypton_compile.passes.lower.context import LoweringContext
from models.zoo.pictures import pictures

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- every window -->", "<!-- /every window -->"
NETWORKS = (
    Export("timm", "convnext_atto", (3, 96, 96)),
    Export("timm", "convnextv2_atto", (3, 96, 96)),
    Export("timm", "edgenext_xx_small", (3, 96, 96)),
    Export("transformers", "convnext", (3, 96, 96)),
    Export("transformers", "convnextv2", (3, 96, 96)),
    Export("monai", "DenseNet121, 2-D, InstanceNorm", (1, 128, 128)),
    Export("monai", "Classifier, 2-D", (1, 64, 64)),
    Export("monai", "Discriminator, 2-D", (1, 64, 64)),
    Export("monai", "Classifier, 3-D", (1, 32, 32, 32)),
)
BLACK = -2.0
"""What ImageNet's preprocessing makes of black, roughly."""
_PAIRS = 5
_INTRODUCTION = """## Norms at every window

Untrained networks with biases of zero, whose norms have nothing left to divide by behind a window,
at every window of a quarter of the picture's sides, half of that apart (volumes: side by side), and
with the whole picture hidden: on noise and on an object on black, with the baselines zero, black
and mean, by

    python -m benchmarks.zoo.every_window

*Off* and *onnxruntime* are the largest differences in units of the bound, of the compiled file and
of onnxruntime at another optimisation level. The last columns are what the second base pass takes,
each against the same file compiled without: megabytes of base maps, milliseconds an image, and
milliseconds a window (medians of {pairs} pairs in turn, one thread).

| network | input | windows | off | onnxruntime | off without | maps MB | image ms | window ms |
|---|---|---|---|---|---|---|---|---|
"""


@dataclass
class Row:
    """What was found of one network; pairs are with the second base pass, and without."""

    name: str
    shape: list[int]
    windows: int = 0
    off: float = float("nan")
    noise: float = float("nan")
    off_without: float = float("nan")
    megabytes: tuple[float, float] = (0.0, 0.0)
    image_ms: tuple[float, float] = (0.0, 0.0)
    window_ms: tuple[float, float] = (0.0, 0.0)
    failure: str = ""

    def line(self) -> str:
        size = "x".join(str(side) for side in self.shape[1:])
        if self.failure:
            return f"| `{self.name}` | {size} | - | {self.failure} | - | - | - | - | - |\n"
        pairs = " | ".join(f"{a:.2f} / {b:.2f}" for a, b in (self.megabytes, self.image_ms, self.window_ms))
        differences = f"{self.off:.2f} | {self.noise:.2f} | {self.off_without:.3g}"
        return f"| `{self.name}` | {size} | {self.windows} | {differences} | {pairs} |\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="these networks")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "measurements" / "every_window.json")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "models.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    known = json.loads(options.results.read_text("utf-8")) if options.results.exists() else []
    rows = {(row["name"], tuple(row["shape"])): Row(**row) for row in known}
    for export in NETWORKS:
        if not options.only or export.name in options.only:
            row = _try(export)
            rows[export.name, export.shape] = row
            print(row.line(), end="", flush=True)
    kept = [rows[key] for export in NETWORKS if (key := (export.name, export.shape)) in rows]
    options.results.write_text(json.dumps([asdict(row) for row in kept], indent=1) + "\n", "utf-8")
    _write_section(kept, options.output)
    return 0 if all(not row.failure and row.off <= max(1.0, row.noise) for row in kept) else 1


def _try(export: Export) -> Row:
    row = Row(export.name, list(export.shape))
    try:
        with TemporaryDirectory() as work:
            _fill_row(row, export, Path(work))
    except ImportError as error:
        row.failure = f"skipped: {error}"
    except Exception as error:  # whatever breaks is the row's result
        row.failure = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return row


def _fill_row(row: Row, export: Export, work: Path) -> None:
    import torch

    torch.manual_seed(0)
    model = build(export)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    source, files = work / "model.onnx", [work / "with.krypton.onnx", work / "without.krypton.onnx"]
    write_network(export, model, source)
    options = {"image_size": export.shape[1:]} if export.symbolic else {}
    compile(source, files[0], **options)
    begin, LoweringContext.begin_baseline = LoweringContext.begin_baseline, _no_baseline  # type: ignore[method-assign]
    try:
        compile(source, files[1], verify=False, **options)
    finally:
        LoweringContext.begin_baseline = begin  # type: ignore[method-assign]
    sessions = [OcclusionSession(file, threads=1) for file in files]
    boxes = _windows(export.shape[1:])
    row.windows = len(boxes)
    row.off, row.noise, row.off_without = _compare(source, sessions, boxes, export)
    _measure_cost(row, sessions, boxes, export)


def _no_baseline(self: LoweringContext, *_: object) -> None:
    """A file without a second base pass."""


def _windows(sizes: tuple[int, ...]) -> Boxes:
    """Every window of a grid, and the whole picture."""
    patch = [size // 4 for size in sizes]
    steps = [max(1, size // 2) if len(sizes) < 3 else size for size in patch]  # else a volume has 343 of them
    starts = np.meshgrid(*(np.arange(0, n - p + 1, s) for n, p, s in zip(sizes, patch, steps, strict=True)))
    corners = np.stack([axis.reshape(-1) for axis in starts], axis=1)
    boxes = np.concatenate([corners, np.tile(patch, (len(corners), 1))], axis=1)
    return np.concatenate([boxes, [[0] * len(sizes) + list(sizes)]]).astype(np.int32)


def _images(shape: tuple[int, ...]) -> list[npt.NDArray[np.float32]]:
    """Noise, and an object on ImageNet's black."""
    noise = pictures(1, shape, 1)
    sparse = np.full_like(noise, BLACK)
    inside = (..., *(slice(size // 4, size // 2) for size in shape[1:]))
    sparse[inside] = noise[inside]
    return [noise, sparse]


def _compare(
    source: Path, sessions: list[OcclusionSession], boxes: Boxes, export: Export
) -> tuple[float, float, float]:
    plain = ort.SessionOptions()
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = onnx.load(source).SerializeToString()
    naive = [ort.InferenceSession(content, options) for options in (ort.SessionOptions(), plain)]
    name, layout = naive[0].get_inputs()[0].name, sessions[0].layout
    worst = np.zeros(3)
    for image in _images(export.shape):
        for baseline in (0.0, BLACK, float(image.mean())):
            hidden = [occlude(image, box[None], baseline, layout) for box in boxes]
            rows = [np.stack([run.run(None, {name: each})[0].reshape(-1) for each in hidden]) for run in naive]
            base = np.abs(naive[0].run(None, {name: image})[0]).max()
            scale = LOGIT_BOUND * np.maximum(np.abs(rows[0]).max(axis=1), base)
            found = [session.score_boxes(image, boxes, baseline) for session in sessions]
            for index, other in enumerate((found[0], rows[1], found[1])):
                worst[index] = max(worst[index], float((np.abs(other - rows[0]).max(axis=1) / scale).max()))
    return float(worst[0]), float(worst[1]), float(worst[2])


def _measure_cost(row: Row, sessions: list[OcclusionSession], boxes: Boxes, export: Export) -> None:
    image = _images(export.shape)[0]
    times: list[list[tuple[float, float]]] = [[], []]
    for _ in range(_PAIRS + 1):
        for session, taken in zip(sessions, times, strict=True):
            began = time.perf_counter()
            prepared = session.prepare(image, 0.0)
            between = time.perf_counter()
            session.score(prepared, boxes)
            taken.append((between - began, (time.perf_counter() - between) / len(boxes)))
    medians = [np.median(taken[1:], axis=0) * 1e3 for taken in times]  # the first ones check themselves
    row.image_ms = (round(float(medians[0][0]), 2), round(float(medians[1][0]), 2))
    row.window_ms = (round(float(medians[0][1]), 3), round(float(medians[1][1]), 3))
    held = [round(_held(session.prepare(image, 0.0)) / 1e6, 2) for session in sessions]
    row.megabytes = (held[0], held[1])


def _held(prepared: Any) -> int:
    """Bytes of the base maps that windows read."""
    return sum(value.numpy().nbytes for value in prepared.feeds.values())


def _write_section(rows: list[Row], path: Path) -> None:
    section = f"{BEGIN}\n{_INTRODUCTION.format(pairs=_PAIRS)}{''.join(row.line() for row in rows)}{END}\n"
    before, found, rest = path.read_text("utf-8").partition(f"{BEGIN}\n")
    after = rest.partition(f"{END}\n")[2] if found else ""
    path.write_text(before + ("" if found else "\n") + section + after, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
