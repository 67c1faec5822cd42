"""The names of a model's classes in a file beside it, where neither the model nor the command line says them."""

from __future__ import annotations

import math
from pathlib import Path

import onnx

from krypton_compile.contract.annotations import MODEL_KEY, read_model_annotation
from krypton_compile.contract.labels import read_labels

NAMES = (
    "labels.txt",
    "labels.json",
    "classes.txt",
    "classes.json",
    "class_names.txt",
    "class_names.json",
    "imagenet_classes.txt",
    "imagenet_classes.json",
    "synset.txt",
    "id2label.json",
    "config.json",
    "cvexport.manifest",
)
"""In this order. MODEL.labels.txt and MODEL.labels.json, for MODEL.onnx, come first."""


def find_labels(model: Path, classes: int) -> tuple[Path, tuple[str, ...]] | None:
    """The file and the labels, of the first file that has one for each class; None where there is none."""
    stem = model.name.removesuffix(".onnx").removesuffix(".tuned").removesuffix(".krypton")
    for name in (f"{stem}.labels.txt", f"{stem}.labels.json", *NAMES):
        path = model.parent / name
        if not path.is_file():
            continue
        try:
            labels = read_labels(path, classes, gaps=False)
        except (OSError, ValueError):  # about something else, or another model
            continue
        if labels != tuple(f"LABEL_{index}" for index in range(classes)):  # Hugging Face's names of no name
            return path, labels
    return None


def count_classes(compiled: onnx.ModelProto) -> int:
    """The number of a compiled model's classes."""
    metadata = {entry.key: entry.value for entry in compiled.metadata_props}
    name = read_model_annotation(metadata[MODEL_KEY]).base_scores
    output = next(output for output in compiled.graph.output if output.name == name)
    return math.prod(dim.dim_value for dim in output.type.tensor_type.shape.dim)
