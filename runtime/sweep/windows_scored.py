"""One image's windows: planned, scored part by part, and made into an explanation at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Pair
from krypton_compile.runtime.approximation.settings import EXACT, Approximation
from krypton_compile.runtime.inputs.windows import Windows
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.score_space import OF_ALL_CLASSES, activate
from krypton_compile.runtime.sweep.request import Question

if TYPE_CHECKING:
    from krypton_compile.runtime.engine.scorer import Scorer

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
Fill = Callable[[Array], Array]

BLOCK = 256
"""Windows whose own pixels are made at once, where the occluder is another one for each."""


@dataclass
class Sweep:
    """What is known of the windows so far. ``scores`` [rows, columns, K'] hold the base scores where nothing is.

    Scores are in the space of the question's activation. Windows that change no pixel (``unchanged``) are known from
    the start. ``focus`` are the columns that decide where to look and when to stop: the target's, or those of the
    classes that were asked for.
    """

    question: Question
    windows: Windows
    base_scores: Array
    scores: Array
    scored: Mask
    unchanged: Mask
    focus: list[int]
    started: float = field(default_factory=time.perf_counter)

    @property
    def shape(self) -> Pair:
        """(rows, columns) of windows."""
        return self.windows.shape

    @property
    def stride(self) -> Pair:
        """From one window to the next, pixels; regions have none and count as 1."""
        return self.windows.stride or (1, 1)

    def drops(self, scores: Array) -> npt.NDArray[np.float32]:
        """[rows, columns, F]: base score less ``scores`` [rows, columns, F], of the classes in focus."""
        return np.asarray(self.base_scores[self.question.classes[self.focus]] - scores)

    def effect(self) -> npt.NDArray[np.float64]:
        """[rows, columns]: the largest change of a class in focus, each in units of its own largest change."""
        change = np.abs(self.drops(self.scores[..., self.focus]).astype(np.float64))
        scale = change.max(axis=(0, 1))
        return np.asarray((change / np.where(scale > 0, scale, 1)).max(axis=2))

    def fill(self, known: Mask, others: Fill) -> None:
        """Windows that are not scored become what ``others`` [beside known, K] makes of the scores.

        In place: with a thousand classes this array is most of what there is to move.
        """
        missing = ~self.scored[~known]
        self.scores[~self.scored & ~known] = others(self.scores)[missing]


def plan(session: Scorer, question: Question, windows: Windows) -> Sweep:
    """The windows of a question; nothing is scored yet."""
    prepared, shape = question.prepared, windows.shape
    if question.occluder.rows is None:
        unchanged = ~session.changes(prepared, windows.boxes).reshape(shape)
    else:
        unchanged = np.zeros(shape, np.bool_)
    base = activate(question.activation, prepared.base_scores, prepared.base_logits)
    kept = question.classes
    scores = np.broadcast_to(base[kept], (*shape, len(kept))).copy()
    return Sweep(question, windows, base, scores, unchanged.copy(), unchanged, question.focus)


def score(
    session: Scorer,
    sweep: Sweep,
    chosen: Mask,
    approximation: Approximation,
    progress: Progress | None,
    patch: Pair | None = None,
) -> None:
    """Scores the chosen windows that are not known; with ``patch``, larger ones in their places, which stay unknown."""
    chosen = chosen & ~sweep.scored
    at = np.flatnonzero(chosen)
    flat = sweep.scores.reshape(len(sweep.windows.boxes), -1)
    done = 0
    for rows, found in score_windows(session, sweep.question, sweep.windows, at, approximation, patch):
        flat[rows] = found
        done += len(rows)
        if progress is not None:
            progress(done, len(at))
    if patch is None:
        sweep.scored |= chosen


def score_windows(
    session: Scorer,
    question: Question,
    windows: Windows,
    at: Rows,
    approximation: Approximation = EXACT,
    patch: Pair | None = None,
) -> Iterator[tuple[Rows, Array]]:
    """Yields (rows of the windows, their scores [n, K'] in the question's space), as they are done."""
    occluder = question.occluder
    single = occluder.rows is None and windows.regions is None
    for block in [at] if single else np.array_split(at, max(1, -(-len(at) // BLOCK))):
        boxes = windows.boxes[block]
        if patch is not None:
            boxes = geometry.resize_boxes(boxes, patch, session.image_size)
        mask = windows.mask(block) if patch is None else None
        if occluder.rows is None:
            for rows, found in _chunks(session, question, boxes, approximation, None, mask):
                yield block[rows], found
        elif len(block):
            # The mean over samples of the scores, not the score of the mean.
            total = np.zeros((len(block), len(question.classes)))
            for number in range(occluder.samples):
                patches = occluder.rows(boxes, mask, number)
                for rows, found in _chunks(session, question, boxes, approximation, patches, mask):
                    total[rows] += found
            yield block, (total / occluder.samples).astype(np.float32)


def _chunks(
    session: Scorer,
    question: Question,
    boxes: geometry.Boxes,
    approximation: Approximation,
    patches: Array | None,
    mask: Mask | None,
) -> Iterator[tuple[Rows, Array]]:
    # A Softmax over some of the classes is another one.
    whole = question.activation in OF_ALL_CLASSES
    for rows, outputs in session.iter_score(
        question.prepared,
        boxes,
        tau=approximation.tau,
        eps=approximation.eps,
        precision=approximation.precision,
        patches=patches,
        mask=mask,
        classes=None if whole else question.classes.tolist(),
        batch_size=question.batch_size,
    ):
        found = activate(question.activation, outputs.scores, outputs.logits)
        yield rows, found[:, question.classes] if whole else found


def explanation(
    session: Scorer,
    sweep: Sweep,
    approximation: Approximation,
    estimated: Mapping[str, float] | None = None,
) -> Explanation:
    """What is known now; it shares the sweep's arrays."""
    question = sweep.question
    return Explanation(
        scores=sweep.scores,
        base_scores=sweep.base_scores,
        windows=sweep.windows,
        classes=question.classes,
        target=question.target.index,
        every=question.target.every,
        value=question.value,
        activation=question.activation,
        occluder=question.occluder.name,
        picture=question.picture,
        labels=session.labels,
        preprocessing=session.preprocessing,
        model_sha256=session.source_sha256,
        changed=float((~sweep.unchanged).mean()),
        precision=session.precision if approximation.precision is None else approximation.precision,
        error=session.error,
        seconds=question.seconds + time.perf_counter() - sweep.started,
        frozen_gates=len(session.frozen_gates),
        approximation=approximation,
        scored=sweep.scored.copy(),
        estimated_quality=dict(estimated or {}),
    )
