"""``python -m benchmarks.maps.core``: whole maps, patch 16, stride 4, against naive onnxruntime, paired.

The tumour VGG16 on every MRI of the data folder and the ImageNet models on every photograph (without the folder, on one
picture), black and gray patch; networks with random weights on a textured picture. Prints a line each, the limit of
benchmarks/lib/limits.py and the share of it that was reached included, and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.lib.limits import measure_limit
from benchmarks.lib.naive import PROVIDERS, Probe, cpu_description, gpu_description, threads_available
from benchmarks.lib.paired import paired
from krypton_compile import compile
from krypton_compile.contract.schemas import PRECISIONS
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.inputs.prepare import baseline_input
from models.fetch import fetch
from models.preprocess import LAYOUTS, RECIPES, SIZES, load

PICTURES = 12
MODELS = ("vgg16_tumour", "squeezenet1_1", "efficientnet_lite0", "resnet18", "inception_v3", "mobilenet_v2")


@dataclass(frozen=True)
class Case:
    """One map to make: a model's input and the occluder, by the names they are reported under."""

    label: str
    patch: str
    image: np.ndarray
    baseline: np.ndarray


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KRYPTON_DATA", "data")))
    parser.add_argument("--device", choices=PROVIDERS, default="cpu", help="of both sides (default %(default)s)")
    parser.add_argument("--precision", choices=PRECISIONS, help="of our convolutions (default: exact)")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--repeats", type=int, default=2, help="paired runs an image (default %(default)s)")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="at most, of the folder (default %(default)s)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    threads = threads_available()
    machine = cpu_description() if options.device == "cpu" else f"{gpu_description()}; {cpu_description()}"
    print(f"{machine}; {threads} threads; onnxruntime {ort.__version__}; Python {platform.python_version()}")
    print(f"{'model':18} {'image':16} {'patch':6} {'nothing':>8} {'first':>7} {'second':>7} {'naive':>7}", end="  ")
    print(f"{'speed-up (min-max)':20} {'of limit':14} precision, difference and its bound")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            path, cases = _network(name, options.data, options.pictures)
            compiled = Path(folder) / f"{name}.krypton.onnx"
            compile(path, compiled, target=options.device)
            probe = None
            for case in cases:
                repeats = options.repeats if case.patch == "black" else 1
                row, probe = _measure(name, case, compiled, path, threads, repeats, options, probe)
                rows.append(row)
            chosen = [row["speed_up"] for row in rows if row["model"] == name and row["patch"] == "black"]
            middle = statistics.median(chosen)
            print(f"{name}: median {middle:.1f}x, {min(chosen):.1f} to {max(chosen):.1f} (black patch)", flush=True)
    if options.json:
        about = {"machine": machine, "device": options.device, "threads": threads, "onnxruntime": ort.__version__}
        about["isa"] = os.environ.get("KRYPTON_CPU_ISA", "the widest")
        options.json.write_text(json.dumps({**about, "date": time.strftime("%Y-%m-%d"), "rows": rows}, indent=1) + "\n")
    return 0


def _measure(
    name: str,
    case: Case,
    compiled: Path,
    original: Path,
    threads: int,
    repeats: int,
    options: argparse.Namespace,
    probe: Probe | None,
) -> tuple[dict[str, Any], Probe]:
    # A fresh session: the first call pays for packing weights, and is given beside the second.
    session = OcclusionSession(compiled, PROVIDERS[options.device], threads=threads, precision=options.precision)
    result = paired(
        session,
        original,
        case.image,
        case.baseline,
        threads=threads,
        device=options.device,
        repeats=repeats,
        probe=probe,
    )
    first, second = result.our_seconds[0], result.our_seconds[-1]
    ratios = result.ratios
    middle, naive = statistics.median(ratios), statistics.median(result.naive_seconds)
    limit = measure_limit(compiled, original, case.image, case.baseline)
    row = {
        "model": name,
        "image": case.label,
        "patch": case.patch,
        "unchanged": 1 - result.changed,
        "first_seconds": first,
        "second_seconds": second,
        "naive_seconds": naive,
        "speed_up": middle,
        "ratios": ratios,
        "limit": limit.speed_up,
        "density": limit.density,
        "batch": result.probe.batch,
        "precision": session.precision,
        "error": session.error,
        "largest_difference": result.largest_difference,
        "bound": result.bound,
    }
    times = f"{100 * (1 - result.changed):7.1f}% {first:6.2f}s {second:6.2f}s {naive:6.1f}s"
    speed_up = f"{middle:.1f} ({min(ratios):.1f}-{max(ratios):.1f})"
    of_limit = f"{100 * middle / limit.speed_up:.0f}% of {limit.speed_up:.1f}"
    exact = f"{session.precision}, {result.largest_difference:.1e} of {result.bound:.1e}"
    print(f"{name:18} {case.label:16.16} {case.patch:6} {times}  {speed_up:20} {of_limit:14} {exact}", flush=True)
    return row, result.probe


def _network(name: str, folder: Path, most: int) -> tuple[Path, Iterator[Case]]:
    if name in RECIPES:
        return fetch(name), _pictures(name, folder, most)
    import torch

    from models.export import exported
    from models.torch_models import IMAGE_SIZES, textures

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        image = textures(1, IMAGE_SIZES[name]).numpy()
    return exported(name), iter([Case("texture", "black", image, np.zeros_like(image))])


def _pictures(name: str, folder: Path, most: int) -> Iterator[Case]:
    for path in pictures_of(name, folder, most):
        image = load(name, path)
        for patch in ("black", "gray"):
            layout = LAYOUTS.get(name, "NCHW")
            yield Case(path.stem, patch, image, baseline_input(patch, RECIPES[name], SIZES[name], layout=layout))


def pictures_of(name: str, folder: Path, most: int) -> list[Path]:
    """The data folder's pictures for a model, in order; without the folder, one sample."""
    pictures = folder / ("mri" if name == "vgg16_tumour" else "imagenet")
    paths = sorted(path for path in pictures.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return paths[:most] or [fetch("mri_sample" if name == "vgg16_tumour" else "photo_sample")]


if __name__ == "__main__":
    sys.exit(main())
