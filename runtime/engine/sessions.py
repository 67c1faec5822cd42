"""The two onnxruntime sessions behind an OcclusionSession: the base half of a compiled file, and the incremental one.

image, baseline   --base-->         base maps, base scores, magnitudes of tensors
maps, some boxes  --incremental-->  outputs of these boxes; a session for each precision that is asked for
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from krypton_compile.contract.annotations import EPS, TAU
from krypton_compile.contract.exactness import SELF_CHECK_BOUND
from krypton_compile.contract.geometry import Boxes, Pair
from krypton_compile.contract.occlude import occlude
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.contract.presets import read_recipe
from krypton_compile.contract.schemas import DOMAIN, PRECISIONS
from krypton_compile.errors import LibraryError, ModelError, OcclusionError
from krypton_compile.ort.errors import explain, start_session
from krypton_compile.ort.library import get_library_path, multiplies_bfloat16, multiplies_bfloat16x3
from krypton_compile.runtime.approximation.settings import REDUCED, read_settings
from krypton_compile.runtime.engine import self_check
from krypton_compile.runtime.engine.providers import (
    Provider,
    check_started,
    check_works,
    give_weights,
    place,
    run_on_device,
    send,
)
from krypton_compile.runtime.engine.split_file import AGAIN, split, with_precision, with_weights
from krypton_compile.runtime.inputs import arrays

Array = npt.NDArray[np.float32]

_QUIET = 4
"""onnxruntime's log level at which it prints nothing of what it raises anyway."""


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
class Work:
    """One image and its boxes, checked; ``offsets`` [P + 1] of the boxes' rows in ``patches`` and ``mask``."""

    image: Array
    baseline: Array
    boxes: Boxes
    offsets: npt.NDArray[np.int64]
    patches: npt.NDArray[np.generic] | None
    mask: npt.NDArray[np.generic] | None
    feeds: dict[str, ort.OrtValue]
    incremental: ort.InferenceSession

    def occluded(self, row: int, layout: str) -> Array:
        """The image with one box replaced."""
        rows = slice(self.offsets[row], self.offsets[row + 1])
        new = self.baseline if self.patches is None else self.patches[rows]
        mask = None if self.mask is None else self.mask[rows]
        return occlude(self.image, self.boxes[row : row + 1], new, layout, mask)


