"""Occlusion sweeps over a prepared image: all windows at once, by drill-down, or ever finer.

    exact         every window of the grid
    drill-down    stage 1: coarse windows; stage 2: the windows that matter; the rest interpolated (drilldown.py)
    progressive   coarse windows, then ever smaller strides; within one, the largest effects first

An approximate map is checked: a few windows, drawn at random, are scored exactly and compared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from krypton_compile import geometry
from krypton_compile.errors import OcclusionError
from krypton_compile.geometry import Boxes
from krypton_compile.runtime import checks, drilldown
from krypton_compile.runtime.approximation import EXACT, Approximation, DrillDown
from krypton_compile.runtime.explanation import Check, Explanation

if TYPE_CHECKING:
    from krypton_compile.runtime.session import OcclusionSession, PreparedImage

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Progress = Callable[[int, int], None]

CHECKED = 8
"""Windows scored again, exactly, to measure an approximate map's error."""
FIRST_SHARE = 1 / 60
"""Of all windows, at most so many before the first progressive map."""
_PIECES = 12


@dataclass
class Sweep:
    """One image's grid of windows, and what is known of their scores so far."""

    prepared: PreparedImage
    grid: Boxes
    shape: tuple[int, int]
    patch: tuple[int, int]
    stride: tuple[int, int]
    target: int
    classes: npt.NDArray[np.int64]
    focus: list[int]
    started: float
    scores: Array
    logits: Array | None
    scored: Mask
    changed: Mask

    def effect(self) -> npt.NDArray[np.float64]:
        """[rows, columns]: the largest change of a class in focus, each in units of its own largest change."""
        base = self.prepared.base_scores[self.classes[self.focus]].astype(np.float64)
        change = np.abs(base - self.scores[..., self.focus])
        scale = change.max(axis=(0, 1))
        return np.asarray((change / np.where(scale > 0, scale, 1)).max(axis=2))


