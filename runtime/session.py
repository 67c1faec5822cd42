"""OcclusionSession: a compiled model, ready to score boxes on images.

image, baseline              --prepare-->  base maps, once an image
base maps, boxes, thresholds --score---->  the model's output for each box, chunk by chunk (chunks.py)
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from krypton_compile import geometry
from krypton_compile.annotations import EPS, TAU
from krypton_compile.errors import LibraryError, OcclusionError
from krypton_compile.geometry import Boxes
from krypton_compile.library import get_library_path, multiplies_bfloat16
from krypton_compile.runtime import checks, self_check
from krypton_compile.runtime.approximation import EXACT, Approximation, read_settings, settings_for
from krypton_compile.runtime.bounds import parse_bound
from krypton_compile.runtime.chunks import run_chunks
from krypton_compile.runtime.explanation import Explanation
from krypton_compile.runtime.occlusion import sweep_once, sweep_progressively
from krypton_compile.runtime.split import split, with_precision
from krypton_compile.runtime.sweep import plan
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
class PreparedImage:
    """An image whose base maps are computed; what :meth:`OcclusionSession.score` takes, as often as one likes."""

    image: Array
    baseline: Array
    base_scores: Array
    base_logits: Array | None
    feeds: dict[str, ort.OrtValue]
    magnitudes: dict[str, float]


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
            bfloat16x3 where there are any and a check at the first use finds it exact, else float32.

    Attributes:
        precision: the one in force.
        tuned: the settings that krypton-tune stored in the file, or None; ``tuning`` tells what they are worth.
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
        self.tuning = parts.tuning
        self.tuned = None if parts.tuning is None else read_settings(parts.tuning.settings)
        self.image_name = parts.annotation.image
        self.image_shape = parts.image_shape
        self.layout = parts.annotation.layout
        self.image_size = parts.annotation.image_shape
        self.threads = threads or len(os.sched_getaffinity(0))
        self._captured = parts.captured
        self._limits = parts.limits
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
        self.precision = precision or ("bfloat16x3" if multiplies_bfloat16() else "float32")
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

    def prepare(self, image: npt.ArrayLike, baseline: npt.ArrayLike = 0.0) -> PreparedImage:
        """Runs the model once on the image itself.

        Args:
            image: float32, the model's own input shape.
            baseline: a number, or an array like the image: the pixels that show inside a box.

        Raises:
            OcclusionError: an argument of another dtype, shape or range.
        """
        pixels = checks.check_image(image, "image", self.image_shape)
        blank = checks.make_baseline(baseline, self.image_shape)
        outputs = self._base_outputs(pixels, blank)
        scores, logits = self._base_rows(outputs)
        captured = dict(zip(self._captured, outputs, strict=False))
        feeds = {name: value for name, value in captured.items() if name not in self._limits}
        magnitudes = {name: float(captured[name].numpy()[0]) for name in self._limits}
        return PreparedImage(pixels, blank, scores, logits, feeds, magnitudes)

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
        feeds[self.annotation.patches] = _ort(np.zeros((0, 0), np.float32) if own is None else own)
        feeds[self.annotation.mask] = _ort(np.zeros(0, np.bool_) if chosen is None else chosen)
        work = _Work(prepared.image, prepared.baseline, checked, geometry.row_offsets(checked), own, chosen, feeds)
        todo = np.flatnonzero(changed)
        todo = todo[geometry.neighbour_order(checked[todo])]
        if math.isnan(self.error) and len(todo):
            at = todo[self_check.choose_windows(work.image, work.baseline, checked[todo], self.layout)]
            exact = self._thresholds(prepared, np.ones(1, np.float32), np.zeros(1, np.float32))
            exact_work = replace(work, feeds={**feeds, **exact})
            self._check(exact_work, at, prepared.base_scores if base_logits is None else base_logits)
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

    def _thresholds(self, prepared: PreparedImage, tau: Array, eps: Array) -> dict[str, ort.OrtValue]:
        feeds = {TAU: _ort(tau)}
        for name, group in self._limits.items():
            share = eps[0 if len(eps) == 1 else group]
            feeds[name] = _ort(np.array([share * np.float32(prepared.magnitudes[name])], np.float32))
        return feeds

    def _base_outputs(self, image: Array, baseline: Array) -> list[ort.OrtValue]:
        # With eps = 1 the limits are the tensors' magnitudes, from which every other eps follows.
        eps = _ort(np.ones(1, np.float32))
        feeds = {self.annotation.image: _ort(image), self.annotation.baseline: _ort(baseline), EPS: eps}
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
        images = [work.occluded(row, self.layout) for row in at]
        rows = [self._base_rows(self._base_outputs(image, work.baseline)) for image in images]
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


def _default_options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return options


def _ort(array: npt.NDArray[np.generic]) -> ort.OrtValue:
    # On the CPU this wraps the array's own memory; the array is kept alive by the OrtValue.
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
