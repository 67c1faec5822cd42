"""OcclusionSession: a compiled model, ready to score boxes on images.

Base maps are computed once an image. Positions are independent, so chunks of them run at once, one thread each
through all layers: no hand-over between ops, and each chunk stays in its core's cache.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from krypton_compile import geometry
from krypton_compile.errors import LibraryError, OcclusionError
from krypton_compile.geometry import Boxes
from krypton_compile.library import get_library_path
from krypton_compile.runtime import checks, self_check
from krypton_compile.runtime.explanation import Explanation
from krypton_compile.runtime.split import split, with_precision
from krypton_compile.schemas import PRECISIONS

Array = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

_ERRORS_ONLY = 3


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


@dataclass(frozen=True)
class _Work:
    """One image and its boxes, checked; ``offsets`` [P + 1] of the boxes' rows in ``patches`` and ``mask``."""

    image: Array
    baseline: Array
    boxes: Boxes
    offsets: npt.NDArray[np.int64]
    patches: npt.NDArray[np.generic] | None
    mask: npt.NDArray[np.generic] | None
    feeds: dict[str, ort.OrtValue]

    def occluded(self, row: int, layout: str) -> Array:
        """The image with one box replaced."""
        rows = slice(self.offsets[row], self.offsets[row + 1])
        new = self.baseline if self.patches is None else self.patches[rows]
        mask = None if self.mask is None else self.mask[rows]
        return self_check.occlude(self.image, self.boxes[row], new, mask, layout)


