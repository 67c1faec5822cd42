"""One image's function, compiled: the scores of its occluded versions are those of a session.

Where the export was traced, the windows on which the function reads other values than on the image itself are run by
the function (reads.py), so that every score is the function's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from krypton_compile.contract.exactness import EXPORT_BOUND
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import channel_axis
from krypton_compile.errors import ModelError
from krypton_compile.from_torch.reads import reads_alike
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.engine.occlusion import read_occlusion

Array = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
OfImage = Callable[[torch.Tensor], torch.Tensor]
"""The function of one image [1, ...] alone: all its scores, [K]."""

_CHECKED = 3
"""How many windows are scored by the function too, when a session is first used."""


@dataclass
class Compiled:
    """A function of images, compiled.

    Attributes:
        session: what scores occluded images.
        name: what messages call the function.
        reads: what the function read into Python on the image that it was traced with; () if the export is no trace.
        checked: whether the function itself has been compared.
    """

    session: OcclusionSession
    name: str
    reads: tuple[object, ...] = ()
    checked: bool = False


@dataclass(frozen=True)
class Hidden:
    """What is hidden of an image: boxes, and the pixels that show in them, of an image or of each box."""

    boxes: Boxes
    shown: Array
    patches: Array | None = None


@dataclass(frozen=True)
class Example:
    """One image of a batch, and the function that scores it.

    Attributes:
        compiled: the function, compiled.
        image, baseline: as the runtime holds them, with an axis for the channels.
        expected: the function's own scores of the image.
        columns: which of the scores are explained.
        of_image: the function itself; None where a compiled file was given.
    """

    compiled: Compiled
    image: Array
    baseline: Array
    expected: Array
    columns: list[int]
    of_image: OfImage | None

    @property
    def layout(self) -> str:
        """The axis order of the image."""
        return self.compiled.session.scorer.model.full_layout

    def full(self, values: tuple[int, ...], absent: int) -> tuple[int, ...]:
        """A value for each axis of the image but the batch, of those for the function's own axes."""
        own = self.compiled.session.layout
        if "C" in own:
            return values
        channel = channel_axis(self.layout) - 1
        return (*values[:channel], absent, *values[channel:])


class DifferentScoresError(ModelError):
    """A session's scores are not those of its function; ``before`` they were."""

    def __init__(self, message: str, before: bool) -> None:
        super().__init__(message)
        self.before = before


def drops(example: Example, hidden: Hidden, progress: Progress | None) -> Array:
    """[P, columns]: the image's score less the score with each box hidden.

    Raises:
        DifferentScoresError: if the session's scores are not the function's.
        ModelError: if they are not finite.
    """
    compiled, columns, of_image = example.compiled, example.columns, example.of_image
    session = compiled.session
    prepared = session.prepare(example.image, hidden.shown)
    _require_same(compiled, prepared.base_scores, example.expected)
    scores = session.score(prepared, hidden.boxes, patches=hidden.patches, classes=columns, progress=progress).scores
    if of_image is not None:
        occlusion = read_occlusion(hidden.boxes, session.spatial, session.annotation.channels, hidden.patches)

        def occluded(row: int) -> torch.Tensor:
            return torch.from_numpy(occlusion.applied(row, example.image, hidden.shown, example.layout))

        if compiled.reads:
            _run_others(of_image, list(compiled.reads), occluded, scores, columns)
        if not compiled.checked:
            _check(compiled, of_image, occluded, scores, columns)
            compiled.checked = True
    if not np.isfinite(scores).all():
        raise ModelError(f"{compiled.name} gives scores that are not finite for some windows")
    return np.asarray(prepared.base_scores[columns] - scores)


def _require_same(compiled: Compiled, found: Array, expected: Array, where: str = "") -> None:
    shapes = f"{len(found)} scores instead of {len(expected)}" if found.shape != expected.shape else ""
    difference = float(np.abs(found - expected).max(initial=0.0)) if not shapes else np.inf
    if not difference <= EXPORT_BOUND * float(np.abs(expected).max(initial=0.0)):
        raise DifferentScoresError(
            f"the export of {compiled.name} gives {shapes or 'other scores than itself'}{where}"
            + ("" if shapes else f", by {difference:.2g}: expected at most {EXPORT_BOUND:g} of the largest"),
            compiled.checked,
        )


def _run_others(
    of_image: OfImage,
    reads: list[object],
    occluded: Callable[[int], torch.Tensor],
    scores: Array,
    columns: Sequence[int],
) -> None:
    """Score the windows on which the function goes another way than its trace, in place."""
    for row in range(len(scores)):
        window = occluded(row)
        if not reads_alike(lambda window=window: of_image(window), reads):  # type: ignore[misc]
            scores[row] = of_image(window).cpu().numpy()[list(columns)]


def _check(
    compiled: Compiled,
    of_image: OfImage,
    occluded: Callable[[int], torch.Tensor],
    scores: Array,
    columns: Sequence[int],
) -> None:
    for row in np.unique(np.linspace(0, len(scores) - 1, min(_CHECKED, len(scores)), dtype=np.int64)).tolist():
        every = of_image(occluded(row)).cpu().numpy()
        found = every.copy()
        found[list(columns)] = scores[row]
        _require_same(compiled, found, every, " on an occluded image")
