"""``python -m benchmarks.core``: whole maps, patch 16, stride 4, against naive onnxruntime, paired.

The tumour VGG16 on every MRI of the data folder and the ImageNet models on every photograph (without the folder, on the
sample slice), black and gray patch; ResNet18 and InceptionV3 with random weights on a textured picture. Prints a line
each and writes JSON.
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
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.naive import cpu_description, threads_available
from benchmarks.paired import paired
from krypton_compile import compile
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.preprocess import baseline_input
from krypton_compile.schemas import PRECISIONS
from models.fetch import fetch
from models.preprocess import LAYOUTS, RECIPES, SIZES, load

# Of the folder's pictures, the first so many.
PICTURES = 12


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KRYPTON_DATA", "data")))
    parser.add_argument("--precision", choices=PRECISIONS, help="of our convolutions (default: exact)")
    parser.add_argument("--models", nargs="+", default=["vgg16_tumour", "resnet18", "inception_v3"])
    parser.add_argument("--repeats", type=int, default=2, help="paired runs an image (default %(default)s)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    threads = threads_available()
    print(f"{cpu_description()}; {threads} threads; onnxruntime {ort.__version__}; Python {platform.python_version()}")
    heads = f"{'model':14} {'image':16} {'patch':6} {'nothing':>8} {'first':>7} {'second':>7} {'naive':>8}"
    print(f"{heads}  speed-up (min-max)")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            path, images = _network(name, options.data)
            compiled = Path(folder) / f"{name}.krypton.onnx"
            compile(path, compiled)
            for label, patch, image, baseline in images:
                repeats = options.repeats if patch == "black" else 1
                rows.append(
                    _measure(name, label, patch, compiled, path, image, baseline, threads, repeats, options.precision)
                )
            chosen = [row["speed_up"] for row in rows if row["model"] == name and row["patch"] == "black"]
            middle = statistics.median(chosen)
            print(f"{name}: median {middle:.1f}x, {min(chosen):.1f} to {max(chosen):.1f} (black patch)", flush=True)
    if options.json:
        about = {"machine": cpu_description(), "threads": threads, "onnxruntime": ort.__version__}
        options.json.write_text(json.dumps({**about, "date": time.strftime("%Y-%m-%d"), "rows": rows}, indent=1) + "\n")
    return 0


def _measure(
    name: str,
    label: str,
    patch: str,
    compiled: Path,
    original: Path,
    image: np.ndarray,
    baseline: np.ndarray,
    threads: int,
    repeats: int,
    precision: str | None,
) -> dict[str, Any]:
    # A fresh session: the first call pays for packing weights, and is given beside the second.
    session = OcclusionSession(compiled, threads=threads, precision=precision)
    result = paired(session, original, image, baseline, threads=threads, repeats=repeats)
    first, second = result.our_seconds[0], result.our_seconds[-1]
    ratios = result.ratios
    middle = statistics.median(ratios)
    row = {
        "model": name,
        "image": label,
        "patch": patch,
        "unchanged": 1 - result.changed,
        "first_seconds": first,
        "second_seconds": second,
        "naive_seconds": statistics.median(result.naive_seconds),
        "speed_up": middle,
        "ratios": ratios,
        "batch": result.probe.batch,
        "precision": session.precision,
        "error": session.error,
        "largest_difference": result.largest_difference,
        "bound": result.bound,
    }
    print(
        f"{name:14} {label:16} {patch:6} {100 * (1 - result.changed):7.1f}% {first:6.2f}s {second:6.2f}s "
        f"{row['naive_seconds']:7.1f}s  {middle:.1f} ({min(ratios):.1f}-{max(ratios):.1f})  "
        f"{session.precision}, difference {result.largest_difference:.1e} of {result.bound:.1e}",
        flush=True,
    )
    return row


def _network(name: str, folder: Path) -> tuple[Path, Iterator[tuple[str, str, np.ndarray, np.ndarray]]]:
    if name in RECIPES:
        return fetch(name), _pictures(name, folder)
    from models.export import exported
    from models.torch_models import IMAGE_SIZES, textures

    image = textures(1, IMAGE_SIZES[name]).numpy()
    return exported(name), iter([("texture", "black", image, np.zeros_like(image))])


def _pictures(name: str, folder: Path) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    pictures = folder / ("mri" if name == "vgg16_tumour" else "imagenet")
    paths = sorted(path for path in pictures.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    for path in paths[:PICTURES] or [fetch("mri_sample" if name == "vgg16_tumour" else "photo_sample")]:
        image = load(name, path)
        for patch in ("black", "gray"):
            layout = LAYOUTS.get(name, "NCHW")
            yield path.stem, patch, image, baseline_input(patch, RECIPES[name], SIZES[name], layout=layout)


if __name__ == "__main__":
    sys.exit(main())