class OcclusionSession:
    """Scores occluded versions of an image with a compiled model.

    Args:
        path: the compiled file.
        providers: onnxruntime execution providers; the CPU when None.
        session_options: used for both inner sessions as they are, the op library registered on them.
        threads: worker threads; all cores when None. Ignored when ``session_options`` is given.
        precision: what convolutions may multiply in where the processor has matrix tiles for it: "float32";
            "bfloat16x3", exact results from three bfloat16 products; or "bfloat16", of reduced precision. None takes
            bfloat16x3 if a check at the first use finds it exact, else float32.

    Attributes:
        precision: the one in force.
        error: what the check at the first use found, in units of the largest logit (self_check.py); NaN before.

    Raises:
        OcclusionError: another precision, or less than one thread.
        ModelError: the file is not a compiled model.
        LibraryError: the op library is missing or does not fit this onnxruntime.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        providers: Sequence[str] | None = None,
        session_options: ort.SessionOptions | None = None,
        threads: int | None = None,
        precision: str | None = None,
    ) -> None:
        if precision not in (None, *PRECISIONS):
            raise OcclusionError(f"precision: expected one of {', '.join(PRECISIONS)} or None, found {precision!r}")
        if threads is not None and threads < 1:
            raise OcclusionError(f"threads: expected at least 1, found {threads}")
        parts = split(Path(path))
        self.annotation = parts.annotation
        self.image_name = parts.annotation.image
        self.image_shape = parts.image_shape
        self.layout = parts.annotation.layout
        self.image_size = parts.annotation.image_shape
        self.threads = threads or len(os.sched_getaffinity(0))
        self._captured = parts.captured
        folder = str(Path(path).resolve().parent)
        chosen = list(providers or ["CPUExecutionProvider"])
        self._workers = 1 if session_options is not None else self.threads
        # onnxruntime reads shared weights where they are: these must live as long as the sessions.
        self._weights = {
            name: _ort(array) for name, array in {**parts.base.weights, **parts.incremental.weights}.items()
        }
        if session_options is not None:
            base_options = incremental_options = self._prepared(session_options, folder)
        else:
            base_options = self._prepared(_default_options(self.threads), folder)
            incremental_options = self._prepared(_default_options(1), folder)
        self._base = ort.InferenceSession(parts.base.model, base_options, providers=chosen)
        self._incremental_part = parts.incremental.model
        self._incremental_options = incremental_options
        self._providers = chosen
        self._may_fall_back = precision is None
        self.precision = precision or "bfloat16x3"
        self.error = math.nan
        self._incremental = self._make_incremental(self.precision)
        self._outputs = [value.name for value in self._incremental.get_outputs()]
        self.classes = int(self._incremental.get_outputs()[0].shape[1])

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
        patches: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        classes: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> OcclusionScores:
        """All outputs for the boxes.

        Beside the result, 4*P*K bytes an output, memory does not grow with the number of boxes.

        Args:
            image: float32, the model's own input shape.
            boxes: integers [P, 4], rows (y0, x0, h, w), inside the image; empty ones give the base score.
            baseline: a number, or an array like the image: the pixels that show inside a box.
            patches: float32 [sum h*w, C], pixels of each box in place of the baseline's.
            mask: bool [sum h*w], which pixels of each box are replaced.
            classes: the columns of the result to keep, in this order; all when None.
            progress: called with (done, total) positions.

        Raises:
            OcclusionError: an argument of another dtype, shape or range.
        """
        pixels = checks.check_image(image, "image", self.image_shape)
        blank = checks.make_baseline(baseline, self.image_shape)
        checked = checks.check_boxes(boxes, self.image_size)
        rows = int(geometry.areas(checked).sum())
        own = checks.check_rows(patches, "patches", np.float32, (rows, self.annotation.channels))
        chosen = checks.check_rows(mask, "mask", np.bool_, (rows,))
        kept = checks.check_classes(classes, self.classes)
        base_outputs = self._base_outputs(pixels, blank)
        base_scores, base_logits = self._base_rows(base_outputs)
        if own is None:
            different = (pixels != blank).any(axis=1 if self.layout == "NCHW" else 3)[0]
            changed = checks.changed_boxes(different, checked)
        else:
            changed = ~geometry.is_empty(checked)
        scores = np.repeat(base_scores[None, kept], len(checked), axis=0)
        logits = None if base_logits is None else np.repeat(base_logits[None, kept], len(checked), axis=0)
        feeds = dict(zip(self._captured, base_outputs, strict=False))
        feeds[self.annotation.patches] = _ort(np.zeros((0, 0), np.float32) if own is None else own)
        feeds[self.annotation.mask] = _ort(np.zeros(0, np.bool_) if chosen is None else chosen)
        work = _Work(pixels, blank, checked, geometry.row_offsets(checked), own, chosen, feeds)
        todo = np.flatnonzero(changed)
        todo = todo[geometry.neighbour_order(checked[todo])]
        if math.isnan(self.error) and len(todo):
            at = todo[self_check.choose_windows(pixels, blank, checked[todo], self.layout)]
            self._check(work, at, base_scores if base_logits is None else base_logits)
        for at, found in self._chunks(work, todo, progress):
            scores[at] = found[0][:, kept]
            if logits is not None:
                logits[at] = found[1][:, kept]
        return OcclusionScores(scores, base_scores, logits, base_logits, changed)

    def explain(
        self,
        image: npt.ArrayLike,
        patch_size: int | tuple[int, int] = 16,
        stride: int | tuple[int, int] = 4,
        baseline: npt.ArrayLike = 0.0,
        target: int | None = None,
        classes: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> Explanation:
        """Occludes the whole image window by window; ``target`` is the predicted class when None.

        ``classes`` are those whose scores to keep, which saves memory on large grids; all when None.

        Raises:
            OcclusionError: a patch larger than the image, a stride below 1, a target or class that is none.
        """
        start = time.perf_counter()
        patch, step = _pair(patch_size, "patch_size"), _pair(stride, "stride")
        try:
            grid = geometry.occlusion_grid(self.image_size, patch, step)
        except ValueError as error:
            raise OcclusionError(str(error)) from error
        if target is not None and not 0 <= int(target) < self.classes:
            raise OcclusionError(f"target {target}: expected a class from 0 to {self.classes - 1}")
        result = self.run(image, grid, baseline, classes=classes, progress=progress)
        chosen = int(result.base_scores.argmax()) if target is None else int(target)
        rows = len(np.unique(grid[:, 0]))
        shape = (rows, len(grid) // rows, result.scores.shape[1])
        return Explanation(
            scores=result.scores.reshape(shape),
            base_scores=result.base_scores,
            logits=None if result.logits is None else result.logits.reshape(shape),
            base_logits=result.base_logits,
            boxes=grid,
            classes=checks.check_classes(classes, self.classes),
            target=chosen,
            patch_size=patch,
            stride=step,
            image_shape=self.image_size,
            changed=float(result.changed.mean()),
            precision=self.precision,
            error=self.error,
            seconds=time.perf_counter() - start,
        )

    def _make_incremental(self, precision: str) -> ort.InferenceSession:
        model = with_precision(self._incremental_part, precision)
        return ort.InferenceSession(model, self._incremental_options, providers=self._providers)

    def _prepared(self, options: ort.SessionOptions, folder: str) -> ort.SessionOptions:
        """The options with op library and shared weights; both sessions may be made with the same ones."""
        library = get_library_path()
        try:
            options.register_custom_ops_library(library)
        except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
            raise LibraryError(
                f"onnxruntime {ort.__version__} cannot load the custom-op library {library}: {error}. "
                "Use an onnxruntime from 1.20 on, or reinstall krypton-compile for this one."
            ) from error
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        for name, value in self._weights.items():
            options.add_initializer(name, value)
        return options

    def _base_outputs(self, image: Array, baseline: Array) -> list[ort.OrtValue]:
        feeds = {self.annotation.image: _ort(image), self.annotation.baseline: _ort(baseline)}
        outputs = [value.name for value in self._base.get_outputs()]
        used = {value.name for value in self._base.get_inputs()}
        feeds = {name: value for name, value in feeds.items() if name in used}
        result: list[ort.OrtValue] = self._base.run_with_ort_values(outputs, feeds)
        return result

    def _base_rows(self, outputs: list[ort.OrtValue]) -> tuple[Array, Array | None]:
        rows = [value.numpy().reshape(-1).copy() for value in outputs[len(self._captured) :]]
        if not all(np.isfinite(row).all() for row in rows):
            raise OcclusionError("the model's output for this image is not finite; check the image's preprocessing")
        return rows[0], rows[1] if len(rows) > 1 else None

    def _check(self, work: _Work, at: npt.NDArray[np.int64], base: Array) -> None:
        """Measures ``error`` on the boxes ``at``; where results should be exact and are not, float32 takes over."""
        rows = [self._base_rows(self._base_outputs(work.occluded(row, self.layout), work.baseline)) for row in at]
        expected = np.stack([scores if logits is None else logits for scores, logits in rows])
        self.error = self_check.measure_error(self._run_chunk(work, at)[-1], expected, base)
        if self.error > self_check.BOUND and self._may_fall_back:
            self.precision = "float32"
            self._incremental = self._make_incremental(self.precision)
            self.error = self_check.measure_error(self._run_chunk(work, at)[-1], expected, base)
        if self.error > self_check.BOUND and self.precision != "bfloat16":
            warnings.warn(
                f"{len(at)} windows differ from the model on really occluded images by up to {self.error:.1e} of its "
                f"largest output; expected at most {self_check.BOUND:.0e}. Smaller differences between windows mean "
                "nothing. Networks that amplify rounding do this; if yours should not, please report it.",
                stacklevel=4,
            )

    def _run_chunk(self, work: _Work, at: npt.NDArray[np.int64]) -> list[Array]:
        """The incremental outputs for the boxes ``at``: scores, and logits where the model has them."""
        inputs = [value.name for value in self._incremental.get_inputs()]
        feeds = {**work.feeds, inputs[0]: _ort(work.boxes[at]), inputs[1]: _ort(work.offsets[at])}
        found = self._incremental.run_with_ort_values(self._outputs, {name: feeds[name] for name in inputs})
        return [value.numpy() for value in found]

    def _chunks(
        self, work: _Work, todo: npt.NDArray[np.int64], progress: Progress | None
    ) -> Iterator[tuple[npt.NDArray[np.int64], list[Array]]]:
        total = len(work.boxes)
        chunks = geometry.count_chunks(len(todo), self.annotation.chunk, self._workers)
        pieces = np.array_split(todo, chunks) if chunks else []
        done = total - len(todo)

        def run(at: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], list[Array]]:
            return at, self._run_chunk(work, at)

        with ThreadPoolExecutor(self._workers) as pool:
            # A few chunks in flight a worker: none waits, and an interruption leaves little behind.
            waiting: set[Future[tuple[npt.NDArray[np.int64], list[Array]]]] = set()
            try:
                while pieces or waiting:
                    while pieces and len(waiting) < 2 * self._workers:
                        waiting.add(pool.submit(run, pieces.pop(0)))
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        at, found = future.result()
                        done += len(at)
                        yield at, found
                        if progress is not None:
                            progress(done, total)
            finally:
                for future in waiting:
                    future.cancel()


def _default_options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return options


def _ort(array: npt.NDArray[np.generic]) -> ort.OrtValue:
    # On the CPU this wraps the array's own memory; the array is kept alive by the OrtValue.
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def _pair(value: int | tuple[int, int], name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(pair) != 2:
        raise OcclusionError(f"{name}: expected a number or (height, width), found {value}")
    return int(pair[0]), int(pair[1])