def plan(
    session: OcclusionSession,
    image: npt.ArrayLike,
    baseline: npt.ArrayLike,
    patch_size: int | tuple[int, int],
    stride: int | tuple[int, int],
    target: int | None,
    classes: Sequence[int] | None,
) -> Sweep:
    """The windows of an image; its base maps are computed here.

    Raises:
        OcclusionError: a patch larger than the image, a stride below 1, a target or class that is none.
    """
    started = time.perf_counter()
    patch, step = as_pair(patch_size, "patch_size"), as_pair(stride, "stride")
    try:
        grid = geometry.occlusion_grid(session.image_size, patch, step)
    except ValueError as error:
        raise OcclusionError(str(error)) from error
    if target is not None and not 0 <= int(target) < session.classes:
        raise OcclusionError(f"target {target}: expected a class from 0 to {session.classes - 1}")
    kept = checks.check_classes(classes, session.classes)
    prepared = session.prepare(image, baseline)
    chosen = int(prepared.base_scores.argmax()) if target is None else int(target)
    rows = len(np.unique(grid[:, 0]))
    shape = (rows, len(grid) // rows)
    logits = prepared.base_logits
    return Sweep(
        prepared,
        grid,
        shape,
        patch,
        step,
        chosen,
        kept,
        _focus(kept, chosen, classes),
        started,
        np.broadcast_to(prepared.base_scores[kept], (*shape, len(kept))).copy(),
        None if logits is None else np.broadcast_to(logits[kept], (*shape, len(kept))).copy(),
        np.zeros(shape, np.bool_),
        np.zeros(shape, np.bool_),
    )


def sweep_once(
    session: OcclusionSession, sweep: Sweep, approximation: Approximation, check: bool, progress: Progress | None
) -> Explanation:
    """The map of the whole grid, exact or approximate."""
    drill = approximation.drill_down
    if drill is None or drill.r == 1:
        _score(session, sweep, np.ones(sweep.shape, np.bool_), approximation, progress)
    else:
        _drill_down(session, sweep, approximation, drill, progress)
    explanation = _result(session, sweep, approximation)
    if approximation.exact or not check:
        return explanation
    measured = _check(session, sweep, approximation)
    return replace(explanation, check=measured, seconds=time.perf_counter() - sweep.started)


def sweep_progressively(session: OcclusionSession, sweep: Sweep) -> Iterator[Explanation]:
    """Ever finer maps; the last one is exact."""
    total = sweep.scored.size
    for step in drilldown.refinements(sweep.shape, max(4, int(FIRST_SHARE * total))):
        rows, columns = (drilldown.coarse(count, step) for count in sweep.shape)
        level = np.zeros(sweep.shape, np.bool_)
        level[np.ix_(rows, columns)] = True
        first = not sweep.scored.any()
        todo = np.flatnonzero(level & ~sweep.scored)
        todo = todo[np.argsort(-sweep.effect().ravel()[todo], kind="stable")]
        # A coarse level is one piece; the last levels, most of the work, come in several.
        pieces = math.ceil(_PIECES * len(todo) / total)
        for piece in np.array_split(todo, pieces) if pieces else []:
            chosen = np.zeros(total, np.bool_)
            chosen[piece] = True
            guessed = sweep.scores.reshape(total, -1)[piece][:, sweep.focus]
            _score(session, sweep, chosen.reshape(sweep.shape), EXACT, None)
            found = sweep.scores.reshape(total, -1)[piece][:, sweep.focus]
            if sweep.scored[level].all():
                _fill(sweep, rows, columns)
            error = math.nan if first else float(np.sqrt(np.mean((found - guessed) ** 2)))
            yield replace(_result(session, sweep, EXACT), estimated_error=0.0 if sweep.scored.all() else error)


def as_pair(value: int | tuple[int, int], name: str) -> tuple[int, int]:
    """(h, w) from a number or two."""
    pair = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(pair) != 2 or not all(isinstance(number, (int, np.integer)) for number in pair):
        raise OcclusionError(f"{name}: expected an integer or two (h, w), found {value!r}")
    return int(pair[0]), int(pair[1])


def _focus(kept: npt.NDArray[np.int64], target: int, classes: Sequence[int] | None) -> list[int]:
    """Columns of the kept scores that a drill-down looks at: the classes asked for, else the target."""
    if classes is None:
        return [target]
    return list(range(len(kept)))


def _score(
    session: OcclusionSession,
    sweep: Sweep,
    chosen: Mask,
    approximation: Approximation,
    progress: Progress | None,
    patch: tuple[int, int] | None = None,
) -> None:
    """Scores the chosen windows; with ``patch``, larger ones in their places, which do not count as scored."""
    boxes = sweep.grid[chosen.ravel()]
    found = session.score(
        sweep.prepared,
        boxes if patch is None else geometry.resize_boxes(boxes, patch, session.image_size),
        tau=approximation.tau,
        eps=approximation.eps,
        classes=sweep.classes.tolist(),
        progress=progress,
    )
    sweep.scores[chosen] = found.scores
    if sweep.logits is not None and found.logits is not None:
        sweep.logits[chosen] = found.logits
    if patch is None:
        sweep.scored |= chosen
        sweep.changed[chosen] = found.changed


def _drill_down(
    session: OcclusionSession,
    sweep: Sweep,
    approximation: Approximation,
    drill: DrillDown,
    progress: Progress | None,
) -> None:
    steps = drill.steps(sweep.stride)
    rows, columns = (drilldown.coarse(count, step) for count, step in zip(sweep.shape, steps, strict=True))
    first = np.zeros(sweep.shape, np.bool_)
    first[np.ix_(rows, columns)] = True
    second = math.ceil(drill.r * first.size - 1e-9)
    total = int(first.sum()) + second

    def report(offset: int) -> Progress | None:
        return None if progress is None else lambda done, _: progress(offset + done, total)

    _score(session, sweep, first, approximation, report(0), drill.coarse_patch)
    _fill(sweep, rows, columns)
    chosen = drilldown.largest(sweep.effect(), drill.r) & ~sweep.scored
    _score(session, sweep, chosen, approximation, report(total - int(chosen.sum())))


def _fill(sweep: Sweep, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> None:
    """Interpolates every window that is not scored from those of ``rows`` and ``columns``."""
    at = np.ix_(rows, columns)
    sweep.scores = _filled(sweep.scores, at, rows, columns, sweep)
    if sweep.logits is not None:
        sweep.logits = _filled(sweep.logits, at, rows, columns, sweep)


def _filled(
    values: Array,
    at: tuple[npt.NDArray[np.int64], ...],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    sweep: Sweep,
) -> Array:
    guessed = drilldown.interpolate(values[at], rows, columns, sweep.shape)
    return np.where(sweep.scored[..., None], values, guessed)


def _check(session: OcclusionSession, sweep: Sweep, approximation: Approximation) -> Check:
    """A few random windows, exactly; and the time that the thresholds save on them, one after the other."""
    total = len(sweep.grid)
    at = np.sort(np.random.default_rng(0).permutation(total)[: min(CHECKED, total)])
    classes = sweep.classes.tolist()

    def timed(tau: float | Sequence[float], eps: float | Sequence[float]) -> tuple[float, Array]:
        start = time.perf_counter()
        found = session.score(sweep.prepared, sweep.grid[at], tau=tau, eps=eps, classes=classes)
        return time.perf_counter() - start, found.scores

    exact_seconds, exact = timed(1.0, 0.0)
    tau_seconds = both_seconds = exact_seconds
    if not replace(approximation, drill_down=None).exact:
        tau_seconds = timed(approximation.tau, 0.0)[0]
        both_seconds = timed(approximation.tau, approximation.eps)[0]
    column = np.flatnonzero(sweep.classes == sweep.target)
    columns = column if len(column) else np.arange(len(sweep.classes))
    difference = np.abs(exact - sweep.scores.reshape(total, -1)[at])[:, columns]
    return Check(
        windows=len(at),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        tau_saves=max(0.0, 1 - tau_seconds / exact_seconds),
        eps_saves=max(0.0, 1 - both_seconds / tau_seconds),
    )


def _result(session: OcclusionSession, sweep: Sweep, approximation: Approximation) -> Explanation:
    return Explanation(
        scores=sweep.scores.copy(),
        base_scores=sweep.prepared.base_scores,
        logits=None if sweep.logits is None else sweep.logits.copy(),
        base_logits=sweep.prepared.base_logits,
        boxes=sweep.grid,
        classes=sweep.classes,
        target=sweep.target,
        patch_size=sweep.patch,
        stride=sweep.stride,
        image_shape=session.image_size,
        changed=float(sweep.changed[sweep.scored].mean()) if sweep.scored.any() else 1.0,
        precision=session.precision,
        error=session.error,
        seconds=time.perf_counter() - sweep.started,
        approximation=approximation,
        scored=sweep.scored.copy(),
    )
