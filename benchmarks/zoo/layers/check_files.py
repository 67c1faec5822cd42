"""Compile the files of a folder, and compare every score with onnxruntime's on the really occluded image.

What is known of a file is a :class:`Checked`; ``used`` is in units of the bound, at most 1 is exact (zoo/check.py).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnxruntime

from benchmarks.zoo.check import BOUND, dense_causes
from benchmarks.zoo.layers.export_files import File
from krypton_compile import Report, compile
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.occlude import occlude
from krypton_compile.passes.lower.reasons import NO_RULE
from krypton_compile.runtime import OcclusionSession

_WINDOWS = 8
_SPREAD = 100


@dataclass(frozen=True)
class Checked:
    """A layer's file: what of it is incremental, by how much it is off, why it is dense or has no result."""

    layer: str
    axes: int
    exporter: str
    share: float = 0.0
    used: float = math.nan
    reason: str = ""
    failure: str = ""

    @property
    def good(self) -> bool:
        """Incremental from end to end, and exact."""
        return not self.failure and self.share > 1 - 1e-9 and self.used <= 1


def check_folder(folder: Path, say: Callable[[str], None]) -> list[Checked]:
    """Check all files that export_files wrote there, in its order."""
    lines = (folder / "files.jsonl").read_text("utf-8").splitlines()
    found = []
    for line in lines:
        file = File(**json.loads(line))
        checked = _check(file, folder)
        say(f"{'   ' if checked.good else 'NO '}{describe(checked)}")
        found.append(checked)
    return found


def describe(checked: Checked) -> str:
    """Write a line for the terminal."""
    head = f"{checked.axes}-D {checked.layer:36s} {checked.exporter:24s}"
    if checked.failure:
        return f"{head} {checked.failure}"
    exact = "exact" if checked.used <= 1 else f"OFF by {checked.used:.3g} bounds"
    return f"{head} {100 * checked.share:5.1f} % {exact} {checked.reason}"


def without_paths(text: str) -> str:
    """The text without the paths of the machine at hand."""
    return re.sub(r"(?<![\w.])/[\w.+-]+(/[\w.+-]+)+", "...", text)


def _check(file: File, folder: Path) -> Checked:
    known = file.layer, file.axes, file.exporter
    if file.failure:
        return Checked(*known, failure=f"no export: {without_paths(file.failure)}")
    try:
        _open(folder / file.path)
    except Exception as error:  # onnxruntime's exceptions have no common base
        reason = without_paths(" ".join(str(error).split()))
        return Checked(*known, failure=f"no export: onnxruntime does not run it: {reason[:300]}")
    try:
        with TemporaryDirectory() as work:
            compiled = Path(work) / "compiled.onnx"
            _, report = compile(folder / file.path, compiled, verify=False)
            used, spread = _measure(folder / file.path, compiled)
    except Exception as error:  # whatever breaks is the row's result
        return Checked(*known, failure=f"{type(error).__name__}: {' '.join(str(error).split())}")
    failure = "" if spread > _SPREAD else "its scores do not move with the windows"
    return Checked(*known, report.incremental_share, used, _reason(report), failure)


def _reason(report: Report) -> str:
    """Why not all is incremental: what depends on the whole map, else the first op without a rule."""
    whole = [layer.op for layer in report.layers if layer.became == "dense" and layer.op in NO_RULE]
    causes = [f"{cause.op}: {cause.reason}" for cause in dense_causes(report) if cause.reason]
    return next((f"{op}: {NO_RULE[op]}" for op in whole), causes[0] if causes else "")


def _measure(original: Path, compiled: Path) -> tuple[float, float]:
    """The largest difference in units of the bound, and how many bounds the scores spread by."""
    session = OcclusionSession(compiled, precision="float32", threads=1)
    rng = np.random.default_rng(1)
    image = rng.standard_normal(session.image_shape).astype(np.float32)
    boxes = _windows(session.spatial, rng)
    found = session.score_boxes(image, boxes, 0.0)
    expected = _naive(original, occlude(image, boxes, 0.0, session.layout))
    scale = np.maximum(np.abs(expected).max(axis=1, keepdims=True), np.abs(expected).max(axis=1).mean())
    spread = np.ptp(expected, axis=0).max() / (BOUND * scale.max())
    return float((np.abs(found - expected) / (BOUND * scale)).max()), float(spread)


def _windows(size: tuple[int, ...], rng: np.random.Generator) -> Boxes:
    """Windows of a third of each side and less; the first two in corners."""
    extents = [[max(1, side // 3) for side in size]] * 2
    starts = [[0] * len(size), [side - extent for side, extent in zip(size, extents[0], strict=True)]]
    while len(starts) < _WINDOWS:
        extents.append([int(rng.integers(1, max(2, side // 3))) for side in size])
        starts.append([int(rng.integers(0, s - e + 1)) for s, e in zip(size, extents[-1], strict=True)])
    return np.hstack([starts, extents]).astype(np.int32)


def _naive(path: Path, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = _open(path)
    name = session.get_inputs()[0].name
    rows: list[npt.NDArray[np.float32]] = [session.run(None, {name: image[None]})[0].reshape(-1) for image in images]
    return np.stack(rows)


def _open(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
