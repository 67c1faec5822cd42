"""The subject of the frontend's passes: a model as it was read, and what its caller said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy.typing as npt
import onnx

from krypton_compile.passes.frontend.axes.trace_axes import Reading


@dataclass
class SourceModel:
    """A model on its way to one of a single float32 image.

    Attributes:
        proto: the model, which the passes change.
        input_name: the image input, where the caller named one.
        output_name: the class scores, where the caller named them.
        output_index: indices into the scores' axes behind the batch, where the caller gave them; None keeps an axis.
        is_indexed: whether `choose_output` has taken that element.
        scores: the tensor that `choose_output` has taken, if the model as it was read has no output of that name, or
            an element of one is taken.
        held: values for inputs beside the image, by name.
        layout: the order of the image's axes, where the caller named it; from `fix_image` on what was found.
        image_size: the sizes of the image's spatial axes, where the caller gave them.
        channels: its number of channels, where the caller gave it.
        axes: what `find_axes` has found of the image's axes.
        is_fixed: whether `fix_image` has given the image its shape.
        dropped: names of the inputs that the scores do not depend on.
        notes: what a user must be told of the changes, a sentence each.
        pictures: names of the inputs whose numbers are a picture's own, 0 to 255.
        integers: names of the inputs that were of other integers.
    """

    proto: onnx.ModelProto
    input_name: str | None = None
    output_name: str | None = None
    held: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    layout: str | None = None
    image_size: tuple[int, ...] | None = None
    channels: int | None = None
    output_index: tuple[int | None, ...] | None = None
    is_indexed: bool = False
    scores: str | None = None
    axes: Reading | None = None
    is_fixed: bool = False
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    integers: list[str] = field(default_factory=list)
