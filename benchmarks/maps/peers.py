"""``python -m benchmarks.maps.peers``: a whole map against other CPU runtimes, patch 16, stride 4, black, one picture.

The peers: onnxruntime, OpenVINO in float32 and bfloat16, torch in channels_last, and Captum's Occlusion on that torch
model, each at its own best batch size; ours is exact, but in bfloat16 too against a peer's bfloat16. A peer's block is
a sample of the real windows, extrapolated to all of them; ours is a whole map. Blocks are interleaved,
O0 P1 O1 P2 O2 ..., and ratio_i = P_i / ((O_{i-1} + O_i) / 2).
"""

from __future__ import annotations

import argparse
import contextlib
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lib.naive import PROBE_IMAGES, NaiveModel, cpu_description, threads_available
from benchmarks.lib.paired import SAMPLE
from krypton_compile import compile
from krypton_compile.contract.geometry import Boxes, occlusion_grid
from krypton_compile.contract.occlude import occlude
from krypton_compile.contract.preprocessing import PRESETS
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.inputs.prepare import baseline_input, prepare
from models.fetch import MANIFEST, fetch
from models.preprocess import LAYOUTS, RECIPES, SIZES

Images = npt.NDArray[np.float32]

PATCH, STRIDE = 16, 4
PACKAGES = ("onnxruntime", "openvino", "torch", "captum", "numpy")
# Networks with random weights; the file is exported from the torch model, so torch runs the same one.
TORCH_MODELS = ("vgg16", "resnet18", "inception_v3", "mobilenet_v2")


@dataclass(frozen=True)
class Subject:
    """One model and one real picture as its input, with the black occluder; ``torch_name`` where torch has it too."""

    name: str
    path: Path
    image: Images
    baseline: Images
    layout: str
    torch_name: str | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.image.shape[1:3] if self.layout == "NHWC" else self.image.shape[2:4]
        return height, width


@dataclass(frozen=True)
class Windows:
    """The sample that the peers run, occluded beforehand, and what onnxruntime scores it."""

    subject: Subject
    images: Images
    total: int
    batches: tuple[int, ...]
    scores: Images
    threads: int


@dataclass(frozen=True)
class Ran:
    """Seconds for ``count`` windows, and their scores where the peer gives them."""

    seconds: float
    count: int
    scores: Images | None = None


# At least so many windows in batches of that size.
Run = Callable[[int, int], Ran]


@dataclass(frozen=True)
class Peer:
    """One way to run the windows; ``ways`` are its settings, by name, of which the fastest is measured."""

    name: str
    ways: dict[str, Run]
    note: str = ""
    precision: str | None = None


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


def subject(name: str) -> Subject:
    """The model ``name`` of the manifest or of models/torch_models.py, with a photograph or a brain slice."""
    if name in RECIPES:
        recipe, size, layout, path = RECIPES[name], SIZES[name], LAYOUTS[name], fetch(name)
    else:
        from models.export import exported
        from models.torch_models import IMAGE_SIZES

        recipe, size, layout, path = PRESETS["imagenet"], (IMAGE_SIZES[name],) * 2, "NCHW", exported(name)
    # The brain tumour network is the one with class labels of its own.
    picture = fetch("mri_sample" if "labels" in MANIFEST.get(name, {}) else "photo_sample")
    image = prepare(picture, recipe, size, layout=layout).tensor
    baseline = baseline_input("black", recipe, size, layout=layout)
    return Subject(name, path, image, baseline, layout, None if name in RECIPES else name)


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
    for peer in _peers(naive, windows):
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


def _peers(naive: NaiveModel, windows: Windows) -> Iterator[Peer]:
    yield Peer("onnxruntime", {"": functools.partial(_run_onnxruntime, naive, windows)})
    if _installed("openvino", "OpenVINO"):
        for precision in ("f32", "bf16"):
            own = "bfloat16" if precision == "bf16" else None
            note = "ours in bfloat16 too, where the processor has matrix tiles for it" if own else ""
            yield Peer(f"OpenVINO {precision}", _openvino(windows, precision), note, own)
    if windows.subject.torch_name is None:
        print("torch, Captum: skipped, this model is only an ONNX file")
        return
    if not _installed("torch", "torch"):
        return
    model = _torch_model(windows)
    yield Peer("torch", {"": functools.partial(_run_torch, model, windows)}, "channels_last, eager")
    if _installed("captum", "Captum"):
        note = f"the first windows in Captum's own order at stride {STRIDE}, then stopped"
        yield Peer("Captum", {"": functools.partial(_run_captum, model, windows)}, note)


