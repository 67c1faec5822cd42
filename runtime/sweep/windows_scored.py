"""One image's windows: planned, scored part by part, and made into an explanation at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Pair
from krypton_compile.runtime.approximation.settings import Approximation
from krypton_compile.runtime.approximation.thresholds import NOTHING_LEFT_OUT, Thresholds
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.inputs.windows import Windows
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.score_space import OF_ALL_CLASSES, activate
from krypton_compile.runtime.sweep.resolved import Resolved

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
Fill = Callable[[Array], Array]

BLOCK = 256
"""Windows whose own pixels are made at once, where the occluder is another one for each."""


@dataclass
class Sweep:
    """The state of a sweep. ``scores`` [rows, columns, K'] hold the base scores where nothing is known yet.

    Scores are in the space of the request's activation. Windows that change no pixel (``unchanged``) are known from
    the start. ``focus`` are the columns that decide where to look and when to stop: the target's, or those of the
    classes that were asked for.
    """

    resolved: Resolved
    windows: Windows
    scores: Array
    scored: Mask
    unchanged: Mask
    focus: list[int]
    started: float = field(default_factory=time.perf_counter)

    def drops(self, scores: Array) -> npt.NDArray[np.float32]:
        """[rows, columns, F]: base score less ``scores`` [rows, columns, F], of the classes in focus."""
        subject = self.resolved.subject
        return np.asarray(subject.base_scores[subject.classes[self.focus]] - scores)

    def effect(self) -> npt.NDArray[np.float64]:
        """[rows, columns]: the largest change of a class in focus, each in units of its own largest change."""
        change = np.abs(self.drops(self.scores[..., self.focus]).astype(np.float64))
        scale = change.max(axis=tuple(range(change.ndim - 1)))
        return np.asarray((change / np.where(scale > 0, scale, 1)).max(axis=-1))

    def fill(self, known: Mask, others: Fill) -> None:
        """Windows that are not scored become what ``others`` [beside known, K] makes of the scores.

        In place: with a thousand classes this array is most of what there is to move.
        """
        missing = ~self.scored[~known]
        self.scores[~self.scored & ~known] = others(self.scores)[missing]

    def seconds(self) -> float:
        """The time since the sweep began, and that of reading the image and the base pass."""
        return self.resolved.seconds + time.perf_counter() - self.started


def plan(scorer: Scorer, resolved: Resolved, windows: Windows) -> Sweep:
    """Lay out the windows of a request; nothing is scored yet."""
    prepared, subject, shape = resolved.prepared, resolved.subject, windows.shape
    if resolved.occluder.rows is None:
        unchanged = ~scorer.changes(prepared, windows.boxes).reshape(shape)
    else:
        unchanged = np.zeros(shape, np.bool_)
    scores = np.broadcast_to(subject.base_scores[subject.classes], (*shape, len(subject.classes))).copy()
    return Sweep(resolved, windows, scores, unchanged.copy(), unchanged, resolved.focus)


def score(
    scorer: Scorer,
    sweep: Sweep,
    chosen: Mask,
    thresholds: Thresholds,
    progress: Progress | None,
    patch: Pair | None = None,
) -> None:
    """Score the chosen windows that are not known; with ``patch``, larger ones in their places, which stay unknown."""
    chosen = chosen & ~sweep.scored
    at = np.flatnonzero(chosen)
    flat = sweep.scores.reshape(len(sweep.windows.boxes), -1)
    done = 0
    for rows, scores in score_windows(scorer, sweep.resolved, sweep.windows, at, thresholds, patch):
        flat[rows] = scores
        done += len(rows)
        if progress is not None:
            progress(done, len(at))
    if patch is None:
        sweep.scored |= chosen


def score_windows(
    scorer: Scorer,
    resolved: Resolved,
    windows: Windows,
    at: Rows,
    thresholds: Thresholds = NOTHING_LEFT_OUT,
    patch: Pair | None = None,
) -> Iterator[tuple[Rows, Array]]:
    """Yield (rows of the windows, their scores [n, K'] in the request's space), as they are done.

    With ``patch`` (h, w), larger windows of pictures are hidden in their places.
    """
    occluder = resolved.occluder
    single = occluder.rows is None and windows.regions is None
    for block in [at] if single else np.array_split(at, max(1, -(-len(at) // BLOCK))):
        boxes = windows.boxes[block]
        if patch is not None:
            height, width = windows.image_shape
            boxes = geometry.resize_boxes(boxes, patch, (height, width))
        mask = windows.mask(block) if patch is None else None
        if occluder.rows is None:
            for rows, scores in _chunks(scorer, resolved, Occlusion(boxes, mask=mask), thresholds):
                yield block[rows], scores
        elif len(block):
            # The mean over samples of the scores, not the score of the mean.
            total = np.zeros((len(block), len(resolved.subject.classes)))
            for number in range(occluder.samples):
                occlusion = Occlusion(boxes, occluder.rows(boxes, mask, number), mask)
                for rows, scores in _chunks(scorer, resolved, occlusion, thresholds):
                    total[rows] += scores
            yield block, (total / occluder.samples).astype(np.float32)


def _chunks(
    scorer: Scorer, resolved: Resolved, occlusion: Occlusion, thresholds: Thresholds
) -> Iterator[tuple[Rows, Array]]:
    subject = resolved.subject
    # A Softmax over some of the classes is another one.
    whole = subject.activation in OF_ALL_CLASSES
    columns = None if whole else subject.classes.tolist()
    size = resolved.request.windows_at_once
    for rows, outputs in scorer.iter_score(resolved.prepared, occlusion, thresholds, classes=columns, batch_size=size):
        scores = activate(subject.activation, outputs.scores, outputs.logits)
        yield rows, scores[:, subject.classes] if whole else scores


def explain_now(
    scorer: Scorer, sweep: Sweep, approximation: Approximation, estimated: Mapping[str, float] | None = None
) -> Explanation:
    """Make an explanation of what is known now; it shares the sweep's scores."""
    sessions = scorer.sessions
    return Explanation(
        subject=sweep.resolved.subject,
        scores=sweep.scores,
        windows=sweep.windows,
        changed=float((~sweep.unchanged).mean()),
        precision=sessions.precision if approximation.precision is None else approximation.precision,
        error=sweep.resolved.prepared.measured.error,
        seconds=sweep.seconds(),
        frozen_gates=len(scorer.model.frozen_gates),
        approximation=approximation,
        scored=sweep.scored.copy(),
        estimated_quality=dict(estimated or {}),
    )
