"""``python -m benchmarks.maps.peers``: a whole map against other CPU runtimes, patch 16, stride 4, black, one picture.

The peers: onnxruntime, OpenVINO in float32 and bfloat16, torch in channels_last, and Captum's Occlusion on that torch
model, each at its own best batch size; ours is exact, but in bfloat16 too against a peer's bfloat16. A peer's block is
a sample of the real windows, extrapolated to all of them; ours is a whole map. Blocks are interleaved,
O0 P1 O1 P2 O2 ..., and ratio_i = P_i / ((O_{i-1} + O_i) / 2).
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.metadata
import importlib.util
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lib.naive import PROBE_IMAGES, NaiveModel, cpu_description, threads_available
from benchmarks.lib.paired import SAMPLE
from benchmarks.lib.subjects import PATCH, STRIDE, TORCH_MODELS, Subject, subject
from benchmarks.maps.peer_runtimes import Peer, Windows, find_peers
from krypton_compile import compile
from krypton_compile.contract.geometry import Boxes, occlusion_grid
from krypton_compile.contract.occlude import occlude
from krypton_compile.runtime import OcclusionSession
from models.preprocess import RECIPES

Images = npt.NDArray[np.float32]

PACKAGES = ("onnxruntime", "openvino", "torch", "captum", "numpy")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = (*RECIPES, *TORCH_MODELS)
    parser.add_argument("--models", nargs="+", default=["squeezenet1_1", "vgg16_tumour", "resnet18"], choices=known)
    parser.add_argument("--repeats", type=int, default=3, help="paired blocks a peer (default %(default)s)")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="windows a peer's block (default %(default)s)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    threads = threads_available()
    versions = {name: version for name in PACKAGES if (version := _version(name))}
    about = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"{cpu_description()}; {threads} threads for all; {about}; Python {platform.python_version()}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            rows += _measure(subject(name), Path(folder), threads, options.repeats, options.sample)
    if options.json:
        machine = {"machine": cpu_description(), "threads": threads, "versions": versions}
        content = {**machine, "date": time.strftime("%Y-%m-%d"), "patch": PATCH, "stride": STRIDE, "rows": rows}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _measure(chosen: Subject, folder: Path, threads: int, repeats: int, sample: int) -> list[dict[str, Any]]:
    compiled = folder / f"{chosen.name}.krypton.onnx"
    compile(chosen.path, compiled)
    sessions = {
        precision: OcclusionSession(compiled, threads=threads, precision=precision) for precision in (None, "bfloat16")
    }
    session = sessions[None]

    def ours(precision: str | None = None) -> float:
        start = time.perf_counter()
        used = sessions[precision]
        used.explain(chosen.image, patch_size=PATCH, stride=STRIDE, baseline=chosen.baseline).heatmap()
        return time.perf_counter() - start

    boxes = occlusion_grid(session.image_size, (PATCH, PATCH), (STRIDE, STRIDE))
    naive = NaiveModel(chosen.path, threads)
    images = _sample(chosen, boxes, sample)
    # What onnxruntime lacks memory for is not tried with the others either.
    probe = naive.probe(images)
    scores = naive.run(images, probe.batch)[1][0]
    windows = Windows(chosen, images, len(boxes), tuple(probe.rates), scores, threads)
    first = ours()
    print(
        f"\n{chosen.name}: {len(boxes)} windows; ours {first:.2f} s at the first call; peers on {len(images)} windows"
    )
    print(f"{'peer':16} {'best':22} {'peer':>9} {'ours':>8}  ratio (min-max)  difference")
    rows = []
    for peer in find_peers(naive, windows):
        # A peer that fails says so and does not cost us the others.
        try:
            rows.append(_against(peer, windows, functools.partial(ours, peer.precision), repeats))
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            print(f"{peer.name}: failed, {type(error).__name__}: {reason}", flush=True)
    return rows


def _against(peer: Peer, windows: Windows, ours: Callable[[], float], repeats: int) -> dict[str, Any]:
    """Finds the peer's best batch, then interleaves blocks of it with whole maps of ours."""
    rates: dict[tuple[str, int], float] = {}
    for way, run in peer.ways.items():
        for batch in windows.batches:
            run(batch, batch)
            tried = run(batch, max(batch, PROBE_IMAGES))
            rates[way, batch] = tried.count / tried.seconds
    way, batch = max(rates, key=rates.__getitem__)
    run = peer.ways[way]
    run(batch, batch)
    mine, theirs, scores = [ours()], [], None
    for _ in range(repeats):
        ran = run(batch, len(windows.images))
        theirs.append(ran.seconds * windows.total / ran.count)
        mine.append(ours())
        scores = ran.scores
    ratios = [2 * block / (before + after) for block, before, after in zip(theirs, mine, mine[1:], strict=False)]
    difference = None if scores is None else _difference(scores, windows.scores)
    middle, seconds, our_seconds = (statistics.median(numbers) for numbers in (ratios, theirs, mine))
    best = f"batch {batch}{f', {way}' if way else ''}"
    compared = "-" if difference is None else f"{difference:.1e}"
    print(
        f"{peer.name:16} {best:22} {seconds:8.2f}s {our_seconds:7.2f}s  "
        f"{middle:.1f} ({min(ratios):.1f}-{max(ratios):.1f})  {compared:10}  {peer.note}".rstrip(),
        flush=True,
    )
    return {
        "model": windows.subject.name,
        "peer": peer.name,
        "way": way,
        "batch": batch,
        "rates": {f"{name or 'batch'} {size}": rate for (name, size), rate in rates.items()},
        "peer_seconds": theirs,
        "our_seconds": mine,
        "ratios": ratios,
        "ratio": middle,
        "difference": difference,
        "note": peer.note,
        "our_precision": peer.precision or "exact",
    }


def _sample(chosen: Subject, boxes: Boxes, sample: int) -> Images:
    """The windows that ``paired`` would draw."""
    rows = np.sort(np.random.default_rng(0).permutation(len(boxes))[:sample])
    return occlude(chosen.image, boxes[rows], chosen.baseline, chosen.layout)


def _difference(scores: Images, expected: Images) -> float:
    """The largest difference, in units of the largest score."""
    rows = expected[: len(scores)]
    return float(np.abs(scores.reshape(rows.shape) - rows).max() / np.abs(rows).max())


def _version(package: str) -> str | None:
    return importlib.metadata.version(package) if importlib.util.find_spec(package) is not None else None


if __name__ == "__main__":
    sys.exit(main())
