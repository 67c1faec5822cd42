"""OcclusionSession: a compiled model, ready to score boxes on images.

image, baseline              --prepare-->  base maps, once an image
base maps, boxes, thresholds --score---->  the model's output for each box, chunk by chunk (chunks.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from krypton_compile import geometry
from krypton_compile.geometry import Boxes
from krypton_compile.runtime import checks, self_check
from krypton_compile.runtime.approximation import EXACT, Approximation, settings_for
from krypton_compile.runtime.bounds import parse_bound
from krypton_compile.runtime.chunks import run_chunks
from krypton_compile.runtime.engine import Engine, PreparedImage, Work, as_ort
from krypton_compile.runtime.explanation import Explanation
from krypton_compile.runtime.occlusion import sweep_once, sweep_progressively
from krypton_compile.runtime.sweep import plan

Array = npt.NDArray[np.float32]
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


class OcclusionSession(Engine):
    """Scores occluded versions of an image with a compiled model.

    Args:
        path: the compiled file.
        providers: onnxruntime execution providers; the CPU when None.
        session_options: used for both inner sessions as they are, the op library registered on them.
        threads: worker threads; all cores when None. Ignored when ``session_options`` is given.
        precision: what convolutions may multiply in where the processor is faster at it: "float32"; "bfloat16x3",
            exact results from three bfloat16 products on matrix tiles; or "bfloat16", of reduced precision, on matrix
            tiles or dot products. None takes bfloat16x3 where there are tiles and a check at the first use finds it
            exact, else float32.

    Attributes:
        precision: the one in force.
        tuned: the settings that krypton-tune stored in the file, or None; ``tuning`` tells what they are worth.
        error: what the check at the first use found, in units of the largest logit (self_check.py); NaN before.

    Raises:
        OcclusionError: another precision, or less than one thread.
        ModelError: the file is not a compiled model.
        LibraryError: the op library is missing or does not fit this onnxruntime.
    """

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

    def settings_for(self, quality: str) -> Approximation:
        """Settings that should keep a bound such as "ssim>=0.9".

        Those that krypton-tune stored, if their bound implies it; else windows are scored until the map seems to keep
        it, by what was measured on other models.

        Raises:
            ValueError: no bound.
        """
        bounds = () if self.tuning is None else self.tuning.bounds
        return settings_for(parse_bound(quality), self.tuned, bounds)

    def changes(self, prepared: PreparedImage, boxes: Boxes) -> npt.NDArray[np.bool_]:
        """[P]: whether image and baseline differ in any pixel of a box; where not, the scores are the base's."""
        different = (prepared.image != prepared.baseline).any(axis=1 if self.layout == "NCHW" else 3)[0]
        return checks.changed_boxes(different, boxes)

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
        progress: Progress | None = None,
    ) -> OcclusionScores:
        """All outputs for the boxes on a prepared image.

        Beside the result, 4*P*K bytes an output, memory does not grow with the number of boxes.

        Args:
            prepared: from :meth:`prepare` of this session.
            boxes: integers [P, 4], rows (y0, x0, h, w), inside the image; empty ones give the base score.
            tau: propagation threshold in (0, 1]: what a box changes is cut, layer by layer, to this share of the map;
                1 is exact. One number, or one for each of ``annotation.layer_groups``.
            eps: value threshold in [0, 1): changes up to this share of a tensor's largest entry count as none; 0 is
                exact. Likewise.
            precision: "bfloat16" for products of reduced precision where the processor makes them faster.
            patches: float32 [sum h*w, C], pixels of each box in place of the baseline's.
            mask: bool [sum h*w], which pixels of each box are replaced.
            classes: the columns of the result to keep, in this order; all when None.
            progress: called with (done, total) positions.

        Raises:
            OcclusionError: an argument of another dtype, shape or range.
        """
        checked = checks.check_boxes(boxes, self.image_size)
        rows = int(geometry.areas(checked).sum())
        own = checks.check_rows(patches, "patches", np.float32, (rows, self.annotation.channels))
        chosen = checks.check_rows(mask, "mask", np.bool_, (rows,))
        kept = checks.check_classes(classes, self.classes)
        changed = self.changes(prepared, checked) if own is None else ~geometry.is_empty(checked)
        base_logits = prepared.base_logits
        scores = np.repeat(prepared.base_scores[None, kept], len(checked), axis=0)
        logits = None if base_logits is None else np.repeat(base_logits[None, kept], len(checked), axis=0)
        groups = self.annotation.layer_groups
        thresholds = self._thresholds(prepared, checks.make_tau(tau, groups), checks.make_eps(eps, groups))
        feeds = {**prepared.feeds, **thresholds}
        feeds[self.annotation.patches] = as_ort(np.zeros((0, 0), np.float32) if own is None else own)
        feeds[self.annotation.mask] = as_ort(np.zeros(0, np.bool_) if chosen is None else chosen)
        offsets = geometry.row_offsets(checked)
        incremental = self._session_in(precision)
        work = Work(prepared.image, prepared.baseline, checked, offsets, own, chosen, feeds, incremental)
        todo = np.flatnonzero(changed)
        todo = todo[geometry.neighbour_order(checked[todo])]
        if math.isnan(self.error) and len(todo):
            at = todo[self_check.choose_windows(work.image, work.baseline, checked[todo], self.layout)]
            exact = self._thresholds(prepared, np.ones(1, np.float32), np.zeros(1, np.float32))
            exact_work = replace(work, feeds={**feeds, **exact}, incremental=self._incremental)
            self._check(exact_work, at, prepared.base_scores if base_logits is None else base_logits)
            work = replace(work, incremental=self._session_in(precision))  # the check may have made another one
        done = len(checked) - len(todo)
        for at, found in run_chunks(
            lambda rows: self._run_chunk(work, rows), todo, self.annotation.chunk, self._workers
        ):
            scores[at] = found[0][:, kept]
            if logits is not None:
                logits[at] = found[1][:, kept]
            done += len(at)
            if progress is not None:
                progress(done, len(checked))
        return OcclusionScores(scores, prepared.base_scores, logits, base_logits, changed)

    def explain(
        self,
        image: npt.ArrayLike,
        patch_size: int | tuple[int, int] = 16,
        stride: int | tuple[int, int] = 4,
        baseline: npt.ArrayLike = 0.0,
        target: int | None = None,
        classes: Sequence[int] | None = None,
        approximation: Approximation = EXACT,
        check: bool = True,
        progress: Progress | None = None,
    ) -> Explanation:
        """Occludes the whole image window by window.

        Args:
            image: float32, the model's own input shape.
            patch_size: of a window, pixels: one number, or (h, w).
            stride: from one window to the next, likewise.
            baseline: a number, or an array like the image: the pixels that show inside a window.
            target: the class to explain; the predicted one when None.
            classes: those whose scores to keep, which saves memory on large grids; all when None.
            approximation: what to leave out; nothing by default, :meth:`settings_for` a bound on the quality.
            check: score a few windows of an approximate map again, exactly, and say how far off it is.
            progress: called with (done, total) windows.

        Raises:
            OcclusionError: a patch larger than the image, a stride below 1, a target or class that is none.
        """
        sweep = plan(self, image, baseline, patch_size, stride, target, classes)
        return sweep_once(self, sweep, approximation, check, progress)

    def explain_progressively(
        self,
        image: npt.ArrayLike,
        patch_size: int | tuple[int, int] = 16,
        stride: int | tuple[int, int] = 4,
        baseline: npt.ArrayLike = 0.0,
        target: int | None = None,
        classes: Sequence[int] | None = None,
    ) -> Iterator[Explanation]:
        """Ever finer maps of the whole image, each usable; stop at any time. The last is :meth:`explain`'s, exact.

        Windows that are not scored yet are interpolated from their neighbours; ``Explanation.estimated_error`` says
        how far off that was for the windows scored last. No window is scored twice. Arguments as for :meth:`explain`.
        """
        sweep = plan(self, image, baseline, patch_size, stride, target, classes)
        return sweep_progressively(self, sweep)
