"""``python -m benchmarks.maps.table``: our speed-up over naive onnxruntime for other patches, strides and image sizes.

A paired run a row (benchmarks/lib/paired.py): ours is a whole map, the second call on that image; naive is extrapolated
from a sample of windows. The rows of image sizes are ResNet18 with random weights, exported for each size.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from benchmarks.lib.naive import cpu_description, threads_available
from benchmarks.lib.paired import paired
from benchmarks.lib.subjects import TORCH_MODELS, subject
from krypton_compile import compile
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.contract.preprocessing import PRESETS
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.inputs.prepare import baseline_input, prepare
from models.fetch import fetch
from models.preprocess import RECIPES

Images = npt.NDArray[np.float32]

PATCHES = (4, 8, 16, 32, 64)
STRIDES = (1, 2, 4, 8, 16)
IMAGE_SIZES = (128, 224, 320, 512)
SIDE = 4
# Below this, our map is slower than the naive one by more than the machine's noise.
WARN_BELOW = 0.95
# A window's own time is taken from a map of about this many windows, and estimates all the others.
SCOUT_SIDE = 24


@dataclass(frozen=True)
class Network:
    """An opened compiled model, the file it was made from, and one image."""

    name: str
    original: Path
    session: OcclusionSession
    image: Images
    baseline: Images


@dataclass(frozen=True)
class Row:
    """One line of the table; seconds are for a whole map."""

    what: str
    model: str
    image_size: int
    patch: int
    stride: int
    windows: int
    our_seconds: float
    naive_seconds: float
    batch: int
    speed_up: float
    unchanged: float
    difference: float
    bound: float


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="squeezenet1_1", choices=(*RECIPES, *TORCH_MODELS))
    parser.add_argument("--parts", nargs="+", default=["patch", "stride", "few", "size"], help="(default: all four)")
    parser.add_argument("--budget", type=float, default=120, help="skip rows of more own seconds (default %(default)s)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    threads = threads_available()
    print(f"{cpu_description()}; {threads} threads; onnxruntime {onnxruntime.__version__}\n")
    print("| | model | image | patch | stride | windows | ours, s | naive, s | batch | speed-up | changes nothing |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    rows, notes = [], []
    with tempfile.TemporaryDirectory() as folder:
        for found in _rows(options.model, options.parts, Path(folder), threads, options.budget):
            if isinstance(found, str):
                notes.append(found)
                continue
            rows.append(found)
            notes += _warnings(found)
            print(
                f"| {found.what} | {found.model} | {found.image_size} | {found.patch} | {found.stride} "
                f"| {found.windows} | {found.our_seconds:.2f} | {found.naive_seconds:.1f} | {found.batch} "
                f"| {found.speed_up:.1f} x | {100 * found.unchanged:.0f} % |",
                flush=True,
            )
    print("", *notes, sep="\n")
    if options.json:
        versions = {"onnxruntime": onnxruntime.__version__, "python": platform.python_version()}
        about = {"machine": cpu_description(), "threads": threads, **versions, "date": time.strftime("%Y-%m-%d")}
        content = {**about, "rows": [asdict(row) for row in rows], "notes": notes}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _rows(model: str, parts: list[str], folder: Path, threads: int, budget: float) -> Iterator[Row | str]:
    """Rows, or for a skipped one the line that says why."""
    if {"patch", "stride", "few"} & set(parts):
        network = _manifest_or_torch(model, folder, threads)
        height, width = network.session.image_size
        settings = [("patch size", patch, 4) for patch in PATCHES if "patch" in parts]
        settings += [("stride", 16, stride) for stride in STRIDES if "stride" in parts]
        if "few" in parts:
            settings.append((f"{SIDE} x {SIDE} windows", 16, _step(max(height, width), SIDE)))
        for what, patch, stride in settings:
            yield _measure(network, what, patch, stride, threads, budget)
    for size in IMAGE_SIZES if "size" in parts else ():
        yield _measure(_resnet18(size, folder, threads), "image size", 16, 4, threads, budget)


def _measure(network: Network, what: str, patch: int, stride: int, threads: int, budget: float) -> Row | str:
    session = network.session
    windows = len(occlusion_grid(session.image_size, (patch, patch), (stride, stride)))
    size = max(session.image_size)
    seconds = _estimate(network, patch, _step(size, SCOUT_SIDE, patch)) * windows
    if seconds > budget:
        return (
            f"Skipped: {what}, {network.name} at {size}, patch {patch}, stride {stride}: {windows} windows would take "
            f"us about {seconds:.0f} s, more than --budget {budget:.0f}."
        )
    result = paired(
        session,
        network.original,
        network.image,
        network.baseline,
        threads=threads,
        patch_size=patch,
        stride=stride,
        repeats=1,
    )
    return Row(
        what=what,
        model=network.name,
        image_size=size,
        patch=patch,
        stride=stride,
        windows=windows,
        our_seconds=result.our_seconds[0],
        naive_seconds=sum(result.naive_seconds) / len(result.naive_seconds),
        batch=result.probe.batch,
        speed_up=result.ratios[0],
        unchanged=1 - result.changed,
        difference=result.largest_difference,
        bound=result.bound,
    )


def _estimate(network: Network, patch: int, stride: int) -> float:
    """Our seconds a window, from a coarse map; it also warms the session up and packs its weights."""
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        explanation = network.session.explain(network.image, patch_size=patch, stride=stride, baseline=network.baseline)
        seconds = (time.perf_counter() - began) / len(explanation.boxes)
    return seconds


def _step(size: int, side: int, patch: int = 16) -> int:
    """The stride that puts ``side`` windows along ``size`` pixels."""
    return -(-(size - patch) // (side - 1))


def _warnings(row: Row) -> list[str]:
    where = f"{row.what}, {row.model} at {row.image_size}, patch {row.patch}, stride {row.stride}"
    lines = []
    if row.speed_up < WARN_BELOW:
        lines.append(f"WARNING: {where}: {row.speed_up:.2f} x, slower than naive onnxruntime.")
    if row.difference > row.bound:
        lines.append(f"WARNING: {where}: difference {row.difference:.1e} is above the bound {row.bound:.1e}.")
    return lines


def _manifest_or_torch(name: str, folder: Path, threads: int) -> Network:
    chosen = subject(name)
    return Network(name, chosen.path, _open(chosen.path, folder, threads), chosen.image, chosen.baseline)


def _resnet18(size: int, folder: Path, threads: int) -> Network:
    """ResNet18 for another image size; models/export.py knows one size a network."""
    import torch

    from models.torch_models import build

    path = folder / f"resnet18-{size}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter warns that it is old
        torch.onnx.export(
            build("resnet18"),
            (torch.zeros(1, 3, size, size),),
            path,
            input_names=["input"],
            output_names=["output"],
            opset_version=17,
            dynamo=False,
            dynamic_axes={"input": {0: "N"}, "output": {0: "N"}},
        )
    recipe = PRESETS["imagenet"]
    image = prepare(fetch("photo_sample"), recipe, (size, size)).tensor
    return Network("resnet18", path, _open(path, folder, threads), image, baseline_input("black", recipe, (size, size)))


def _open(original: Path, folder: Path, threads: int) -> OcclusionSession:
    compiled = folder / f"{original.stem}.krypton.onnx"
    compile(original, compiled)
    return OcclusionSession(compiled, threads=threads)


if __name__ == "__main__":
    sys.exit(main())
