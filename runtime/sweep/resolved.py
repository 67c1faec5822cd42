"""A request put to one image: the image is read, the base pass is done, the class is known."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.engine.compiled_model import CompiledModel
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.engine.work import PreparedImage
from krypton_compile.runtime.inputs import arrays
from krypton_compile.runtime.inputs.given import own_input, several
from krypton_compile.runtime.inputs.image import is_picture, read_input
from krypton_compile.runtime.inputs.occluders import Canvas, Occluder, make_occluder
from krypton_compile.runtime.inputs.segments import read_segments
from krypton_compile.runtime.inputs.targets import Target, resolve_target
from krypton_compile.runtime.inputs.windows import Windows, find_windows, segment_windows
from krypton_compile.runtime.maps.answer import Subject
from krypton_compile.runtime.maps.score_space import activate, check_activation
from krypton_compile.runtime.sweep.request import Request

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Resolved:
    """A request on one image.

    Attributes:
        request: what was asked.
        prepared: the image, its base pass done.
        occluder: what shows where a window hides the image.
        subject: the class that is explained, and all that maps of any windows have in common.
        focus: the columns of the kept classes that an approximate map is judged by.
        seconds: what reading the image and the base pass took.
    """

    request: Request
    prepared: PreparedImage
    occluder: Occluder
    subject: Subject
    focus: list[int]
    seconds: float


def settle(scorer: Scorer, request: Request) -> Request:
    """The request to this model: a bound as text becomes the settings that keep it."""
    return request.settled(scorer.model.tuned, scorer.model.tuned_bounds)


def resolve(scorer: Scorer, image: object, request: Request) -> Resolved:
    """Put a request to an image.

    Raises:
        OcclusionError: if the image or a field of the request does not fit the model; the message names it.
        OSError, ValueError: if a picture cannot be read.
    """
    started = time.perf_counter()
    model, request = scorer.model, settle(scorer, request)
    request.require_pictures(len(model.spatial))
    check_activation(request.activation, model.has_logits, scorer.classes)
    canvas, picture = _read(model, image, request)
    shows_colours = picture is not None and is_picture(image)
    # A number goes with what the caller has in hand: a picture's colours, or the model's own numbers.
    space = request.baseline_space or ("picture" if shows_colours else "input")
    blank = ("black" if shows_colours else 0.0) if request.baseline is None else request.baseline
    occluder = make_occluder(blank, canvas, space, request.samples)
    prepared = scorer.prepare(canvas.image, occluder.image, True)
    base = activate(request.activation, prepared.base_scores, prepared.base_logits)
    target = resolve_target(request.target, base, model.labels)
    classes = _classes(request, target, scorer.classes)
    focus = [target.index] if request.classes is None and not target.every else list(range(len(classes)))
    subject = Subject(
        base_scores=base,
        classes=classes,
        target=target.index,
        every=target.every,
        value=request.value,
        activation=request.activation,
        occluder=occluder.name,
        picture=picture,
        labels=model.labels,
        preprocessing=model.preprocessing,
        model_sha256=model.source_sha256,
    )
    return Resolved(request, prepared, occluder, subject, focus, time.perf_counter() - started)


def resolve_windows(scorer: Scorer, image: object, request: Request) -> tuple[Resolved, list[Windows]]:
    """Put a request to an image, and find its windows: one grid a patch size, or the regions of a label map.

    Raises:
        OcclusionError, OSError, ValueError: as :func:`resolve`, or if the windows do not fit the image.
    """
    spatial, request = scorer.model.spatial, settle(scorer, request)
    request.require_pictures(len(spatial))
    # Windows first where they do not depend on the picture: a bad size is told before the base pass.
    if request.segments is None:
        grids = find_windows(spatial, request.sizes, request.stride, request.edge, request.roi)
        return resolve(scorer, image, request), grids
    resolved = resolve(scorer, image, request)
    if resolved.occluder.name.startswith("pda"):
        raise OcclusionError("baseline 'pda' samples windows, not regions of a label map; use another baseline")
    labels = read_segments(request.segments, resolved.subject.picture, scorer.model.preprocessing, spatial)
    return resolved, [segment_windows(labels, spatial, request.roi)]


def _read(model: CompiledModel, image: object, request: Request) -> tuple[Canvas, npt.NDArray[np.uint8] | None]:
    """The image as the model's input, and the picture that maps are drawn over; None of a signal or volume."""
    images = several(image, model.full_shape, model.image_shape)
    if images is not None:
        raise OcclusionError(f"image: expected one, found {len(images)} in a list or batch; explain() takes several")
    if len(model.spatial) != 2:
        tensor = own_input(image, "image", model.full_shape, model.full_layout, own_shape=model.image_shape)
        return Canvas(tensor, model.full_layout, None, own_shape=model.image_shape), None
    shown = read_input(
        image, model.full_shape, model.full_layout, model.preprocessing, request.layout, model.image_shape
    )
    return Canvas(
        shown.tensor, model.full_layout, model.preprocessing, request.layout, model.image_shape
    ), shown.picture


def _classes(request: Request, target: Target, count: int) -> npt.NDArray[np.int64]:
    """int64 [K'], the classes of ``count`` whose scores are kept."""
    if not isinstance(request.classes, str):
        return arrays.check_classes(request.classes, count)
    return np.arange(count) if target.every else np.array([target.index])
