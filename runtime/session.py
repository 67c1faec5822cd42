"""OcclusionSession: a compiled model that explains its answers on images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from krypton_compile.contract import validate
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.runtime.approximation.bounds import parse_bound
from krypton_compile.runtime.approximation.settings import EXACT, Approximation, settings_for
from krypton_compile.runtime.approximation.thresholds import NOTHING_LEFT_OUT, Thresholds
from krypton_compile.runtime.engine.delegated import Delegated
from krypton_compile.runtime.engine.occlusion import Occlusion, read_occlusion
from krypton_compile.runtime.engine.origin import OpenModel, Origin
from krypton_compile.runtime.engine.providers import Provider
from krypton_compile.runtime.engine.scorer import Array, OcclusionScores, Progress, Rows
from krypton_compile.runtime.engine.work import PreparedImage
from krypton_compile.runtime.inputs.occluders import SAMPLES
from krypton_compile.runtime.inputs.pictures import ArrayLayout
from krypton_compile.runtime.inputs.windows import Size, Strides
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.several_images import Explanations
from krypton_compile.runtime.maps.several_sizes import SizesExplanation
from krypton_compile.runtime.sweep.by_fields import by_fields
from krypton_compile.runtime.sweep.estimate import Estimate
from krypton_compile.runtime.sweep.explain import Chunk, estimate, explain_all, iterate, refine, verify_explanation
from krypton_compile.runtime.sweep.progress import reporter
from krypton_compile.runtime.sweep.request import Classes, Request
from krypton_compile.runtime.sweep.verify import Verification


class OcclusionSession(OpenModel):
    """Scores occluded versions of an image with a compiled model, and explains its answers. Threads may share one.

    It may be closed, and is pickled by what it was made from (:class:`OpenModel`).

    Args:
        model: the path of the compiled file, its bytes, or the ``onnx.ModelProto`` that ``compile`` returns.
        providers: onnxruntime execution providers; the CPU when None. ["CUDAExecutionProvider", "CPUExecutionProvider"]
            takes a GPU, for which the model should be compiled (target="cuda").
        session_options: used for both inner sessions as they are, the op library registered on them.
        threads: worker threads; when None as many as the process may keep busy, by its affinity and its container's
            CPU quota. Ignored when ``session_options`` is given.
        precision: what convolutions may multiply in where the processor is faster at it: "float32"; "bfloat16x3", exact
            by three products on matrix tiles; or "bfloat16", of reduced precision. None takes bfloat16x3 where there
            are tiles and a check at the first use finds it exact, else float32.
        preprocessing: how pictures become the model's input: "imagenet", "unit", "tf", "caffe", "none", a Hugging Face
            preprocessor_config.json, or a :class:`Preprocessing`; what the file says when None.
        labels: the classes' names; what the file says when None.

    Attributes:
        scorer: what scores windows; the functions of sweep/explain.py take it and a :class:`Request`. Its
            :class:`CompiledModel` documents what the file says of itself, :class:`Sessions` precision and error.

    Raises:
        OcclusionError: if ``precision`` is unknown, ``threads`` is less than one, there are more or fewer ``labels``
            than classes, or ``preprocessing`` is given for a model of signals or volumes.
        OSError, ValueError: if ``preprocessing`` is no recipe, or does not fit the model.
        ModelError: if the file is not a compiled model.
        LibraryError: if the op library is missing or does not fit this onnxruntime.
    """

    annotation = Delegated(lambda scorer: scorer.model.annotation)
    tuning = Delegated(lambda scorer: scorer.model.tuning)
    tuned = Delegated(lambda scorer: scorer.model.tuned)
    preprocessing = Delegated(lambda scorer: scorer.model.preprocessing)
    labels = Delegated(lambda scorer: scorer.model.labels)
    source_sha256 = Delegated(lambda scorer: scorer.model.source_sha256)
    frozen_gates = Delegated(lambda scorer: scorer.model.frozen_gates)
    image_name = Delegated(lambda scorer: scorer.model.annotation.image)
    image_shape = Delegated(lambda scorer: scorer.model.image_shape)
    image_size = Delegated(lambda scorer: scorer.model.image_size)
    layout = Delegated(lambda scorer: scorer.model.layout)
    spatial = Delegated(lambda scorer: scorer.model.spatial)
    classes = Delegated(lambda scorer: scorer.classes)
    threads = Delegated(lambda scorer: scorer.sessions.threads)
    precision = Delegated(lambda scorer: scorer.sessions.precision)
    error = Delegated(lambda scorer: scorer.sessions.error)

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | onnx.ModelProto,
        providers: Sequence[Provider] | None = None,
        session_options: ort.SessionOptions | None = None,
        threads: int | None = None,
        precision: str | None = None,
        preprocessing: Preprocessing | str | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        origin = Origin(model, providers, session_options, threads, precision)
        super().__init__(origin, origin.open(preprocessing, labels))

    def settings_for(self, quality: str) -> Approximation:
        """Settings that should keep a bound such as "ssim>=0.9".

        Those that krypton-tune stored, if their bound implies it; else windows are scored until the map seems to keep
        it, by what was measured on other models.

        Raises:
            ValueError: if ``quality`` is no bound.
        """
        return settings_for(parse_bound(quality), self.tuned, self.scorer.model.tuned_bounds)

    def prepare(self, image: npt.ArrayLike, baseline: npt.ArrayLike = 0.0) -> PreparedImage:
        """Run the model once on the image itself; see :meth:`Scorer.prepare`."""
        return self.scorer.prepare(image, baseline)

    def changes(self, prepared: PreparedImage, boxes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Bool [P]: whether image and baseline differ in a pixel of each box; where not, its scores are the base's."""
        return self.scorer.changes(prepared, self._hidden(boxes).boxes)

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
        """float32 [P, K]: the model's output with each box replaced; see :meth:`prepare` and :meth:`score`."""
        hidden, prepared = self._hidden(boxes, patches, mask), self.prepare(image, baseline)
        return self.scorer.score(prepared, hidden, classes=classes, progress=progress).scores

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
    ) -> OcclusionScores:
        """All outputs for the boxes: :meth:`prepare`, then :meth:`score` with thresholds ``tau`` and ``eps``."""
        prepared = self.prepare(image, baseline)
        return self.scorer.score(prepared, self._hidden(boxes, patches, mask), Thresholds(tau, eps), classes=classes)

    def score(
        self,
        prepared: PreparedImage,
        boxes: npt.ArrayLike,
        thresholds: Thresholds = NOTHING_LEFT_OUT,
        *,
        patches: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        classes: Sequence[int] | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> OcclusionScores:
        """All outputs for the boxes on a prepared image.

        An :class:`Occlusion` documents ``boxes``, ``patches`` and ``mask``, :meth:`Scorer.score` the rest.

        Raises:
            OcclusionError: if an argument has another dtype, shape or range than is said there.
        """
        hidden = self._hidden(boxes, patches, mask)
        return self.scorer.score(
            prepared, hidden, thresholds, classes=classes, batch_size=batch_size, progress=progress
        )

    def iter_score(
        self,
        prepared: PreparedImage,
        boxes: npt.ArrayLike,
        thresholds: Thresholds = NOTHING_LEFT_OUT,
        *,
        patches: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        classes: Sequence[int] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[tuple[Rows, OcclusionScores]]:
        """The same, chunk by chunk: yields (rows of ``boxes``, their outputs) as they are done, each row once."""
        hidden = self._hidden(boxes, patches, mask)
        return self.scorer.iter_score(prepared, hidden, thresholds, classes=classes, batch_size=batch_size)

    def explain(  # noqa: PLR0913 - the face of a session: the fields of a Request
        self,
        image: object,
        patch_size: Size = 16,
        stride: Strides = 4,
        baseline: object = None,
        target: int | str | None = None,
        classes: Classes = None,
        approximation: Approximation | str = EXACT,
        check: bool = True,
        progress: Progress | bool | None = None,
        *,
        patch_sizes: Sequence[Size] | None = None,
        edge: str = "truncate",
        baseline_space: str | None = None,
        samples: int = SAMPLES,
        value: str = "difference",
        activation: str = "none",
        roi: Sequence[int] | None = None,
        segments: object = None,
        batch_size: int | str = "auto",
        layout: ArrayLayout | None = None,
    ) -> Explanation | SizesExplanation | Explanations:
        """Occlude the whole image window by window.

        ``image`` is a picture (a path, bytes, an open file, a PIL image, a uint8 array [H, W, C]), which goes through
        the model's preprocessing, or the model's input itself: floats of its shape, an array or a tensor, without the
        batch axis too; of signals and volumes the latter. Of a list of such, or a batch [N, ...] of more than one, the
        result is a list, :class:`Explanations`, one after the other. ``check`` scores a few
        windows of an approximate map again, exactly, and says how far off it is. ``progress`` is called with (done,
        total) windows; True draws a bar. The other arguments are the fields of a :class:`Request`, which documents
        them; with ``patch_sizes`` the result is that of several sizes.

        Raises:
            OcclusionError: if an argument has no meaning for this model and image, such as a patch larger than the
                image, or a target that names no class; the message says what was expected.
            OSError, ValueError: if a picture cannot be read.
        """
        request = Request(
            patch_size, stride, baseline, target, classes, approximation, patch_sizes=patch_sizes, edge=edge,
            baseline_space=baseline_space, samples=samples, value=value, activation=activation, roi=roi,
            segments=segments, batch_size=batch_size, layout=layout,
        )  # fmt: skip
        with reporter(progress) as report:
            return explain_all(self.scorer, image, request, check, report)

    @by_fields(Request)
    def iter_explain(self, image: object, request: Request) -> Iterator[Chunk]:
        """The windows' scores as they get done, each window once, in no particular order; nothing is kept.

        For grids whose scores do not fit into memory, or to stop early. Arguments as for :meth:`explain`, of one size;
        an approximation may have thresholds alone.
        """
        return iterate(self.scorer, image, request)

    @by_fields(Request)
    def explain_progressively(self, image: object, request: Request) -> Iterator[Explanation]:
        """Ever finer maps of the whole image, each usable; stop at any time. The last is :meth:`explain`'s, exact.

        Windows that are not scored yet are interpolated from their neighbours; ``Explanation.estimated_error`` says
        how far off that was for the windows scored last. No window is scored twice. Arguments as for :meth:`explain`,
        of one size and exact.
        """
        return refine(self.scorer, image, request)

    @by_fields(Request)
    def estimate(self, image: object, request: Request) -> Estimate:
        """How many windows an exact :meth:`explain` would score, and about how long and how much memory that takes.

        A few windows are scored to find out. Arguments as for :meth:`explain`.
        """
        return estimate(self.scorer, image, request)

    def verify(
        self,
        explanation: Explanation | SizesExplanation,
        image: object,
        original: str | os.PathLike[str] | None = None,
        windows: int = 16,
        *,
        baseline: object = None,
        baseline_space: str | None = None,
        samples: int = SAMPLES,
        layout: ArrayLayout | None = None,
    ) -> Verification:
        """Score some of the explanation's windows again, by the model that was compiled, on really occluded images.

        ``explanation`` is what :meth:`explain` found for ``image``, with this ``baseline``, ``baseline_space``,
        ``samples`` and ``layout``: no explanation holds its image. ``original`` is the model's file; without it the
        compiled file's own base graph runs. ``windows`` are drawn at random, of several sizes that many of each.

        Raises:
            OcclusionError: if ``windows`` is less than one, the baseline is another one, or ``original`` is another
                model than the one that was compiled.
            ModelError: if ``original`` cannot be run.
        """
        made = isinstance(explanation, Explanation | SizesExplanation)
        validate.require("explanation", explanation, made, "what explain() returns for one image")
        space = explanation.activation
        request = Request(
            baseline=baseline, baseline_space=baseline_space, samples=samples, activation=space, layout=layout
        )
        return verify_explanation(self.scorer, explanation, image, request, original, windows)

    def _hidden(
        self, boxes: npt.ArrayLike, patches: npt.ArrayLike | None = None, mask: npt.ArrayLike | None = None
    ) -> Occlusion:
        return read_occlusion(boxes, self.spatial, self.annotation.channels, patches, mask)
