"""Scorer: a compiled model, ready to score boxes on images.

image, baseline              --prepare-->  base maps, once an image
base maps, boxes, thresholds --score---->  the model's output for each box, chunk by chunk (chunks.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import channel_axis
from krypton_compile.contract.occlude import changed_boxes
from krypton_compile.runtime.engine import self_check
from krypton_compile.runtime.engine.chunks import run_chunks
from krypton_compile.runtime.engine.sessions import Engine, PreparedImage, Work
from krypton_compile.runtime.inputs import arrays

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class OcclusionScores:
    """Outputs for P boxes: ``scores`` [P, K], ``base_scores`` [K]; logits where the model ends in Softmax.

    With ``classes`` given, scores and logits have only those columns; the base ones have all.
    """

    scores: Array
    base_scores: Array
    logits: Array | None
    base_logits: Array | None
    changed: npt.NDArray[np.bool_]


class Scorer(Engine):
    """What an OcclusionSession does with boxes; see there for its arguments and attributes."""

    def score_boxes(
        self,
        image: npt.ArrayLike,
        boxes: npt.ArrayLike,
        baseline: npt.ArrayLike = 0.0,
        *,
        patches: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        classes: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> Array:
        """float32 [P, K]: the model's output with each box replaced; see :meth:`run` for the arguments."""
        return self.run(image, boxes, baseline, patches=patches, mask=mask, classes=classes, progress=progress).scores

    def run(
        self,
        image: npt.ArrayLike,
        boxes: npt.ArrayLike,
        baseline: npt.ArrayLike = 0.0,
        *,
        tau: float | Sequence[float] = 1.0,
        eps: float | Sequence[float] = 0.0,
        patches: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        classes: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> OcclusionScores:
        """All outputs for the boxes: :meth:`prepare`, then :meth:`score`; see there for the arguments."""
        prepared = self.prepare(image, baseline)
        return self.score(
            prepared, boxes, tau=tau, eps=eps, patches=patches, mask=mask, classes=classes, progress=progress
        )

    def changes(self, prepared: PreparedImage, boxes: Boxes) -> npt.NDArray[np.bool_]:
        """[P]: whether image and baseline differ in any pixel of a box; where not, the scores are the base's."""
        different = (prepared.image != prepared.baseline).any(axis=channel_axis(self.layout))[0]
        return changed_boxes(different, boxes)

    def score(
        self,
        prepared: PreparedImage,
        boxes: npt.ArrayLike,
        *,
        tau: float | Sequence[float] = 1.0,
        eps: float | Sequence[float] = 0.0,
        precision: str | None = None,
        patches: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        classes: Sequence[int] | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> OcclusionScores:
        """All outputs for the boxes on a prepared image.

        Beside the result, 4*P*K bytes an output, memory does not grow with the number of boxes.

        Args:
            prepared: from :meth:`prepare` of this session.
            boxes: integers [P, 4], rows (y0, x0, h, w), inside the image; empty ones give the base score. Of signals
                [P, 2], of volumes [P, 6]: all starts, then all sizes.
            tau: propagation threshold in (0, 1]: what a box changes is cut, layer by layer, to this share of the map;
                1 is exact. One number, or one for each of ``annotation.layer_groups``.
            eps: value threshold in [0, 1): changes up to this share of a tensor's largest entry count as none; 0 is
                exact. Likewise.
            precision: "bfloat16" for products of reduced precision where the processor makes them faster.
            patches: float32 [sum h*w, C], pixels of each box, row by row, in place of the baseline's.
            mask: bool [sum h*w], which pixels of each box are replaced.
            classes: the columns of the result to keep, in this order; all when None.
            batch_size: boxes that are scored together, at most; what suits the model when None. Results are the same.
            progress: called with (done, total) positions.

        Raises:
            OcclusionError: an argument of another dtype, shape or range.
        """
        checked = arrays.check_boxes(boxes, self.spatial)
        kept = arrays.check_classes(classes, self.classes)
        base_logits, shape = prepared.base_logits, (len(checked), len(kept))
        scores = np.empty(shape, np.float32)  # every row comes once
        logits = None if base_logits is None else np.empty(shape, np.float32)
        changed = np.empty(len(checked), np.bool_)
        done = 0
        for at, found in self.iter_score(
            prepared,
            checked,
            tau=tau,
            eps=eps,
            precision=precision,
            patches=patches,
            mask=mask,
            classes=classes,
            batch_size=batch_size,
        ):
            scores[at] = found.scores
            changed[at] = found.changed
            if logits is not None and found.logits is not None:
                logits[at] = found.logits
            done += len(at)
            if progress is not None:
                progress(done, len(checked))
        return OcclusionScores(scores, prepared.base_scores, logits, base_logits, changed)

    def iter_score(
        self,
        prepared: PreparedImage,
        boxes: npt.ArrayLike,
        *,
        tau: float | Sequence[float] = 1.0,
        eps: float | Sequence[float] = 0.0,
        precision: str | None = None,
        patches: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        classes: Sequence[int] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[tuple[Rows, OcclusionScores]]:
        """The same, chunk by chunk: yields (rows of ``boxes``, their outputs) as they are done, each row once.

        Rows that change no pixel come first, with the base scores. Arguments and errors as for :meth:`score`.
        """
        checked = arrays.check_boxes(boxes, self.spatial)
        rows = int(geometry.areas(checked).sum())
        own = arrays.check_rows(patches, "patches", np.float32, (rows, self.annotation.channels))
        chosen = arrays.check_rows(mask, "mask", np.bool_, (rows,))
        kept = arrays.check_classes(classes, self.classes)
        changed = self.changes(prepared, checked) if own is None else ~geometry.is_empty(checked)
        base_logits = prepared.base_logits
        groups = self.annotation.layer_groups
        thresholds = self._thresholds(prepared, arrays.make_tau(tau, groups), arrays.make_eps(eps, groups))
        feeds = {**prepared.feeds, **thresholds}
        feeds[self.annotation.patches] = self._for_all_chunks(np.zeros((0, 0), np.float32) if own is None else own)
        feeds[self.annotation.mask] = self._for_all_chunks(np.zeros(0, np.bool_) if chosen is None else chosen)
        offsets = geometry.row_offsets(checked)
        work = Work(prepared.image, prepared.baseline, checked, offsets, own, chosen, feeds, self._incremental)
        todo = np.flatnonzero(changed)
        todo = todo[geometry.neighbour_order(checked[todo])]
        with self._lock:  # threads may share a session; the first one checks
            if math.isnan(self.error) and len(todo):
                at = todo[self_check.choose_windows(work.image, work.baseline, checked[todo], self.layout)]
                exact = self._thresholds(prepared, np.ones(1, np.float32), np.zeros(1, np.float32))
                exact_work = replace(work, feeds={**feeds, **exact})
                self._check(exact_work, at, prepared.base_scores if base_logits is None else base_logits)
        work = replace(work, incremental=self._session_in(precision))  # the check may have made another one

        def outputs(scores: Array, logits: Array | None, changed: bool) -> OcclusionScores:
            flags = np.full(len(scores), changed)
            return OcclusionScores(scores, prepared.base_scores, logits, base_logits, flags)

        same = np.flatnonzero(~changed)
        if len(same):
            base = [
                None if row is None else np.repeat(row[None, kept], len(same), axis=0)
                for row in (prepared.base_scores, base_logits)
            ]
            assert base[0] is not None
            yield same, outputs(base[0], base[1], False)
        chunk = batch_size or self.annotation.chunk
        for at, found in run_chunks(lambda rows: self._run_chunk(work, rows), todo, chunk, self._workers):
            yield at, outputs(found[0][:, kept], found[1][:, kept] if self._kinds > 1 else None, True)
