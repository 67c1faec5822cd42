"""The two onnxruntime sessions of a compiled file: its base half, and the incremental one.

image, baseline   --base-->         base maps, base scores, magnitudes of tensors
maps, some boxes  --incremental-->  outputs of these boxes; a session for each precision that is asked for
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from krypton_compile.contract import validate
from krypton_compile.contract.annotations import EPS, TAU
from krypton_compile.contract.exactness import PIECES_BOUND, SELF_CHECK_BOUND
from krypton_compile.contract.schemas import PRECISIONS
from krypton_compile.errors import LibraryError, ModelError, OcclusionError
from krypton_compile.ort.errors import explain, start_session
from krypton_compile.ort.library import get_library_path, multiplies_bfloat16, multiplies_bfloat16x3
from krypton_compile.runtime.approximation.thresholds import NOTHING_LEFT_OUT, REDUCED, Thresholds
from krypton_compile.runtime.engine import self_check
from krypton_compile.runtime.engine.cores import count_cores
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.engine.outputs import check_rows, count_classes
from krypton_compile.runtime.engine.providers import (
    Provider,
    as_ort,
    check_started,
    check_works,
    give_weights,
    place,
    refuse_others,
    run_on_device,
    send,
    warn_of_waiting,
)
from krypton_compile.runtime.engine.split_file import Split, with_precision, with_weights
from krypton_compile.runtime.engine.work import Measured, PreparedImage, Work

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

MOST_THREADS = 1024
_QUIET = 4
"""onnxruntime's log level at which it prints nothing of what it raises anyway."""


