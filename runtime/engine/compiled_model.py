"""A compiled file's own description: its inputs and outputs, its classes, and how pictures become its input."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from krypton_compile import features
from krypton_compile.contract import validate
from krypton_compile.contract.annotations import (
    FROZEN_KEY,
    LABELS_KEY,
    MODEL_KEY,
    OUTPUT_KEY,
    PREPROCESSING_KEY,
    SOURCE_KEY,
    TUNING_KEY,
    ModelAnnotation,
    OutputAnnotation,
    TuningAnnotation,
    read_labels,
    read_model_annotation,
    read_output,
    read_tuning,
)
from krypton_compile.contract.geometry import Pair
from krypton_compile.contract.layouts import axes_of, full_layout, own_shape
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.contract.presets import read_recipe
from krypton_compile.errors import ModelError, NotCompiledError
from krypton_compile.files.metadata import text_of
from krypton_compile.runtime.approximation.settings import Approximation, read_settings
from krypton_compile.runtime.inputs import arrays

AGAIN = "Compile the original again."


@dataclass(frozen=True)
class CompiledModel:
    """A compiled file's own description.

    Attributes:
        path: the file.
        annotation: the names of its inputs and outputs, its layout and layer groups.
        image_shape: of its input, batch included where it has one.
        tuning: what krypton-tune stored in the file, or None; ``tuned`` are the settings that it chose.
        preprocessing: how pictures become its input, or None where that is not known.
        labels: the names of its classes, or None.
        output: which tensor of the file that was compiled the scores are, where that is no plain output of it.
        source_sha256: of the file that was compiled, or None.
        frozen_gates: the products whose gates keep the values of the whole image.
    """

    path: Path
    annotation: ModelAnnotation
    image_shape: tuple[int, ...]
    tuning: TuningAnnotation | None
    tuned: Approximation | None
    preprocessing: Preprocessing | None
    labels: tuple[str, ...] | None
    output: OutputAnnotation | None
    source_sha256: str | None
    frozen_gates: tuple[str, ...]

    @property
    def tuned_bounds(self) -> tuple[str, ...]:
        """The bounds that its settings were tuned for."""
        return () if self.tuning is None else self.tuning.bounds

    @property
    def layout(self) -> str:
        """The axis order of its input, such as "NCHW"."""
        return self.annotation.layout

    @property
    def full_layout(self) -> str:
        """The axis order in which the runtime holds images: that of its input, with a batch and channels."""
        return full_layout(self.layout)

    @property
    def full_shape(self) -> tuple[int, ...]:
        """The shape of an image in that order."""
        return own_shape(self.full_layout, self.spatial, self.channels)

    @property
    def spatial(self) -> tuple[int, ...]:
        """The sizes of its input's spatial axes: (L,), (H, W) or (D, H, W)."""
        return self.annotation.image_shape

    @property
    def channels(self) -> int:
        """The number of its input's channels."""
        return self.annotation.channels

    @property
    def has_logits(self) -> bool:
        """Whether it ends in a Softmax or Sigmoid, and gives the tensor before that too."""
        return self.annotation.logits is not None

    @property
    def image_size(self) -> Pair:
        """(H, W) of its pictures.

        Raises:
            OcclusionError: if its input is a signal or a volume.
        """
        return arrays.check_picture(self.spatial)

    def described(
        self, preprocessing: Preprocessing | str | None = None, labels: Sequence[str] | None = None
    ) -> CompiledModel:
        """The same model with another preprocessing or other labels; what is None stays as it is.

        Raises:
            OcclusionError: if ``preprocessing`` is given for a model whose input is no picture, or an argument is of
                another type.
            OSError, ValueError: if ``preprocessing`` names neither a preset nor a recipe, or does not fit the model.
        """
        told = preprocessing is None or isinstance(preprocessing, str | Preprocessing)
        validate.require("preprocessing", preprocessing, told, "a name or a Preprocessing")
        validate.require("labels", labels, labels is None or validate.are_texts(labels), "a list of names")
        recipe = read_recipe(preprocessing) if isinstance(preprocessing, str) else preprocessing
        if recipe is not None:
            recipe.check_fits(self.image_size, self.channels)
        return replace(
            self,
            preprocessing=self.preprocessing if recipe is None else recipe,
            labels=self.labels if labels is None else tuple(labels),
        )


def describe(path: Path, model: onnx.ModelProto) -> CompiledModel:
    """Read a compiled file's description from its metadata.

    Raises:
        NotCompiledError: if the model was not compiled.
        ModelError: if its metadata is damaged, of another format version, or does not fit its input.
    """
    metadata = text_of(model.metadata_props, path)
    if MODEL_KEY not in metadata:
        raise NotCompiledError(
            f"{path}: this is an ONNX model, but not a compiled one. Run krypton-compile on it first."
        )
    try:
        annotation = read_model_annotation(metadata[MODEL_KEY])
        tuning = read_tuning(metadata[TUNING_KEY]) if TUNING_KEY in metadata else None
        stored = metadata.get(PREPROCESSING_KEY)
        preprocessing = None if stored is None else Preprocessing.from_json(stored)
        labels = read_labels(metadata[LABELS_KEY]) if LABELS_KEY in metadata else None
        frozen = read_labels(metadata[FROZEN_KEY]) if FROZEN_KEY in metadata else ()
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error
    return CompiledModel(
        path=path,
        annotation=annotation,
        image_shape=_image_shape(path, model.graph, annotation),
        tuning=tuning,
        tuned=None if tuning is None else _tuned(path, tuning),
        preprocessing=preprocessing,
        labels=labels,
        output=read_output(metadata[OUTPUT_KEY]) if OUTPUT_KEY in metadata else None,
        source_sha256=metadata.get(SOURCE_KEY),
        frozen_gates=frozen,
    )


def _tuned(path: Path, tuning: TuningAnnotation) -> Approximation | None:
    """The settings that were tuned; None where this release does not offer them."""
    if tuning.settings.get("drill_down") is None or features.DRILL_DOWN:
        return read_settings(tuning.settings)
    warnings.warn(
        f"{path}: its tuned settings drill down, which this release does not offer; run krypton-tune again",
        stacklevel=5,
    )
    return None


def _image_shape(path: Path, graph: onnx.GraphProto, annotation: ModelAnnotation) -> tuple[int, ...]:
    """The shape of the image that the graph declares, which must be the annotation's."""
    values = {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}
    if annotation.image not in values:
        raise ModelError(f"{path}: the compiled model does not say what tensor '{annotation.image}' is. {AGAIN}")
    shape = tuple(dim.dim_value for dim in values[annotation.image].type.tensor_type.shape.dim)
    spatial = annotation.image_shape
    if axes_of(annotation.layout) != len(spatial) or shape != own_shape(
        annotation.layout, spatial, annotation.channels
    ):
        raise ModelError(f"{path}: its image '{annotation.image}' of shape {list(shape)} is not what it says. {AGAIN}")
    return shape
