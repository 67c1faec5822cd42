"""A request put to an image, in four ways: one explanation, its windows as they get done, ever finer maps, an estimate.

image, request  --resolve-->          the base pass is done, the class known (resolved.py)
                --find_windows-->     the windows that are hidden (inputs/windows.py)
both            --sweep-->            their scores (windows_scored.py, strategies.py, progressive.py)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.geometry import Boxes
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.by_value import ByValue
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.inputs.given import naming, several
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.several_images import Explanations
from krypton_compile.runtime.maps.several_sizes import SizesExplanation
from krypton_compile.runtime.sweep import estimate as estimating
from krypton_compile.runtime.sweep.estimate import Estimate
from krypton_compile.runtime.sweep.progress import progress_within
from krypton_compile.runtime.sweep.progressive import sweep_progressively
from krypton_compile.runtime.sweep.request import Request
from krypton_compile.runtime.sweep.resolved import resolve, resolve_windows, settle
from krypton_compile.runtime.sweep.strategies import sweep_once
from krypton_compile.runtime.sweep.verify import Verification, verify
from krypton_compile.runtime.sweep.windows_scored import Progress, plan, score_windows


@dataclass(frozen=True, eq=False)
class Chunk(ByValue):
    """Some windows of an explanation, as they get done: ``scores`` [n, K'] of ``boxes`` [n, 4], rows ``index`` [n]."""

    index: npt.NDArray[np.int64]
    boxes: Boxes
    scores: npt.NDArray[np.float32]


def explain(
    scorer: Scorer, image: object, request: Request, check: bool = True, progress: Progress | None = None
) -> Explanation | SizesExplanation:
    """Score all windows of a request, and make their explanation; of several sizes one each.

    Args:
        scorer: the model.
        image: what is explained; see :meth:`OcclusionSession.explain`.
        request: what is asked.
        check: score a few windows of an approximate map again, exactly, and say how far off it is.
        progress: called with (done, total) windows.

    Raises:
        OcclusionError: if the image or a field of the request does not fit the model.
        OSError, ValueError: if a picture cannot be read.
    """
    resolved, grids = resolve_windows(scorer, image, request)
    total, done, parts = sum(len(windows.boxes) for windows in grids), 0, []
    for windows in grids:
        part = progress if len(grids) == 1 else progress_within(progress, done, total)
        parts.append(sweep_once(scorer, plan(scorer, resolved, windows), check, part))
        done += len(windows.boxes)
        resolved = replace(resolved, seconds=0.0)  # the base pass counts once
    return SizesExplanation(resolved.subject, tuple(parts)) if request.several else parts[0]


def explain_all(
    scorer: Scorer, image: object, request: Request, check: bool = True, progress: Progress | None = None
) -> Explanation | SizesExplanation | Explanations:
    """The same of one image, or of each of several, which are a list or a batch (given.py).

    Raises:
        OcclusionError, OSError, ValueError: as :func:`explain`; the message says of which image.
    """
    images = several(image, scorer.model.full_shape, scorer.model.image_shape)
    if images is None:
        return explain(scorer, image, request, check, progress)
    explanations = Explanations()
    for number, each in enumerate(images):
        part = None if progress is None else _of_several(progress, number, len(images))
        with naming(number, len(images)):
            explanations.append(explain(scorer, each, request, check, part))
    return explanations


def _of_several(progress: Progress, number: int, count: int) -> Progress:
    """Progress of one image as that of all, which have as many windows each."""
    return lambda done, total: progress(number * total + done, count * total)


def explain_one_size(scorer: Scorer, image: object, request: Request, check: bool = True) -> Explanation:
    """The same of one size.

    Raises:
        OcclusionError: if the request is of several sizes; and as :func:`explain`.
    """
    request.require_one_size()
    explanation = explain(scorer, image, request, check)
    assert isinstance(explanation, Explanation)
    return explanation


def iterate(scorer: Scorer, image: object, request: Request) -> Iterator[Chunk]:
    """Yield the windows' scores as they get done, each window once, in no particular order; nothing is kept.

    The request is checked and the base pass done before the first chunk is asked for.

    Raises:
        OcclusionError: if the request is of several sizes, or leaves windows out; and as :func:`explain`.
    """
    request = settle(scorer, request)
    request.require_one_size()
    request.require_whole_windows("iter_explain()")
    resolved, (windows,) = resolve_windows(scorer, image, request)
    every = np.arange(len(windows.boxes))
    scored = score_windows(scorer, resolved, windows, every, request.settings.thresholds)
    return (Chunk(rows, windows.boxes[rows], scores) for rows, scores in scored)


def refine(scorer: Scorer, image: object, request: Request) -> Iterator[Explanation]:
    """Yield ever finer maps, each usable; the last one is exact.

    The request is checked and the base pass done before the first map is asked for.

    Raises:
        OcclusionError: if the request is of several sizes, or approximate; and as :func:`explain`.
    """
    request.require_one_size()
    if not request.settings.exact:
        raise OcclusionError("approximation: progressive maps end exact; stop at the map that is good enough instead")
    resolved, (windows,) = resolve_windows(scorer, image, request)
    return sweep_progressively(scorer, plan(scorer, resolved, windows))


def estimate(scorer: Scorer, image: object, request: Request) -> Estimate:
    """Tell what an exact explanation would take, by scoring a few of its windows.

    Raises:
        OcclusionError, OSError, ValueError: as :func:`explain`.
    """
    return estimating.estimate(scorer, *resolve_windows(scorer, image, request))


def verify_explanation(
    scorer: Scorer,
    explanation: Explanation | SizesExplanation,
    image: object,
    request: Request,
    original: str | os.PathLike[str] | None,
    windows: int,
) -> Verification:
    """Verify some windows of an explanation, of several sizes some of each; the worst of them counts.

    Raises:
        OcclusionError, ModelError: as :func:`verify`.
    """
    resolved = resolve(scorer, image, request)
    parts = explanation.parts if isinstance(explanation, SizesExplanation) else (explanation,)
    checked = [verify(scorer, part, resolved, original, windows) for part in parts]
    return max(checked, key=lambda each: each.largest / each.resolution)