def _run_onnxruntime(naive: NaiveModel, windows: Windows, batch: int, count: int) -> Ran:
    seconds, outputs = naive.run(windows.images[:count], batch)
    return Ran(seconds, min(count, len(windows.images)), outputs[0])


def _openvino(windows: Windows, precision: str) -> dict[str, Run]:
    """OpenVINO's two ways: one request on all threads, or a stream a thread with as many requests in flight."""
    ov: Any = importlib.import_module("openvino")
    core = ov.Core()

    @functools.cache
    def compiled(hint: str, batch: int) -> Any:
        model = core.read_model(str(windows.subject.path))
        # A fixed batch size lets OpenVINO plan memory and choose kernels.
        model.reshape([batch, *windows.images.shape[1:]])
        properties = {
            "PERFORMANCE_HINT": hint,
            "INFERENCE_NUM_THREADS": windows.threads,
            "INFERENCE_PRECISION_HINT": precision,
        }
        return core.compile_model(model, "CPU", properties)

    def run(hint: str, batch: int, count: int) -> Ran:
        images = windows.images[:count]
        images = images[: len(images) // batch * batch]
        network = compiled(hint, batch)
        queue = ov.AsyncInferQueue(network, 1 if hint == "LATENCY" else 0)
        scores = np.zeros((len(images), *windows.scores.shape[1:]), np.float32)

        def keep(request: Any, start: int) -> None:
            scores[start : start + batch] = request.get_output_tensor(0).data

        queue.set_callback(keep)
        began = time.perf_counter()
        for start in range(0, len(images), batch):
            queue.start_async({0: images[start : start + batch]}, start, share_inputs=True)
        queue.wait_all()
        return Ran(time.perf_counter() - began, len(images), scores)

    return {hint.lower(): functools.partial(run, hint) for hint in ("LATENCY", "THROUGHPUT")}


def _torch_model(windows: Windows) -> Any:
    import torch

    from models.torch_models import build

    torch.set_num_threads(windows.threads)
    assert windows.subject.torch_name is not None
    model: Any = build(windows.subject.torch_name)
    return model.to(memory_format=torch.channels_last)


def _run_torch(model: Any, windows: Windows, batch: int, count: int) -> Ran:
    import torch

    seconds, parts = 0.0, []
    images = torch.from_numpy(windows.images[:count])
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            pixels = images[start : start + batch].contiguous(memory_format=torch.channels_last)
            began = time.perf_counter()
            parts.append(model(pixels))
            seconds += time.perf_counter() - began
    return Ran(seconds, len(images), torch.cat(parts).numpy())


class _EnoughError(Exception):
    """Raised out of Captum."""


def _run_captum(model: Any, windows: Windows, batch: int, count: int) -> Ran:
    """Captum has no way to occlude a part of the grid, so its forward function ends it.

    The clock runs from the entry of one forward pass to the entry of a later one: as much of Captum's own work
    on masks and sums lies in between as of the network's. The unoccluded image, which comes first, is left out.
    """
    import torch

    occlusion: Any = importlib.import_module("captum.attr").Occlusion
    entered: list[float] = []
    done = 0

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        nonlocal done
        entered.append(time.perf_counter())
        if done >= count:
            raise _EnoughError
        if len(entered) > 1:
            done += len(pixels)
        scores: torch.Tensor = model(pixels)
        return scores

    image, baseline = (torch.from_numpy(array) for array in (windows.subject.image, windows.subject.baseline))
    with torch.inference_mode(), contextlib.suppress(_EnoughError):
        occlusion(forward).attribute(
            image.contiguous(memory_format=torch.channels_last),
            sliding_window_shapes=(image.shape[1], PATCH, PATCH),
            strides=(image.shape[1], STRIDE, STRIDE),
            baselines=baseline,
            target=int(windows.scores[0].argmax()),
            perturbations_per_eval=batch,
        )
    return Ran(entered[-1] - entered[1], done)


def _sample(chosen: Subject, boxes: Boxes, sample: int) -> Images:
    """The windows that ``paired`` would draw."""
    rows = np.sort(np.random.default_rng(0).permutation(len(boxes))[:sample])
    return occlude(chosen.image, boxes[rows], chosen.baseline, chosen.layout)


def _difference(scores: Images, expected: Images) -> float:
    """The largest difference, in units of the largest score."""
    rows = expected[: len(scores)]
    return float(np.abs(scores.reshape(rows.shape) - rows).max() / np.abs(rows).max())


def _installed(package: str, name: str) -> bool:
    if importlib.util.find_spec(package) is not None:
        return True
    print(f"{name}: skipped, not installed; pip install {package}")
    return False


def _version(package: str) -> str | None:
    return importlib.metadata.version(package) if importlib.util.find_spec(package) is not None else None


if __name__ == "__main__":
    sys.exit(main())
