"""The peers of benchmarks.maps.peers: each runs a sample of really occluded windows at some batch size."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lib.naive import NaiveModel
from benchmarks.lib.subjects import PATCH, STRIDE, Subject

Images = npt.NDArray[np.float32]


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


def find_peers(naive: NaiveModel, windows: Windows) -> Iterator[Peer]:
    """Yield the peers that are installed and know the subject's model; the others are named as skipped."""
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


def _installed(package: str, name: str) -> bool:
    if importlib.util.find_spec(package) is not None:
        return True
    print(f"{name}: skipped, not installed; pip install {package}")
    return False
