"""OcclusionSession: a compiled model that explains its answers on images.

image, class, occluder  --ask---------->  a question: the base pass is done (question.py)
patch size, stride, ... --find_windows->  the windows that are hidden (windows.py)
both                    --sweep_once--->  their scores, and the explanation (occlusion.py)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, Unpack, cast, overload

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.geometry import Boxes
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.bounds import parse_bound
from krypton_compile.runtime.approximation.settings import EXACT, Approximation, settings_for
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.inputs.occluders import SAMPLES
from krypton_compile.runtime.inputs.pictures import ArrayLayout
from krypton_compile.runtime.inputs.segments import read_segments
from krypton_compile.runtime.inputs.windows import Size, Windows, find_windows, segment_windows
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.fields import explain_field, refuse
from krypton_compile.runtime.maps.several_sizes import SizesExplanation
from krypton_compile.runtime.sweep.estimate import Estimate, estimate
from krypton_compile.runtime.sweep.progress import progress_within, reporter
from krypton_compile.runtime.sweep.request import Question, ask
from krypton_compile.runtime.sweep.strategies import sweep_once, sweep_progressively
from krypton_compile.runtime.sweep.verify import Verification, verify
from krypton_compile.runtime.sweep.windows_scored import plan, score_windows

Progress = Callable[[int, int], None]


class Further(TypedDict, total=False):
    """Keyword arguments that :meth:`OcclusionSession.explain` documents and the others share."""

    edge: str
    baseline_space: str | None
    samples: int
    value: str
    activation: str
    roi: Sequence[int] | None
    segments: object
    batch_size: int | str
    layout: ArrayLayout | None


class Asked(Further, total=False):
    """Those that may also be given by position."""

    baseline: object
    target: int | str | None
    classes: Sequence[int] | Literal["target"] | None


@dataclass(frozen=True)
class Chunk:
    """Some windows of an explanation, as they get done: ``scores`` [n, K'] of ``boxes`` [n, 4], rows ``index`` [n]."""

    index: npt.NDArray[np.int64]
    boxes: Boxes
    scores: npt.NDArray[np.float32]


class OcclusionSession(Scorer):
    """Scores occluded versions of an image with a compiled model, and explains its answers. Threads may share one.

    Args:
        path: the compiled file.
        providers: onnxruntime execution providers; the CPU when None. ["CUDAExecutionProvider", "CPUExecutionProvider"]
            takes a GPU, for which the model should be compiled (target="cuda").
        session_options: used for both inner sessions as they are, the op library registered on them.
        threads: worker threads; all cores when None. Ignored when ``session_options`` is given.
        precision: what convolutions may multiply in where the processor is faster at it: "float32"; "bfloat16x3",
            exact results from three bfloat16 products on matrix tiles; or "bfloat16", of reduced precision, on matrix
            tiles or dot products. None takes bfloat16x3 where there are tiles and a check at the first use finds it
            exact, else float32.
        preprocessing: how pictures become the model's input: "imagenet", "unit", "tf", "caffe", "none", a Hugging Face
            preprocessor_config.json, or a :class:`Preprocessing`; what the file says when None.
        labels: the classes' names; what the file says when None.

    Attributes:
        precision: the one in force.
        tuned: the settings that krypton-tune stored in the file, or None; ``tuning`` tells what they are worth.
        error: what the check at the first use found, in units of the largest logit (self_check.py); NaN before.

    Raises:
        OcclusionError: another precision, or less than one thread.
        ModelError: the file is not a compiled model.
        LibraryError: the op library is missing or does not fit this onnxruntime.
    """

    def settings_for(self, quality: str) -> Approximation:
        """Settings that should keep a bound such as "ssim>=0.9".

        Those that krypton-tune stored, if their bound implies it; else windows are scored until the map seems to keep
        it, by what was measured on other models.

        Raises:
            ValueError: no bound.
        """
        bounds = () if self.tuning is None else self.tuning.bounds
        return settings_for(parse_bound(quality), self.tuned, bounds)

    @overload
    def explain(
        self,
        image: object,
        patch_size: Size = 16,
        stride: Size = 4,
        baseline: object = None,
        target: int | str | None = None,
        classes: Sequence[int] | Literal["target"] | None = None,
        approximation: Approximation = EXACT,
        check: bool = True,
        progress: Progress | bool | None = None,
        **asked: Unpack[Further],
    ) -> Explanation: ...

    @overload
    def explain(
        self,
        image: object,
        patch_size: list[Size],
        stride: Size | list[Size] = 4,
        baseline: object = None,
        target: int | str | None = None,
        classes: Sequence[int] | Literal["target"] | None = None,
        approximation: Approximation = EXACT,
        check: bool = True,
        progress: Progress | bool | None = None,
        **asked: Unpack[Further],
    ) -> SizesExplanation: ...

    def explain(
        self,
        image: object,
        patch_size: Size | list[Size] = 16,
        stride: Size | list[Size] = 4,
        baseline: object = None,
        target: int | str | None = None,
        classes: Sequence[int] | Literal["target"] | None = None,
        approximation: Approximation = EXACT,
        check: bool = True,
        progress: Progress | bool | None = None,
        *,
        edge: str = "truncate",
        baseline_space: str | None = None,
        samples: int = SAMPLES,
        value: str = "difference",
        activation: str = "none",
        roi: Sequence[int] | None = None,
        segments: object = None,
        batch_size: int | str = "auto",
        layout: ArrayLayout | None = None,
    ) -> Explanation | SizesExplanation:
        """Occludes the whole image window by window.

        Of a model of signals or volumes the image is the model's input and the result a :class:`FieldExplanation`
        (fields.py); ``patch_size`` and ``stride`` are one number or one an axis, ``baseline`` is a number, one a
        channel, or an array. What is for pictures or grids of them alone is refused there.

        Args:
            image: a picture (path, PIL image, uint8 array [H, W, C]), which goes through the model's preprocessing; or
                the model's input itself, float32 of its shape.
            patch_size: of a window, pixels: one number, or (h, w). A list of sizes: one map each, and their mean.
            stride: from one window to the next, likewise; a list gives each size its own.
            baseline: what shows inside a window: "black", "white", "gray", a number or one a channel, "mean",
                "patch-mean", "blur", "noise", "pda", a picture, or an array like the model's input (occluders.py). By
                default black for a picture, and 0 where the image is given as the model's input.
            target: the class to explain: an index, a label, "all", or the predicted one: "argmax" or None.
            classes: those whose scores to keep, which saves memory and time on large grids; "target" the explained one
                alone; all when None.
            approximation: what to leave out; nothing by default, :meth:`settings_for` a bound on the quality.
            check: score a few windows of an approximate map again, exactly, and say how far off it is.
            progress: called with (done, total) windows; True draws a bar.
            edge: "truncate" cuts the last window at the far edge (Captum), "valid" takes full windows only, "shift"
                moves the last one inside (MONAI).
            baseline_space: whether numbers are a "picture"'s, 0 to 255, or the model's "input"; by what ``image`` is
                when None.
            samples: of baseline "pda", over how many of them scores are averaged.
            value: "difference", original score - occluded score (positive supports the class), or "score".
            activation: the space of scores: "none" the model's outputs, "pre" before its final Softmax or Sigmoid,
                "softmax" or "sigmoid" of its outputs.
            roi: (y0, x0, y1, x1), half-open: only the windows that touch it are scored, and the map is NaN outside.
            segments: integer labels [H, W], a picture of labels, or "slic:N": one region a label instead of windows.
            batch_size: windows that are scored together, at most. Results do not depend on it.
            layout: "HWC" or "CHW" of a uint8 array that could be either.

        Raises:
            OcclusionError: a patch larger than the image, a stride below 1, a target or class that is none, and so on:
                the message names what was expected.
            OSError, ValueError: a picture that cannot be read.
        """
        if len(self.spatial) != 2:
            refuse(
                len(self.spatial),
                approximation=None if approximation.exact else approximation,
                baseline_space=baseline_space,
                samples=None if samples == SAMPLES else samples,
                roi=roi,
                segments=segments,
                layout=layout,
            )
            with reporter(progress) as report:
                field = explain_field(
                    self,
                    image,
                    patch_size,
                    stride,
                    baseline,
                    target,
                    classes=classes,
                    edge=edge,
                    value=value,
                    activation=activation,
                    batch_size=batch_size,
                    progress=report,
                )
            return cast(Explanation, field)  # callers of such models know that they get one
        question, several = self._ask(
            image,
            patch_size,
            stride,
            baseline=baseline,
            target=target,
            classes=classes,
            edge=edge,
            baseline_space=baseline_space,
            samples=samples,
            value=value,
            activation=activation,
            roi=roi,
            segments=segments,
            batch_size=batch_size,
            layout=layout,
        )
        total, done, found = sum(len(windows.boxes) for windows in several), 0, []
        with reporter(progress) as report:
            for windows in several:
                part = report if len(several) == 1 else progress_within(report, done, total)
                found.append(sweep_once(self, plan(self, question, windows), approximation, check, part))
                done += len(windows.boxes)
                question = replace(question, seconds=0.0)  # the base pass counts once
        return SizesExplanation(tuple(found)) if isinstance(patch_size, list) else found[0]

    def iter_explain(
        self, image: object, patch_size: Size = 16, stride: Size = 4, **asked: Unpack[Asked]
    ) -> Iterator[Chunk]:
        """The windows' scores as they get done, each window once, in no particular order; nothing is kept.

        For grids whose scores do not fit into memory, or to stop early. Arguments as for :meth:`explain`.
        """
        question, windows = self._ask_one(image, patch_size, stride, **asked)
        scored = score_windows(self, question, windows, np.arange(len(windows.boxes)))
        return (Chunk(rows, windows.boxes[rows], scores) for rows, scores in scored)

    def explain_progressively(
        self, image: object, patch_size: Size = 16, stride: Size = 4, **asked: Unpack[Asked]
    ) -> Iterator[Explanation]:
        """Ever finer maps of the whole image, each usable; stop at any time. The last is :meth:`explain`'s, exact.

        Windows that are not scored yet are interpolated from their neighbours; ``Explanation.estimated_error`` says
        how far off that was for the windows scored last. No window is scored twice. Arguments as for :meth:`explain`.
        """
        question, windows = self._ask_one(image, patch_size, stride, **asked)
        return sweep_progressively(self, plan(self, question, windows))

    def estimate(
        self, image: object, patch_size: Size | list[Size] = 16, stride: Size | list[Size] = 4, **asked: Unpack[Asked]
    ) -> Estimate:
        """How many windows :meth:`explain` would score, and about how long and how much memory that takes.

        A few windows are scored to find out. Arguments as for :meth:`explain`.
        """
        question, several = self._ask(image, patch_size, stride, **asked)
        return estimate(self, question, several)

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
        """Scores some of the explanation's windows again, by the model that was compiled, on really occluded images.

        Args:
            explanation: what :meth:`explain` found for ``image``.
            image: the same.
            original: the model's file; the compiled file's own base graph where it is not at hand.
            windows: how many, drawn at random; of several sizes that many of each.
            baseline: the same, as are ``baseline_space``, ``samples`` and ``layout``: no explanation holds its image.
            baseline_space: see :meth:`explain`.
            samples: see :meth:`explain`.
            layout: see :meth:`explain`.

        Raises:
            OcclusionError: another model than the one that was compiled, or fewer than one window.
            ModelError: the original cannot be run.
        """
        question = ask(
            self,
            image,
            baseline=baseline,
            baseline_space=baseline_space,
            samples=samples,
            activation=explanation.activation,
            layout=layout,
        )
        if question.occluder.name != explanation.occluder:
            raise OcclusionError(
                f"the explanation hid windows by {explanation.occluder}, now asked for is {question.occluder.name}; "
                "give the same baseline, baseline_space and samples"
            )
        parts = explanation.parts if isinstance(explanation, SizesExplanation) else (explanation,)
        found = [verify(self, part, question, original, windows) for part in parts]
        return max(found, key=lambda one: one.largest / one.resolution)

    def _ask_one(
        self, image: object, patch_size: Size, stride: Size, **asked: Unpack[Asked]
    ) -> tuple[Question, Windows]:
        question, several = self._ask(image, patch_size, stride, **asked)
        if len(several) != 1:
            raise OcclusionError(f"patch_size {patch_size}: expected one size; explain() takes several")
        return question, several[0]

    def _ask(
        self, image: object, patch_size: Size | list[Size], stride: Size | list[Size], **asked: Unpack[Asked]
    ) -> tuple[Question, list[Windows]]:
        """The question and its windows, one grid a patch size."""
        edge, roi, segments = asked.pop("edge", "truncate"), asked.pop("roi", None), asked.pop("segments", None)
        if segments is not None and isinstance(patch_size, list):
            raise OcclusionError("segments and several patch sizes; expected regions or windows, one of them")
        # Windows first where they do not depend on the picture: a bad size is told before the base pass.
        grids = None if segments is not None else find_windows(self.image_size, patch_size, stride, edge, roi)
        question = ask(self, image, **cast(Any, asked))  # what is left are the question's own
        if grids is None:
            labels = read_segments(segments, question.picture, self.preprocessing, self.image_size)
            grids = [segment_windows(labels, self.image_size, roi)]
            if question.occluder.name.startswith("pda"):
                raise OcclusionError("baseline 'pda' samples windows, not regions of a label map; use another baseline")
        return question, grids
