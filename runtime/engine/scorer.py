"""Scorer: a compiled model, ready to score boxes on images.

image, baseline                --prepare-->  base maps, once an image
base maps, occlusion, thresholds --score-->  the model's output for each box, chunk by chunk (chunks.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry, validate
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import channel_axis
from krypton_compile.contract.occlude import changed_boxes
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.thresholds import NOTHING_LEFT_OUT, Thresholds
from krypton_compile.runtime.by_value import ByValue
from krypton_compile.runtime.engine.chunks import run_chunks
from krypton_compile.runtime.engine.compiled_model import CompiledModel
from krypton_compile.runtime.engine.input_range import describe_excess
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.engine.sessions import Sessions
from krypton_compile.runtime.engine.work import PreparedImage
from krypton_compile.runtime.inputs import arrays

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class OcclusionScores(ByValue):
    """Outputs for P boxes: ``scores`` [P, K], ``base_scores`` [K]; logits where the model ends in Softmax.

    Where some classes were asked for, scores and logits have only their columns; the base ones have all.
    """

    scores: Array
    base_scores: Array
    logits: Array | None
    base_logits: Array | None
    changed: npt.NDArray[np.bool_]


class Scorer:
    """Scores occlusions of images by a compiled model.

    Args:
        model: what the file says of itself; ``model`` again as an attribute.
        sessions: its two halves; ``sessions`` again.

    Raises:
        OcclusionError: if the model has another number of classes than labels.
    """

    def __init__(self, model: CompiledModel, sessions: Sessions) -> None:
        if model.labels is not None and len(model.labels) != sessions.classes:
            raise OcclusionError(
                f"{len(model.labels)} labels for a model of {sessions.classes} classes; expected one a class"
            )
        self.model, self.sessions = model, sessions

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.sessions.classes

    def prepare(self, image: npt.ArrayLike, baseline: npt.ArrayLike = 0.0, measured: bool = False) -> PreparedImage:
        """Run the model once on the image itself.

        Args:
            image: float32, the model's own input shape.
            baseline: a number, or an array like the image: the pixels that show inside a box.
            measured: whether the error of this image's windows is wanted; else those of the session's first image are
                checked alone.

        Raises:
            OcclusionError: if ``image`` or ``baseline`` has another dtype or shape, or is not finite.
        """
        shapes = self.model.image_shape, self.model.full_shape
        pixels, hidden = arrays.check_image(image, "image", *shapes), arrays.make_baseline(baseline, *shapes)
        prepared = self.sessions.prepare(pixels, hidden, measured)
        return replace(prepared, excess=describe_excess(prepared.image, self.model.preprocessing))

    def changes(self, prepared: PreparedImage, boxes: Boxes) -> npt.NDArray[np.bool_]:
        """Bool [P]: whether image and baseline differ in a pixel of each box; where not, its scores are the base's."""
        _check_prepared(prepared)
        different = (prepared.image != prepared.baseline).any(axis=channel_axis(self.model.full_layout))[0]
        return changed_boxes(different, boxes)

    def score(
        self,
        prepared: PreparedImage,
        occlusion: Occlusion,
        thresholds: Thresholds = NOTHING_LEFT_OUT,
        *,
        classes: Sequence[int] | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> OcclusionScores:
        """All outputs for the boxes of an occlusion on a prepared image.

        Beside the result, 4*P*K bytes an output, memory does not grow with the number of boxes.

        Args:
            prepared: from :meth:`prepare` of the same sessions.
            occlusion: what is hidden.
            thresholds: what is left out of each box; nothing by default.
            classes: the columns of the result to keep, in this order; all when None.
            batch_size: boxes that are scored together, at most; what suits the model when None. Results are the same.
            progress: called with (done, total) boxes.

        Raises:
            OcclusionError: if ``classes`` names no class, or a threshold is out of range.
        """
        _check_prepared(prepared, thresholds)
        validate.require("progress", progress, progress is None or callable(progress), "a callable (done, total)")
        columns = arrays.check_classes(classes, self.classes)
        base_logits, shape = prepared.base_logits, (len(occlusion.boxes), len(columns))
        scores = np.empty(shape, np.float32)  # every row comes once
        logits = None if base_logits is None else np.empty(shape, np.float32)
        changed = np.empty(shape[0], np.bool_)
        done = 0
        for at, outputs in self.iter_score(prepared, occlusion, thresholds, classes=classes, batch_size=batch_size):
            scores[at] = outputs.scores
            changed[at] = outputs.changed
            if logits is not None and outputs.logits is not None:
                logits[at] = outputs.logits
            done += len(at)
            if progress is not None:
                progress(done, shape[0])
        return OcclusionScores(scores, prepared.base_scores, logits, base_logits, changed)

    def iter_score(
        self,
        prepared: PreparedImage,
        occlusion: Occlusion,
        thresholds: Thresholds = NOTHING_LEFT_OUT,
        *,
        classes: Sequence[int] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[tuple[Rows, OcclusionScores]]:
        """The same, chunk by chunk: yields (rows of the boxes, their outputs) as they are done, each row once.

        Rows that change no pixel come first, with the base scores.
        """
        boxes, sessions = occlusion.boxes, self.sessions
        fits = batch_size is None or validate.is_count(batch_size)
        validate.require("batch_size", batch_size, fits, "None or at least 1 window")
        _check_prepared(prepared, thresholds)
        columns = arrays.check_classes(classes, self.classes)
        changed = self.changes(prepared, boxes) if occlusion.patches is None else ~geometry.is_empty(boxes)
        work = sessions.begin(prepared, occlusion, thresholds)
        todo = np.flatnonzero(changed)
        todo = todo[geometry.neighbour_order(boxes[todo])]
        sessions.check_once(work, todo)
        work = sessions.with_precision(work, thresholds.precision)  # the check may have made another session
        base_scores, base_logits = prepared.base_scores, prepared.base_logits

        def outputs(scores: Array, logits: Array | None, changed: bool) -> OcclusionScores:
            return OcclusionScores(scores, base_scores, logits, base_logits, np.full(len(scores), changed))

        same = np.flatnonzero(~changed)
        if len(same):
            scores = np.repeat(base_scores[None, columns], len(same), axis=0)
            logits = None if base_logits is None else np.repeat(base_logits[None, columns], len(same), axis=0)
            yield same, outputs(scores, logits, False)
        chunk = batch_size or self.model.annotation.chunk
        for at, rows in run_chunks(lambda at: sessions.run_chunk(work, at), todo, chunk, sessions.workers):
            yield at, outputs(rows[0][:, columns], rows[1][:, columns] if sessions.kinds > 1 else None, True)


def _check_prepared(prepared: object, thresholds: object = NOTHING_LEFT_OUT) -> None:
    fits = isinstance(prepared, PreparedImage)
    validate.require("prepared", prepared, fits, "an image that prepare() of this session has made ready")
    validate.require("thresholds", thresholds, isinstance(thresholds, Thresholds), "a Thresholds")
