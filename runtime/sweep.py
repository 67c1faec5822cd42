"""One image's grid of windows: planned, scored part by part, and made into an explanation at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from krypton_compile import geometry
from krypton_compile.errors import OcclusionError
from krypton_compile.geometry import Boxes
from krypton_compile.runtime import checks
from krypton_compile.runtime.approximation import Approximation
from krypton_compile.runtime.explanation import Explanation, overlap

if TYPE_CHECKING:
    from krypton_compile.runtime.engine import PreparedImage
    from krypton_compile.runtime.session import OcclusionSession

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Progress = Callable[[int, int], None]
Fill = Callable[[Array], Array]


@dataclass
class Sweep:
    """What is known of the windows so far. ``scores`` [rows, columns, K'] hold the base scores where nothing is.

    Windows that change no pixel (``unchanged``) are known from the start. ``focus`` are the columns that decide where
    to look and when to stop: the target's, or those of the classes that were asked for.
    """

    prepared: PreparedImage
    grid: Boxes
    shape: tuple[int, int]
    patch: tuple[int, int]
    stride: tuple[int, int]
    target: int
    classes: npt.NDArray[np.int64]
    focus: list[int]
    started: float
    scores: Array
    logits: Array | None
    scored: Mask
    unchanged: Mask

    @property
    def overlap(self) -> float:
        """How many windows share a pixel, in the middle of the image."""
        return overlap(self.patch, self.stride)

    def drops(self, scores: Array) -> npt.NDArray[np.float32]:
        """[rows, columns, F]: base score less ``scores`` [rows, columns, F], of the classes in focus."""
        return np.asarray(self.prepared.base_scores[self.classes[self.focus]] - scores)

    def effect(self) -> npt.NDArray[np.float64]:
        """[rows, columns]: the largest change of a class in focus, each in units of its own largest change."""
        change = np.abs(self.drops(self.scores[..., self.focus]).astype(np.float64))
        scale = change.max(axis=(0, 1))
        return np.asarray((change / np.where(scale > 0, scale, 1)).max(axis=2))

    def fill(self, known: Mask, others: Fill) -> None:
        """Windows that are not scored become what ``others`` [beside known, K] makes of scores and logits.

        In place: with a thousand classes these arrays are most of what there is to move.
        """
        missing = ~self.scored[~known]
        for values in (self.scores, self.logits):
            if values is not None:
                values[~self.scored & ~known] = others(values)[missing]


def plan(
    session: OcclusionSession,
    image: npt.ArrayLike,
    baseline: npt.ArrayLike,
    patch_size: int | tuple[int, int],
    stride: int | tuple[int, int],
    target: int | None,
    classes: Sequence[int] | None,
) -> Sweep:
    """The windows of an image; its base maps are computed here.

    Raises:
        OcclusionError: a patch larger than the image, a stride below 1, a target or class that is none.
    """
    started = time.perf_counter()
    patch, step = as_pair(patch_size, "patch_size"), as_pair(stride, "stride")
    try:
        grid = geometry.occlusion_grid(session.image_size, patch, step)
    except ValueError as error:
        raise OcclusionError(str(error)) from error
    if target is not None and not 0 <= int(target) < session.classes:
        raise OcclusionError(f"target {target}: expected a class from 0 to {session.classes - 1}")
    kept = checks.check_classes(classes, session.classes)
    prepared = session.prepare(image, baseline)
    chosen = int(prepared.base_scores.argmax()) if target is None else int(target)
    rows = len(np.unique(grid[:, 0]))
    shape = (rows, len(grid) // rows)
    unchanged = ~session.changes(prepared, grid).reshape(shape)
    logits = prepared.base_logits
    return Sweep(
        prepared,
        grid,
        shape,
        patch,
        step,
        chosen,
        kept,
        [chosen] if classes is None else list(range(len(kept))),
        started,
        np.broadcast_to(prepared.base_scores[kept], (*shape, len(kept))).copy(),
        None if logits is None else np.broadcast_to(logits[kept], (*shape, len(kept))).copy(),
        unchanged.copy(),
        unchanged,
    )


def score(
    session: OcclusionSession,
    sweep: Sweep,
    chosen: Mask,
    approximation: Approximation,
    progress: Progress | None,
    patch: tuple[int, int] | None = None,
) -> None:
    """Scores the chosen windows that are not known; with ``patch``, larger ones in their places, which stay unknown."""
    chosen = chosen & ~sweep.scored
    boxes = sweep.grid[chosen.ravel()]
    found = session.score(
        sweep.prepared,
        boxes if patch is None else geometry.resize_boxes(boxes, patch, session.image_size),
        tau=approximation.tau,
        eps=approximation.eps,
        precision=approximation.precision,
        classes=sweep.classes.tolist(),
        progress=progress,
    )
    sweep.scores[chosen] = found.scores
    if sweep.logits is not None and found.logits is not None:
        sweep.logits[chosen] = found.logits
    if patch is None:
        sweep.scored |= chosen


def explanation(
    session: OcclusionSession,
    sweep: Sweep,
    approximation: Approximation,
    estimated: Mapping[str, float] | None = None,
) -> Explanation:
    """What is known now; it shares the sweep's arrays."""
    return Explanation(
        scores=sweep.scores,
        base_scores=sweep.prepared.base_scores,
        logits=sweep.logits,
        base_logits=sweep.prepared.base_logits,
        boxes=sweep.grid,
        classes=sweep.classes,
        target=sweep.target,
        patch_size=sweep.patch,
        stride=sweep.stride,
        image_shape=session.image_size,
        changed=float((~sweep.unchanged).mean()),
        precision=session.precision if approximation.precision is None else approximation.precision,
        error=session.error,
        seconds=time.perf_counter() - sweep.started,
        approximation=approximation,
        scored=sweep.scored.copy(),
        estimated_quality=dict(estimated or {}),
    )


def as_pair(value: int | tuple[int, int], name: str) -> tuple[int, int]:
    """(h, w) from a number or two."""
    pair = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(pair) != 2 or not all(isinstance(number, (int, np.integer)) for number in pair):
        raise OcclusionError(f"{name}: expected an integer or two (h, w), found {value!r}")
    return int(pair[0]), int(pair[1])
