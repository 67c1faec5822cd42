"""What is asked of one image: which class, in which space, hidden by what. The windows are asked for separately.

The base pass is part of it, so several grids of windows share one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.inputs import arrays
from krypton_compile.runtime.inputs.image import is_picture, read_input
from krypton_compile.runtime.inputs.occluders import SAMPLES, Canvas, Occluder, make_occluder
from krypton_compile.runtime.inputs.pictures import ArrayLayout
from krypton_compile.runtime.inputs.targets import Target, resolve_target
from krypton_compile.runtime.maps.score_space import activate, check_activation

if TYPE_CHECKING:
    from krypton_compile.runtime.engine.scorer import Scorer
    from krypton_compile.runtime.engine.sessions import PreparedImage

VALUES = ("difference", "score")
TARGET = "target"


@dataclass(frozen=True)
class Question:
    """See above; ``seconds`` is what reading it and the base pass took.

    ``classes`` int64 [K'] are those whose scores are kept; ``focus`` the columns of them that an approximate map is
    judged by; ``picture`` uint8 [H, W, 3] what maps are drawn over.
    """

    prepared: PreparedImage
    picture: npt.NDArray[np.uint8]
    occluder: Occluder
    target: Target
    classes: npt.NDArray[np.int64]
    focus: list[int]
    value: str
    activation: str
    batch_size: int | None
    seconds: float


def ask(
    session: Scorer,
    image: object,
    *,
    baseline: object = None,
    baseline_space: str | None = None,
    samples: int = SAMPLES,
    target: int | str | None = None,
    classes: Sequence[int] | Literal["target"] | None = None,
    value: str = "difference",
    activation: str = "none",
    batch_size: int | str = "auto",
    layout: ArrayLayout | None = None,
) -> Question:
    """The question that these arguments put; see :meth:`OcclusionSession.explain` for them and the errors."""
    started = time.perf_counter()
    arrays.check_picture(session.spatial)
    check_value(value)
    check_activation(activation, session.annotation.logits is not None, session.classes)
    shown = read_input(image, session.image_shape, session.layout, session.preprocessing, layout)
    canvas = Canvas(shown.tensor, session.layout, session.preprocessing, layout)
    # A number goes with what the caller has in hand: a picture's colours, or the model's own numbers.
    space = baseline_space or ("picture" if is_picture(image) else "input")
    blank = ("black" if is_picture(image) else 0.0) if baseline is None else baseline
    occluder = make_occluder(blank, canvas, space, samples)
    prepared = session.prepare(shown.tensor, occluder.image)
    base = activate(activation, prepared.base_scores, prepared.base_logits)
    resolved = resolve_target(target, base, session.labels)
    kept = choose_classes(classes, resolved, session.classes)
    focus = [resolved.index] if classes is None and not resolved.every else list(range(len(kept)))
    return Question(
        prepared,
        shown.picture,
        occluder,
        resolved,
        kept,
        focus,
        value,
        activation,
        check_batch_size(batch_size),
        time.perf_counter() - started,
    )


def check_value(value: str) -> None:
    """Refuses what is none of :data:`VALUES`.

    Raises:
        OcclusionError: it is none.
    """
    if value not in VALUES:
        raise OcclusionError(f"value {value!r}; expected one of {', '.join(VALUES)}")


def choose_classes(
    classes: Sequence[int] | Literal["target"] | None, target: Target, count: int
) -> npt.NDArray[np.int64]:
    """int64 [K'], the classes of ``count`` whose scores are kept.

    Raises:
        OcclusionError: another text, or one that is no class.
    """
    if not isinstance(classes, str):
        return arrays.check_classes(classes, count)
    if classes != TARGET:
        raise OcclusionError(f"classes {classes!r}; expected a list of class indices, or {TARGET!r}")
    return np.arange(count) if target.every else np.array([target.index])


def check_batch_size(batch_size: int | str) -> int | None:
    """Windows that are scored together; None where the model decides.

    Raises:
        OcclusionError: neither "auto" nor a number from 1 on.
    """
    if batch_size == "auto":
        return None
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise OcclusionError(f"batch_size {batch_size!r}; expected 'auto' or at least 1 window")
    return int(batch_size)