class Sessions:
    """Runs both halves of a compiled file. Threads may share it.

    Args:
        parts: the file's halves.
        providers: onnxruntime execution providers; the CPU when None.
        options: used for both sessions as they are, the op library registered on them; our own when None.
        threads: worker threads; as many as there are cores for it (cores.py) when None. Ignored when ``options`` are
            given.
        precision: what convolutions may multiply in; None for what the processor does best and a check finds exact.

    Attributes:
        precision: the one in force.
        error: the largest that checks measured of any image, in units of its largest logit (self_check.py); NaN before
            the first one.
        classes: how many scores there are for each window.

    Raises:
        OcclusionError: if ``precision`` is unknown, or ``threads`` is no number from 1 to :data:`MOST_THREADS`.
        ModelError: if onnxruntime cannot run the file.
        LibraryError: if the op library is missing or does not fit this onnxruntime.
    """

    def __init__(
        self,
        parts: Split,
        providers: Sequence[Provider] | None = None,
        options: ort.SessionOptions | None = None,
        threads: int | None = None,
        precision: str | None = None,
    ) -> None:
        if precision is not None and not validate.is_one_of(precision, PRECISIONS):
            found = validate.show(precision)
            raise OcclusionError(f"precision: expected one of {', '.join(PRECISIONS)} or None, found {found}")
        if threads is not None and not (validate.is_count(threads) and threads <= MOST_THREADS):
            raise OcclusionError(
                f"threads: expected at least 1, at most {MOST_THREADS}; found {validate.show(threads)}"
            )
        self._model, self._beside = parts.model, parts.beside
        self._captured, self._limits = parts.captured, parts.limits
        self.threads = threads or count_cores()
        self._place = place(providers)
        self.workers = 1 if options is not None or self._place.cuda else self.threads
        if options is not None and self._place.cuda:
            # There a session's options may hold no weight that its model does not ask for.
            parts = replace(parts, base=with_weights(parts.base), incremental=with_weights(parts.incremental))
        # onnxruntime reads shared weights where they are: these must live as long as the sessions.
        self._weights = {
            name: as_ort(array) for name, array in {**parts.base.weights, **parts.incremental.weights}.items()
        }
        if options is not None:
            base_options = incremental_options = self._prepared(options, self._weights)
        else:
            base_options = self._prepared(_default_options(self.threads), parts.base.weights)
            incremental_options = self._prepared(_default_options(1), parts.incremental.weights)
        self.incremental_part = parts.incremental.model
        self._incremental_options = incremental_options
        self.base = self._start(parts.base.model, base_options)
        self.precision = precision or ("bfloat16x3" if multiplies_bfloat16x3() and not self._place.cuda else "float32")
        self._compared_beyond = PIECES_BOUND if precision is None and self.precision != "float32" else math.inf
        self.error = math.nan
        self.incremental = self.make_incremental(self.precision)
        if self._place.cuda:
            warn_of_waiting(self._model.path, self.incremental_part)
        self._in_bfloat16: ort.InferenceSession | None = None
        self._lock, self._first = threading.Lock(), threading.RLock()
        self.outputs = [value.name for value in self.incremental.get_outputs()]
        self.kinds = 2 if parts.model.has_logits else 1
        self.classes = count_classes(self._model.path, self.incremental, self.kinds)

    def prepare(self, image: Array, baseline: Array, measured: bool = False) -> PreparedImage:
        """Run the base half on an image, the error of whose windows will be ``measured``."""
        outputs = self._base_outputs(image, baseline)
        scores, logits = self._base_rows(outputs)
        captured = dict(zip(self._captured, outputs, strict=False))
        feeds = {name: value for name, value in captured.items() if name not in self._limits}
        magnitudes = {name: float(captured[name].numpy()[0]) for name in self._limits}
        return PreparedImage(image, baseline, scores, logits, feeds, magnitudes, Measured(measured))

    def begin(self, prepared: PreparedImage, occlusion: Occlusion, thresholds: Thresholds) -> Work:
        """Make ready to run the incremental half on some boxes of a prepared image."""
        annotation, own, mask = self._model.annotation, occlusion.patches, occlusion.mask
        feeds = {**prepared.feeds, **self._feed_thresholds(prepared, thresholds)}
        feeds[annotation.patches] = self._for_all_chunks(np.zeros((0, 0), np.float32) if own is None else own)
        feeds[annotation.mask] = self._for_all_chunks(np.zeros(0, np.bool_) if mask is None else mask)
        return Work(prepared, occlusion, feeds, self.incremental)

    def run_chunk(self, work: Work, at: Rows) -> list[Array]:
        """The outputs of the incremental half for the boxes ``at``: scores, and logits where the model has them."""
        inputs = [value.name for value in work.session.get_inputs()]
        hidden = work.occlusion
        feeds = {**work.feeds, inputs[0]: as_ort(hidden.boxes[at]), inputs[1]: as_ort(hidden.offsets[at])}
        values = self.run(work.session, self.outputs, {name: feeds[name] for name in inputs})
        rows = [value.numpy() for value in values]
        check_rows(self._model.path, rows[: self.kinds], len(at), self.classes)
        return rows

    def check_once(self, work: Work, todo: Rows) -> None:
        """Check a few of the boxes ``todo``: at the sessions' first use, and at that of an image whose error is wanted.

        Threads that share the image wait, at the first use all. Where results should be exact and are not, float32
        takes over.
        """
        prepared, measured = work.prepared, work.prepared.measured
        with measured.lock if measured.wanted else self._first:
            known = measured.error if measured.wanted else self.error
            if not math.isnan(known) or not len(todo):
                return
            some = work.occlusion.boxes[todo]
            layout, later = self._model.full_layout, not math.isnan(self.error)
            at = todo[self_check.choose_windows(prepared.image, prepared.baseline, some, layout, later)]
            exact = self._feed_thresholds(prepared, NOTHING_LEFT_OUT)
            checked = replace(work, session=self.incremental, feeds={**work.feeds, **exact})
            measured.error = self._self_check(checked, at)
            self.error = max(measured.error, 0.0 if math.isnan(self.error) else self.error)

    def with_precision(self, work: Work, precision: str | None) -> Work:
        """The work by the session of a precision; that of bfloat16 is made when it is first asked for."""
        if precision != REDUCED or not (self._place.cuda or multiplies_bfloat16()):
            return replace(work, session=self.incremental)
        with self._lock:
            if self._in_bfloat16 is None:
                self._in_bfloat16 = self.make_incremental(REDUCED)
            return replace(work, session=self._in_bfloat16)

    def make_incremental(self, precision: str) -> ort.InferenceSession:
        """A session of the incremental half whose convolutions may multiply in ``precision``."""
        return self.start_incremental(with_precision(self.incremental_part, precision))

    def start_incremental(self, model: bytes) -> ort.InferenceSession:
        """A session of a model in the incremental half's place, with its weights and options."""
        return self._start(model, self._incremental_options)

    def run(
        self,
        session: ort.InferenceSession,
        outputs: list[str],
        feeds: Mapping[str, ort.OrtValue],
        stay: bool = False,
    ) -> list[ort.OrtValue]:
        """Run one of the sessions; with ``stay`` the outputs are left on the device.

        Raises:
            OcclusionError: if the model does not run on this image.
            LibraryError: if the execution provider does not work at all.
        """
        try:
            if stay:
                return run_on_device(session, outputs, feeds, "cuda", self._place.gpu or 0)
            result: list[ort.OrtValue] = session.run_with_ort_values(outputs, feeds)
        except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
            if self._place.cuda:
                check_works(self._place.providers)
            raise OcclusionError(f"the model does not run on this image: {explain(error)}") from error
        return result

    def _start(self, model: bytes, options: ort.SessionOptions) -> ort.InferenceSession:
        doing = f"{self._model.path}: onnxruntime {ort.__version__} cannot run the compiled model"
        try:
            session = start_session(model, options, ModelError, doing, self._place.providers)
        except ModelError as error:
            if self._place.cuda:
                check_works(self._place.providers)
            refuse_others(self._model.path, self._place.providers, error)
            raise
        if self._place.cuda:
            check_started(session)
        return session

    def _prepared(self, options: ort.SessionOptions, weights: Iterable[str]) -> ort.SessionOptions:
        """The options with op library and shared weights; on the CPU both sessions may be made with the same ones."""
        library = get_library_path(self._place.cuda)
        try:
            options.register_custom_ops_library(library)
        except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
            raise LibraryError(
                f"onnxruntime {ort.__version__} cannot load the custom-op library {library}: {error}. "
                "Use an onnxruntime from 1.20 on, or reinstall krypton-compile for this one."
            ) from error
        folder = str(self._beside.resolve().parent)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        give_weights(options, {name: self._weights[name] for name in weights}, self._place.cuda)
        return options

    def _feed_thresholds(self, prepared: PreparedImage, thresholds: Thresholds) -> dict[str, ort.OrtValue]:
        tau, eps = thresholds.arrays(self._model.annotation.layer_groups)
        feeds = {TAU: as_ort(tau)}
        for name, group in self._limits.items():
            share = eps[0 if len(eps) == 1 else group]
            feeds[name] = self._for_all_chunks(np.array([share * np.float32(prepared.magnitudes[name])], np.float32))
        return feeds

    def _for_all_chunks(self, array: npt.NDArray[np.generic]) -> ort.OrtValue:
        """An input that the kernels read, where they read it."""
        return as_ort(array) if self._place.gpu is None else send(array, "cuda", self._place.gpu)

    def _base_outputs(self, image: Array, baseline: Array) -> list[ort.OrtValue]:
        # With eps = 1 the limits are the tensors' magnitudes, from which every other eps follows.
        eps, annotation = as_ort(np.ones(1, np.float32)), self._model.annotation
        own = [as_ort(array.reshape(self._model.image_shape)) for array in (image, baseline)]
        feeds = {annotation.image: own[0], annotation.baseline: own[1], EPS: eps}
        outputs = [value.name for value in self.base.get_outputs()]
        used = {value.name for value in self.base.get_inputs()}
        feeds = {name: value for name, value in feeds.items() if name in used}
        return self.run(self.base, outputs, feeds, stay=self._place.cuda)

    def _base_rows(self, outputs: list[ort.OrtValue]) -> tuple[Array, Array | None]:
        rows = [value.numpy().reshape(-1).copy() for value in outputs[len(self._captured) :]]
        check_rows(self._model.path, [row[None] for row in rows], 1, self.classes)
        if not all(np.isfinite(row).any() for row in rows):  # single classes may be masked, or not trained
            raise OcclusionError("the model's output for this image is not finite; check the image's preprocessing")
        return rows[0], rows[1] if len(rows) > 1 else None

    def _self_check(self, work: Work, at: Rows) -> float:
        """Measure the error on the boxes ``at``; float32 takes over where results should be exact and are not."""
        prepared, layout = work.prepared, self._model.full_layout
        base = prepared.base_scores if prepared.base_logits is None else prepared.base_logits
        rows = [self._base_rows(self._base_outputs(work.hidden(row, layout), prepared.baseline)) for row in at]
        expected = np.stack([scores if logits is None else logits for scores, logits in rows])
        excess, scores = prepared.excess, self.run_chunk(work, at)[self.kinds - 1]
        error = self_check.measure_error(scores, expected, base, excess)
        if self._model.frozen_gates:
            return error  # approximate by wish
        if error > self._compared_beyond:
            in_float32 = self.make_incremental("float32")
            scores = self.run_chunk(replace(work, session=in_float32), at)[self.kinds - 1]
            error = self._fall_back(in_float32, error, self_check.measure_error(scores, expected, base, excess))
        if error > SELF_CHECK_BOUND and self.precision != "bfloat16":
            self_check.warn_of_error(error, len(at), excess)
        return error

    def _fall_back(self, in_float32: ort.InferenceSession, error: float, other: float) -> float:
        """Multiply in float32 from now on, where its error is the smaller one by far; returns that of what is kept."""
        with self._lock:
            if error <= SELF_CHECK_BOUND and 2 * other > error:
                self._compared_beyond = max(self._compared_beyond, SELF_CHECK_BOUND)
                return error  # the network's own rounding, not that of the pieces
            if self.precision != "float32":  # else another thread has found the same
                self.incremental, self.precision, self._compared_beyond = in_float32, "float32", math.inf
        return other


def _default_options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return options
