"""Compiles an entry's file and checks it: every score against onnxruntime on the really occluded image.

    used = max over boxes of |found - expected| / (1e-5 * max |logit|)           at most 1 is exact

The same quotient between two optimisation levels of onnxruntime itself tells what rounding alone does to the network,
and the spread of the scores in tolerances that the check is one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from krypton_compile import Report, compile
from krypton_compile.contract.geometry import Boxes
from krypton_compile.runtime import OcclusionSession
from models.zoo.pictures import hidden

Images = npt.NDArray[np.float32]

BOUND = 1e-5
"""DESIGN section 10: of max |logit|, the base's or the position's own."""
SPREAD = 100
"""Scores must spread over positions by this many tolerances, or exactness would be no test."""
_FEW = 4
_CONSEQUENCES = ("its input is dense", "class vector, no spatial axes left")


@dataclass(frozen=True)
class DenseCause:
    """``count`` nodes of an op, dense for one reason; ``behind`` of all multiply-adds are dense from the first on."""

    op: str
    reason: str
    first: str
    count: int
    behind: float


@dataclass(frozen=True)
class Checked:
    """What is known without measuring; ``used`` and ``rounding`` in units of the bound, ``spread`` in tolerances."""

    compile_seconds: float
    multiply_adds: int
    share: float
    redundancy_paper: float
    redundancy_overlap: float
    boxes: int
    used: float
    rounding: float
    spread: float
    dense: list[DenseCause] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Within the bound, and the scores spread."""
        return self.used <= 1 and self.spread > SPREAD


def check(path: Path, compiled: Path, image: Images, boxes: int = 20, **options: Any) -> Checked:
    """Compiles ``path`` to ``compiled`` and runs that many random boxes, zeros in them, on ``image`` [1, ...].

    ``options`` are those of :func:`krypton_compile.compile`; unless told otherwise it does not verify.
    """
    began = time.perf_counter()
    _, report = compile(path, compiled, **{"verify": False, **options})
    seconds = time.perf_counter() - began
    session = OcclusionSession(compiled, precision="float32")
    chosen = random_boxes(session.spatial, np.random.default_rng(1), boxes)
    found = session.run(image, chosen)
    ours, base = found.scores, found.base_scores
    windows = hidden(image, chosen)
    expected = _naive(path, windows, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    plain = _naive(path, windows[:_FEW], onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    tolerance = BOUND * float(np.abs(base).max())
    return Checked(
        seconds,
        sum(layer.multiply_adds for layer in report.layers),
        report.incremental_share,
        report.redundancy_paper,
        report.redundancy_overlap,
        boxes,
        _used(ours, expected, base),
        _used(plain, expected[:_FEW], base),
        float((expected.max(axis=0) - expected.min(axis=0)).max()) / tolerance,
        dense_causes(report),
    )


def dense_causes(report: Report) -> list[DenseCause]:
    """Nodes that made the model dense, grouped; not those that only follow them."""
    found: dict[tuple[str, str], DenseCause] = {}
    whole = max(1, sum(layer.multiply_adds for layer in report.layers))
    behind = sum(layer.multiply_adds for layer in report.layers if layer.became == "dense")
    for layer in report.layers:
        if layer.became != "dense":
            continue
        key = (layer.op, layer.reason)
        if layer.reason not in _CONSEQUENCES:
            first = found.get(key, DenseCause(*key, layer.name, 0, behind / whole))
            found[key] = DenseCause(*key, first.first, first.count + 1, first.behind)
        behind -= layer.multiply_adds
    return list(found.values())


def random_boxes(size: Sequence[int], rng: np.random.Generator, count: int) -> Boxes:
    """Patches of 4 to 32 points a side anywhere, borders too; the first in a corner, the second half of the image.

    Not all of it: maps that are constant but for rounding are noise after a GroupNormalization.
    """
    starts, sizes = [[0] * len(size)] * 2, [[min(16, side) for side in size], [*size[:-1], size[-1] // 2]]
    while len(starts) < count:
        sizes.append(
            [min(int(wanted), side) for wanted, side in zip(rng.integers(4, 33, len(size)), size, strict=True)]
        )
        starts.append([int(rng.integers(0, side - taken + 1)) for side, taken in zip(size, sizes[-1], strict=True)])
    return np.hstack([starts, sizes]).astype(np.int32)


def _naive(path: Path, images: Images, level: onnxruntime.GraphOptimizationLevel) -> Images:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: image[None]})[0] for image in images]  # exports may know no other batch
    return np.concatenate(parts).reshape(len(images), -1)


def _used(found: Images, expected: Images, base: Images) -> float:
    scale = np.maximum(np.abs(expected).max(axis=1), np.abs(base).max())
    return float((np.abs(found - expected).max(axis=1) / (BOUND * scale)).max())
