"""``python -m benchmarks.cuda HARNESS``: the convolution kernel of the GPU against cuDNN, layer by layer, as JSON.

HARNESS is libkrypton_harness.so, built with KRYPTON_CUDA and KRYPTON_HARNESS. For each layer: all windows' deltas by
our kernel, and the same layer on full maps by torch in channels_last, at its best batch size, with TF32 (the class of
one product) and without (that of the exact mode). Both are warmed up and timed by events, in turn; the ratio is that of
the time a window.

With ``--check`` results are compared with torch's convolution of the same delta on a full map. On a CPU
(``--device cpu``, an emulated harness) that is all that is done, on few windows.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cuda.layers import NETWORKS, Layer
from krypton_compile.contract import geometry
from tests.support.harness import Harness, Node

BATCHES = (16, 64, 256)
ROUNDS = 5
BOUND = {"float32": 1e-5, "bfloat16": 2e-3}
"""Of the largest entry, of results that are compared with torch's in float32 without TF32."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("harness", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--layers", nargs="+", help="conv1, conv2, ... (default: all)")
    parser.add_argument("--positions", type=int, default=2809, help="windows (default %(default)s, all)")
    parser.add_argument("--width", type=float, default=1.0, help="of the networks' maps (default %(default)s)")
    parser.add_argument("--check", action="store_true", help="compare some windows with torch")
    parser.add_argument("--output", type=Path, help="JSON (default: standard output)")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # the fastest of its algorithms, found in the warm-up
    harness = Harness(options.harness, options.device)
    rows = []
    for network in options.networks:
        for layer in NETWORKS[network](width=options.width):
            if options.layers and layer.name not in options.layers:
                continue
            row: dict[str, Any] = {"network": network, "layer": layer.name, "positions": options.positions}
            if options.check:
                row["error"] = {mode: check(harness, layer, mode) for mode in BOUND}
            if options.device == "cuda":
                row |= measure(harness, layer, options.positions)
            rows.append(row)
            print(json.dumps(row), flush=True)
    found = {"date": str(datetime.date.today()), "device": _device(options.device), "layers": rows}
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")
    bad = [row for row in rows if any(error > BOUND[mode] for mode, error in row.get("error", {}).items())]
    for row in bad:
        print(f"WRONG: {row}")
    return 1 if bad else 0


def check(harness: Harness, layer: Layer, precision: str, count: int = 3) -> float:
    """The largest difference from torch on a few windows, in parts of the largest entry."""
    rows = np.linspace(0, len(layer.x_boxes) - 1, count).astype(np.int64)
    given = _inputs(layer, layer.x_boxes[rows], layer.y_boxes[rows], np.random.default_rng(0))
    found = harness.run("IncrementalConv", _attributes(layer, precision), given)[0]
    x, x_boxes, y_boxes, weight = given
    worst, start, at = 0.0, 0, 0
    for (y0, x0, h, w), (v0, u0, g, v) in zip(x_boxes, y_boxes, strict=True):
        full = np.zeros((1, layer.channels, *layer.window.input_shape), np.float32)
        full[0, :, y0 : y0 + h, x0 : x0 + w] = x[start : start + h * w].reshape(h, w, -1).transpose(2, 0, 1)
        expected = torch.conv2d(
            torch.from_numpy(full), torch.from_numpy(weight), stride=layer.window.strides, padding=layer.window.pads
        ).numpy()[0, :, v0 : v0 + g, u0 : u0 + v]
        own = found[at : at + g * v].reshape(g, v, -1).transpose(2, 0, 1)
        worst = max(worst, float(np.abs(own - expected).max() / np.abs(expected).max()))
        start, at = start + h * w, at + g * v
    return worst


def measure(harness: Harness, layer: Layer, positions: int) -> dict[str, Any]:
    """Milliseconds a window of both sides, and the ratio, in both classes of precision."""
    rng = np.random.default_rng(0)
    given = _inputs(layer, layer.x_boxes[:positions], layer.y_boxes[:positions], rng)
    placed = [harness.place("IncrementalConv", index, value) for index, value in enumerate(given)]
    nodes = {mode: Node(harness, "IncrementalConv", _attributes(layer, mode)) for mode in BOUND}
    count = len(given[1])
    taps = int(geometry.overlapping_taps(given[1], given[2], layer.window).sum())
    found: dict[str, Any] = {"useful_gflop": 2e-9 * taps * layer.channels * layer.maps}
    for mode, tf32 in (("float32", False), ("bfloat16", True)):
        torch.backends.cudnn.allow_tf32 = tf32
        dense, batch = _best_dense(layer)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(_milliseconds(lambda node=nodes[mode]: node.run(placed)) / count)
            theirs.append(_milliseconds(dense) / batch)
        ratios = sorted(naive / own for naive, own in zip(theirs, ours, strict=True))
        found[mode] = {
            "ms_a_window": statistics.median(ours),
            "cudnn_ms_an_image": statistics.median(theirs),
            "cudnn_batch": batch,
            "ratio": [ratios[0], statistics.median(ratios), ratios[-1]],
            "useful_tflops": found["useful_gflop"] / count / statistics.median(ours),
        }
    torch.backends.cudnn.allow_tf32 = False
    return found


def _best_dense(layer: Layer) -> tuple[Callable[[], object], int]:
    """The layer on full maps at the batch size that is fastest an image."""
    weight = torch.randn(layer.maps, layer.channels, *layer.window.kernel, device="cuda")
    weight = weight.to(memory_format=torch.channels_last)
    best: tuple[float, Callable[[], object], int] | None = None
    for batch in BATCHES:
        images = torch.randn(batch, layer.channels, *layer.window.input_shape, device="cuda")
        images = images.to(memory_format=torch.channels_last)

        def run(images: torch.Tensor = images) -> object:
            return torch.conv2d(images, weight, stride=layer.window.strides, padding=layer.window.pads)

        seconds = _milliseconds(run) / batch
        if best is None or seconds < best[0]:
            best = (seconds, run, batch)
    assert best is not None
    return best[1], best[2]


def _milliseconds(run: Callable[[], object], repeats: int = 5) -> float:
    run()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(repeats):
        run()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / repeats


def _inputs(
    layer: Layer, x_boxes: geometry.Boxes, y_boxes: geometry.Boxes, rng: np.random.Generator
) -> list[np.ndarray[Any, Any]]:
    rows = int(geometry.areas(x_boxes).sum())
    x = rng.standard_normal((rows, layer.channels), dtype=np.float32)
    weight = rng.standard_normal((layer.maps, layer.channels, *layer.window.kernel), dtype=np.float32)
    return [x, np.ascontiguousarray(x_boxes), np.ascontiguousarray(y_boxes), weight]


def _attributes(layer: Layer, precision: str) -> dict[str, Any]:
    window = layer.window
    ends = [
        (after - 1) * stride + kernel - size - pad
        for after, stride, kernel, size, pad in zip(
            window.output_shape, window.strides, window.kernel, window.input_shape, window.pads, strict=True
        )
    ]
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.strides),
        "pads": [*window.pads, *(max(0, end) for end in ends)],
        "dilations": list(window.dilations),
        "input_shape": list(window.input_shape),
        "output_shape": list(window.output_shape),
        "precision": precision,
    }


def _device(device: str) -> str:
    if device == "cpu":
        return "a CPU, the kernels emulated"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


if __name__ == "__main__":
    raise SystemExit(main())
