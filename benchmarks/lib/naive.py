"""The peer of every benchmark: onnxruntime on really occluded images, as fast as it goes without us.

Default session options but for the thread count, at the batch size that a probe on the real
windows finds best. Only ``run`` is ever timed: cutting windows into the images costs nothing here.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from krypton_compile.runtime.sweep.original_model import logits_name

Images = npt.NDArray[np.float32]
Boxes = npt.NDArray[np.int32]

BATCHES = (1, 4, 16, 64)
PROVIDERS: dict[str, list[str | tuple[str, dict[str, str]]]] = {
    "cpu": ["CPUExecutionProvider"],
    # In float32, or there would be nothing to compare: the provider's default is TF32.
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
}
# A batch is timed over at least this many images, or small batches would be judged on a few milliseconds.
PROBE_IMAGES = 8


@dataclass(frozen=True)
class Probe:
    """Images per second at each batch size tried, and those left out for lack of memory."""

    rates: dict[int, float]
    skipped: tuple[int, ...] = ()

    @property
    def batch(self) -> int:
        """The best batch size."""
        return max(self.rates, key=self.rates.__getitem__)


class NaiveModel:
    """The original model in onnxruntime: scores, and the logits too where it ends in Softmax or Sigmoid."""

    def __init__(self, path: str | Path, threads: int, device: str = "cpu") -> None:
        model = onnx.load(str(path))
        scores = model.graph.output[0].name
        logits = logits_name(model)
        if logits is not None:
            # One more output of a few numbers an image; onnxruntime's optimisation and time stay the same.
            model.graph.output.append(onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None))
        self.has_logits = logits is not None
        self.outputs = [scores] if logits is None else [scores, logits]
        self._serialized, self._threads, self._device = model.SerializeToString(), threads, device
        self._session = self._open()
        image = self._session.get_inputs()[0]
        self.image_name = image.name
        self.batches = (image.shape[0],) if isinstance(image.shape[0], int) else BATCHES

    def run(self, images: Images, batch: int) -> tuple[float, list[Images]]:
        """Seconds in ``run`` for all images in batches, and the outputs."""
        seconds, parts = 0.0, []
        for start in range(0, len(images), batch):
            feed = {self.image_name: images[start : start + batch]}
            began = time.perf_counter()
            parts.append(self._session.run(self.outputs, feed))
            seconds += time.perf_counter() - began
        return seconds, [np.concatenate(column) for column in zip(*parts, strict=True)]

    def probe(self, windows: Images) -> Probe:
        """Find the best batch size: each is warmed up with one batch, then timed on a few of the windows."""
        rates: dict[int, float] = {}
        skipped = []
        before, last, growth = memory_held(), 0, 0
        for batch in self.batches:
            if last and growth * (batch - last) > _memory_free() * last:
                skipped.append(batch)
                continue
            self.run(windows[:batch], batch)
            images = windows[: max(batch, PROBE_IMAGES)]
            rates[batch] = len(images) / self.run(images, batch)[0]
            last, growth = batch, memory_held() - before
        self._session = self._open()  # drops what the largest batch allocated
        return Probe(rates, tuple(skipped))

    def _open(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        return onnxruntime.InferenceSession(self._serialized, options, providers=PROVIDERS[self._device])


def threads_available() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_description() -> str:
    """The processor's name and which of the instruction sets that matter here it has."""
    name = _field("/proc/cpuinfo", "model name") or "unknown processor"
    flags = _field("/proc/cpuinfo", "flags").split()
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "amx_tile": "AMX"}
    return f"{name}, {threads_available()} cores, {' '.join(known[f] for f in known if f in flags) or 'no AVX2'}"


def gpu_description() -> str:
    """What nvidia-smi says of the GPU."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def memory_held() -> int:
    """KiB of this process in memory; onnxruntime keeps what its largest run needed."""
    return int(_field("/proc/self/status", "VmRSS").split()[0])


def memory_peak() -> int:
    """KiB of this process in memory when it was largest."""
    return int(_field("/proc/self/status", "VmHWM").split()[0])


def _memory_free() -> int:
    """KiB that may still be used without swapping."""
    return int(_field("/proc/meminfo", "MemAvailable").split()[0])


def _field(path: str, name: str) -> str:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