class Engine:
    """What an OcclusionSession does with onnxruntime; see there for the arguments, attributes and errors."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        providers: Sequence[Provider] | None = None,
        session_options: ort.SessionOptions | None = None,
        threads: int | None = None,
        precision: str | None = None,
        preprocessing: Preprocessing | str | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        if precision not in (None, *PRECISIONS):
            raise OcclusionError(f"precision: expected one of {', '.join(PRECISIONS)} or None, found {precision!r}")
        if threads is not None and threads < 1:
            raise OcclusionError(f"threads: expected at least 1, found {threads}")
        parts = split(Path(path))
        self.annotation = parts.annotation
        self.tuning = parts.tuning
        self.preprocessing = parts.preprocessing
        if preprocessing is not None:
            self.preprocessing = read_recipe(preprocessing) if isinstance(preprocessing, str) else preprocessing
            size = arrays.check_picture(parts.annotation.image_shape)
            self.preprocessing.check_fits(size, parts.annotation.channels)
        self.labels = parts.labels if labels is None else tuple(labels)
        self.source_sha256 = parts.source_sha256
        self.frozen_gates = parts.frozen_gates
        self.tuned = None if parts.tuning is None else read_settings(parts.tuning.settings)
        self.image_name = parts.annotation.image
        self.image_shape = parts.image_shape
        self.layout = parts.annotation.layout
        self.spatial = parts.annotation.image_shape
        self.threads = threads or len(os.sched_getaffinity(0))
        self._captured = parts.captured
        self._limits = parts.limits
        folder = str(Path(path).resolve().parent)
        self._place = place(providers)
        self._workers = 1 if session_options is not None or self._place.cuda else self.threads
        if session_options is not None and self._place.cuda:
            # There a session's options may hold no weight that its model does not ask for.
            parts = replace(parts, base=with_weights(parts.base), incremental=with_weights(parts.incremental))
        # onnxruntime reads shared weights where they are: these must live as long as the sessions.
        self._weights = {
            name: as_ort(array) for name, array in {**parts.base.weights, **parts.incremental.weights}.items()
        }
        if session_options is not None:
            base_options = incremental_options = self._prepared(session_options, folder, self._weights)
        else:
            base_options = self._prepared(_default_options(self.threads), folder, parts.base.weights)
            incremental_options = self._prepared(_default_options(1), folder, parts.incremental.weights)
        self._path = path
        self._doing = f"{path}: onnxruntime {ort.__version__} cannot run the compiled model"
        self._base = self._start(parts.base.model, base_options)
        self._incremental_part = parts.incremental.model
        self._incremental_options = incremental_options
        self.precision = precision or ("bfloat16x3" if multiplies_bfloat16x3() and not self._place.cuda else "float32")
        self._may_fall_back = precision is None and self.precision != "float32"
        self.error = math.nan
        self._incremental = self._make_incremental(self.precision)
        if self._place.cuda:
            self._say_what_waits()
        self._in_bfloat16: ort.InferenceSession | None = None
        self._lock = threading.Lock()
        self._outputs = [value.name for value in self._incremental.get_outputs()]
        self._kinds = 1 if parts.annotation.logits is None else 2
        self.classes = self._count_classes()

    @property
    def image_size(self) -> Pair:
        """(H, W) of the model's pictures; ``spatial`` has the sizes of signals and volumes too.

        Raises:
            OcclusionError: it takes no pictures.
        """
        return arrays.check_picture(self.spatial)

    def prepare(self, image: npt.ArrayLike, baseline: npt.ArrayLike = 0.0) -> PreparedImage:
        """Runs the model once on the image itself.

        Args:
            image: float32, the model's own input shape.
            baseline: a number, or an array like the image: the pixels that show inside a box.

        Raises:
            OcclusionError: an argument of another dtype, shape or range.
        """
        pixels = arrays.check_image(image, "image", self.image_shape)
        blank = arrays.make_baseline(baseline, self.image_shape)
        outputs = self._base_outputs(pixels, blank)
        scores, logits = self._base_rows(outputs)
        captured = dict(zip(self._captured, outputs, strict=False))
        feeds = {name: value for name, value in captured.items() if name not in self._limits}
        magnitudes = {name: float(captured[name].numpy()[0]) for name in self._limits}
        return PreparedImage(pixels, blank, scores, logits, feeds, magnitudes)

    def _session_in(self, precision: str | None) -> ort.InferenceSession:
        """The incremental session; that in bfloat16 is made when it is first asked for."""
        if precision != REDUCED or not (self._place.cuda or multiplies_bfloat16()):
            return self._incremental
        with self._lock:
            if self._in_bfloat16 is None:
                self._in_bfloat16 = self._make_incremental(REDUCED)
            return self._in_bfloat16

    def _make_incremental(self, precision: str) -> ort.InferenceSession:
        model = with_precision(self._incremental_part, precision)
        return self._start(model, self._incremental_options)

    def _start(self, model: bytes, options: ort.SessionOptions) -> ort.InferenceSession:
        if not self._place.cuda:
            return start_session(model, options, ModelError, self._doing, self._place.providers)
        try:
            session = start_session(model, options, ModelError, self._doing, self._place.providers)
        except ModelError:
            check_works(self._place.providers)
            raise
        check_started(session)
        return session

    def _prepared(self, options: ort.SessionOptions, folder: str, weights: Iterable[str]) -> ort.SessionOptions:
        """The options with op library and shared weights; on the CPU both sessions may be made with the same ones."""
        library = get_library_path(self._place.cuda)
        try:
            options.register_custom_ops_library(library)
        except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
            raise LibraryError(
                f"onnxruntime {ort.__version__} cannot load the custom-op library {library}: {error}. "
                "Use an onnxruntime from 1.20 on, or reinstall krypton-compile for this one."
            ) from error
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        give_weights(options, {name: self._weights[name] for name in weights}, self._place.cuda)
        return options

    def _say_what_waits(self) -> None:
        """Warns of a file made for the CPU: its boxes are shrunk on the host, layer after layer."""
        nodes = onnx.ModelProto.FromString(self._incremental_part).graph.node
        waits = sum(node.domain == DOMAIN and node.op_type == "ShrinkBoxes" for node in nodes)
        if waits:
            warnings.warn(
                f"{self._path}: {waits} of its ops look at values on the CPU, and the GPU waits for each of them in "
                "every chunk. Compile the model with --target cuda (compile(..., target='cuda')).",
                stacklevel=4,
            )

    def _thresholds(self, prepared: PreparedImage, tau: Array, eps: Array) -> dict[str, ort.OrtValue]:
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
        eps = as_ort(np.ones(1, np.float32))
        feeds = {self.annotation.image: as_ort(image), self.annotation.baseline: as_ort(baseline), EPS: eps}
        outputs = [value.name for value in self._base.get_outputs()]
        used = {value.name for value in self._base.get_inputs()}
        feeds = {name: value for name, value in feeds.items() if name in used}
        return self._run(self._base, outputs, feeds, stay=self._place.cuda)

    def _base_rows(self, outputs: list[ort.OrtValue]) -> tuple[Array, Array | None]:
        rows = [value.numpy().reshape(-1).copy() for value in outputs[len(self._captured) :]]
        self._check_rows([row[None] for row in rows], 1)
        if not all(np.isfinite(row).all() for row in rows):
            raise OcclusionError("the model's output for this image is not finite; check the image's preprocessing")
        return rows[0], rows[1] if len(rows) > 1 else None

    def _check(self, work: Work, at: npt.NDArray[np.int64], base: Array) -> None:
        """Measures ``error`` on the boxes ``at``; where results should be exact and are not, float32 takes over."""
        images = [work.occluded(row, self.layout) for row in at]
        rows = [self._base_rows(self._base_outputs(image, work.baseline)) for image in images]
        expected = np.stack([scores if logits is None else logits for scores, logits in rows])
        self.error = self_check.measure_error(self._run_chunk(work, at)[self._kinds - 1], expected, base)
        if self.frozen_gates:
            return  # approximate by wish
        if self.error > SELF_CHECK_BOUND and self._may_fall_back:
            self.precision = "float32"
            self._incremental = self._make_incremental(self.precision)
            work = replace(work, incremental=self._incremental)
            self.error = self_check.measure_error(self._run_chunk(work, at)[self._kinds - 1], expected, base)
        if self.error > SELF_CHECK_BOUND and self.precision != "bfloat16":
            warnings.warn(
                f"{len(at)} windows differ from the model on really occluded images by up to {self.error:.1e} of its "
                f"largest output; expected at most {SELF_CHECK_BOUND:.0e}. Smaller differences between windows mean "
                "nothing. Networks that amplify rounding do this; if yours should not, please report it.",
                stacklevel=4,
            )

    def _run_chunk(self, work: Work, at: npt.NDArray[np.int64]) -> list[Array]:
        """The incremental outputs for the boxes ``at``: scores, and logits where the model has them."""
        inputs = [value.name for value in work.incremental.get_inputs()]
        feeds = {**work.feeds, inputs[0]: as_ort(work.boxes[at]), inputs[1]: as_ort(work.offsets[at])}
        found = self._run(work.incremental, self._outputs, {name: feeds[name] for name in inputs})
        rows = [value.numpy() for value in found]
        self._check_rows(rows[: self._kinds], len(at))
        return rows

    def _count_classes(self) -> int:
        shapes = [value.shape for value in self._incremental.get_outputs()][: self._kinds]
        same = len(shapes) == self._kinds and len({tuple(shape[1:]) for shape in shapes}) == 1
        if not same or len(shapes[0]) != 2 or not isinstance(shapes[0][1], int):
            raise ModelError(
                f"{self._path}: expected rows of scores for each window, found the shapes {shapes}. {AGAIN}"
            )
        classes = int(shapes[0][1])
        if self.labels is not None and len(self.labels) != classes:
            raise OcclusionError(f"{len(self.labels)} labels for a model of {classes} classes; expected one a class")
        return classes

    def _check_rows(self, rows: list[Array], count: int) -> None:
        for row in rows:
            if row.shape != (count, self.classes) or row.dtype != np.float32:
                raise ModelError(
                    f"{self._path}: expected scores of shape {[count, self.classes]}, found {row.dtype} "
                    f"{list(row.shape)}. {AGAIN}"
                )

    def _run(
        self,
        session: ort.InferenceSession,
        outputs: list[str],
        feeds: dict[str, ort.OrtValue],
        stay: bool = False,
    ) -> list[ort.OrtValue]:
        """The outputs; with ``stay`` they are left on the device."""
        try:
            if stay:
                return run_on_device(session, outputs, feeds, "cuda", self._place.gpu or 0)
            result: list[ort.OrtValue] = session.run_with_ort_values(outputs, feeds)
        except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
            if self._place.cuda:
                check_works(self._place.providers)
            raise OcclusionError(f"the model does not run on this image: {explain(error)}") from error
        return result


def _default_options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return options


def as_ort(array: npt.NDArray[np.generic]) -> ort.OrtValue:
    """The array for onnxruntime: on the CPU its own memory, which the OrtValue keeps alive."""
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
