"""Explanations of signals and volumes: a grid of windows, their scores, and the map they make. No pictures.

M[p] = mean over the windows that cover point p of (base score - score under the window)
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import KINDS, channel_axis
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.inputs import arrays
from krypton_compile.runtime.inputs.targets import ALL, resolve_target
from krypton_compile.runtime.maps.heatmap import accumulate
from krypton_compile.runtime.maps.score_space import OF_ALL_CLASSES, activate, check_activation
from krypton_compile.runtime.sweep.request import check_batch_size, check_value, choose_classes

if TYPE_CHECKING:
    from krypton_compile.runtime.engine.scorer import Scorer

Array = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

REDUCTIONS = ("mean", "sum", "none")


@dataclass(frozen=True, repr=False)
class FieldExplanation:
    """Scores of an occlusion grid over a signal or a volume.

    Attributes:
        scores: float32 [n, K'] of a signal, [n_z, n_y, n_x, K'] of a volume: the output under each window,
            of ``classes``.
        base_scores: float32 [K], the output for the input itself, of all classes.
        boxes: int32 [P, 2] or [P, 6], the windows in the order of their scores: all starts, then all sizes.
        shape: the sizes of the input's spatial axes, (L,) or (D, H, W).
        patch, stride, edge: of the grid.
        classes: int64 [K'], those whose scores were kept.
        target: the class that :meth:`heatmap` is of unless told otherwise; ``every``: all of them were asked for.
        value: "difference", base score - score under the window, or "score", the latter.
        activation: the space of both kinds of scores (activation.py).
        labels: names of the classes, or None.
        changed: share of the windows that change a point; the others keep the base scores.
        precision: what convolutions might multiply in.
        error: measured on a few windows against the model itself, in units of the largest logit (self_check.py).
        frozen_gates: how many gates keep the values of the whole input; with any the scores are approximate.
        seconds: of base pass and windows together.
    """

    scores: Array
    base_scores: Array
    boxes: Boxes
    shape: tuple[int, ...]
    patch: tuple[int, ...]
    stride: tuple[int, ...]
    edge: str
    classes: npt.NDArray[np.int64]
    target: int
    every: bool
    value: str
    activation: str
    labels: tuple[str, ...] | None
    changed: float
    precision: str
    error: float
    frozen_gates: int
    seconds: float

    @property
    def exact(self) -> bool:
        """Whether nothing was left out."""
        return not self.frozen_gates

    @property
    def flip_map(self) -> npt.NDArray[np.int64]:
        """int64 [n...]: the class with the largest score under each window, among ``classes``."""
        return np.asarray(self.classes[self.scores.argmax(axis=-1)])

    def class_index(self, target: int | str | None = None) -> int:
        """The class that an index or a label means; the explained one when None.

        Raises:
            OcclusionError: none.
        """
        if target is None:
            return self.target
        if target == ALL:
            raise OcclusionError("target 'all': a map is of one class; take them one by one, of .classes")
        return resolve_target(target, self.base_scores, self.labels).index

    def values(self, target: int | str | None = None) -> Array:
        """float32 [n...]: what each window is worth to a class; of value "difference", base score - its score.

        Raises:
            OcclusionError: the class's scores were not kept.
        """
        index = self.class_index(target)
        column = np.flatnonzero(self.classes == index)
        if not len(column):
            raise OcclusionError(f"target {index}: its scores were not kept; add it to classes")
        scores = self.scores[..., column[0]]
        return scores if self.value == "score" else self.base_scores[index] - scores

    def heatmap(self, target: int | str | None = None, *, reduce: str = "mean") -> Array:
        """float32 of ``shape``: mean, or "sum", of the values of the windows that cover a point; NaN where none does.

        With ``reduce`` "none" the grid of the values itself, one a window.

        Raises:
            OcclusionError: the class's scores were not kept, or there is no such class.
            ValueError: another ``reduce``.
        """
        if reduce not in REDUCTIONS:
            raise ValueError(f"reduce {reduce!r}; expected one of {', '.join(REDUCTIONS)}")
        values = self.values(target)
        if reduce == "none":
            return values
        return accumulate(values.ravel(), self.boxes, self.shape, mean=reduce == "mean")

    def __getattr__(self, name: str) -> object:
        if name in ("overlay", "figure", "files", "save", "picture"):
            kind = KINDS[len(self.shape)]
            raise AttributeError(
                f"a {kind} is not drawn, so there is no {name!r}; take heatmap(), an array of {self.shape}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        """One line; the arrays would fill a screen."""
        name = f"class {self.target}" if self.labels is None else self.labels[self.target]
        patch, stride = ("x".join(map(str, sizes)) for sizes in (self.patch, self.stride))
        windows = f"patch {patch}, stride {stride}, {len(self.boxes)} windows"
        return f"<{type(self).__name__} of {name}, {self.base_scores[self.target]:.4g}: {windows}>"


def refuse(axes: int, **options: object) -> None:
    """Refuses what was given of ``options``.

    Raises:
        OcclusionError: any of them is not None.
    """
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise OcclusionError(f"{', '.join(given)}: for models of pictures; the model's input is a {KINDS[axes]}")


def explain_field(
    session: Scorer,
    image: object,
    patch_size: object,
    stride: object,
    baseline: object,
    target: int | str | None,
    *,
    classes: Sequence[int] | Literal["target"] | None,
    edge: str,
    value: str,
    activation: str,
    batch_size: int | str,
    progress: Progress | None,
) -> FieldExplanation:
    """The windows' scores; see :meth:`OcclusionSession.explain` for the arguments.

    Raises:
        OcclusionError: one of them is not usable.
    """
    started = time.perf_counter()
    check_value(value)
    check_activation(activation, session.annotation.logits is not None, session.classes)
    axes = len(session.spatial)
    patch, step = read_sizes(patch_size, "patch_size", axes), read_sizes(stride, "stride", axes)
    try:
        boxes = geometry.occlusion_grid(session.spatial, patch, step, edge)
    except ValueError as error:
        raise OcclusionError(str(error)) from error
    count = check_batch_size(batch_size)
    prepared = session.prepare(
        arrays.check_image(image, "image", session.image_shape), read_baseline(baseline, session)
    )
    base = activate(activation, prepared.base_scores, prepared.base_logits)
    resolved = resolve_target(target, base, session.labels)
    kept = choose_classes(classes, resolved, session.classes)
    whole = activation in OF_ALL_CLASSES  # a Softmax over some of the classes is another one
    chosen = None if whole else kept.tolist()
    outputs = session.score(prepared, boxes, classes=chosen, batch_size=count, progress=progress)
    scores = activate(activation, outputs.scores, outputs.logits)
    grid = [len(np.unique(boxes[:, axis])) for axis in range(axes)]
    return FieldExplanation(
        scores=(scores[:, kept] if whole else scores).reshape(*grid, len(kept)),
        base_scores=base,
        boxes=boxes,
        shape=session.spatial,
        patch=patch,
        stride=step,
        edge=edge,
        classes=kept,
        target=resolved.index,
        every=resolved.every,
        value=value,
        activation=activation,
        labels=session.labels,
        changed=float(outputs.changed.mean()),
        precision=session.precision,
        error=session.error,
        frozen_gates=len(session.frozen_gates),
        seconds=time.perf_counter() - started,
    )


def read_sizes(value: object, name: str, axes: int) -> tuple[int, ...]:
    """One number for all axes, or one an axis.

    Raises:
        OcclusionError: anything else, several sizes too.
    """
    if isinstance(value, (int, np.integer)):
        return (operator.index(value),) * axes
    numbers = value if isinstance(value, tuple) else ()
    if len(numbers) != axes or not all(isinstance(number, (int, np.integer)) for number in numbers):
        raise OcclusionError(f"{name}: expected an integer, or a tuple of {axes}, one an axis; found {value!r}")
    return tuple(map(operator.index, numbers))


def read_baseline(baseline: object, session: Scorer) -> Array:
    """What shows inside a window, like the input: from a number (0 when None), one a channel, or an array like it.

    Raises:
        OcclusionError: anything else.
    """
    array = np.asarray(0.0 if baseline is None else baseline)
    if array.dtype.kind not in "iuf":
        raise OcclusionError(f"baseline {baseline!r}; expected a number, one a channel, or an array like the input")
    if array.ndim > 1:
        return arrays.check_image(array, "baseline", session.image_shape)
    channels = session.annotation.channels
    if array.ndim == 1 and len(array) != channels:
        raise OcclusionError(f"baseline: {len(array)} numbers for a model of {channels} channels")
    shape = [1] * len(session.image_shape)
    shape[channel_axis(session.layout)] = -1
    full = np.broadcast_to(array.astype(np.float32).reshape(shape), session.image_shape)
    return arrays.check_image(np.ascontiguousarray(full), "baseline", session.image_shape)
