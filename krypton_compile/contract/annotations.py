"""Keys of the metadata that compiled models carry, and how their values are written and read.

Model metadata (``metadata_props``, onnxruntime's custom metadata) tells a runtime how to drive the
file; node metadata tells a reader of the graph where each incremental node comes from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from krypton_compile.contract.layouts import LAYOUTS
from krypton_compile.disk.read import parse_json

FORMAT_VERSION = 4

MODEL_KEY = "krypton"
TUNING_KEY = "krypton.tuning"
PREPROCESSING_KEY = "krypton.preprocessing"  # runtime's Preprocessing, which writes and reads itself
LABELS_KEY = "krypton.labels"  # names of the classes
FROZEN_KEY = "krypton.frozen_gates"  # products whose gates are frozen: such a file is approximate
OUTPUT_KEY = "krypton.output"  # which tensor of the source the scores are, where it is no plain output
SOURCE_KEY = "krypton.source_sha256"  # of the model that was compiled
TAU, EPS = "krypton_tau", "krypton_eps"  # graph inputs with defaults: the thresholds of approximate inference
SCAN_NODE = "krypton.positions"  # the Scan over chunks: where a runtime splits the file
CHUNKS_NODE = "krypton.chunks"  # OcclusionChunks: where it splits a file without Scan
TARGETS = ("cpu", "cuda")

NODE_SOURCE = "krypton.source"  # name of the original node
NODE_OP = "krypton.op"  # its op type
NODE_GROWTH = "krypton.growth"  # largest box after this node for the reference patch, "h x w" and the like
NODE_LAYER_GROUP = "krypton.layer_group"  # whose thresholds it takes, "56x56" and the like


@dataclass(frozen=True)
class ModelAnnotation:
    """The knowledge of a compiled model that a runtime needs beside its inputs and outputs."""

    image: str
    layout: str
    image_shape: tuple[int, ...]  # (H, W); of signals (L,), of volumes (D, H, W)
    channels: int
    boxes: str
    baseline: str
    patches: str
    mask: str
    scores: str
    base_scores: str
    logits: str | None
    base_logits: str | None
    chunk: int
    layer_groups: tuple[str, ...]
    target: str  # one of TARGETS: the execution provider that the graph is made for
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class TuningAnnotation:
    """The result of krypton-tune: settings of approximate maps, and what they are worth.

    ``settings`` are an Approximation's fields; images are listed by the SHA-256 of their files; ``keep`` is the
    share of them on which the ``bounds`` should hold; ``kept`` of the ``check_images`` keep them, with the
    Clopper-Pearson ``interval`` of that share at ``confidence``;
    ``curve`` holds the candidates, each with settings, seconds, quality and whether it was run for real.
    """

    settings: dict[str, Any]
    bounds: tuple[str, ...]
    keep: float
    confidence: float
    patch_size: tuple[int, int]
    stride: tuple[int, int]
    tuning_images: tuple[str, ...]
    check_images: tuple[str, ...]
    kept: int
    interval: tuple[float, float]
    exact_seconds: float
    seconds: float
    tuning_quality: dict[str, float]
    check_quality: dict[str, float] | None
    curve: tuple[dict[str, Any], ...]


def write_tuning(annotation: TuningAnnotation) -> str:
    """The annotation as the JSON text stored under :data:`TUNING_KEY`."""
    return json.dumps(asdict(annotation), sort_keys=True)


def read_tuning(text: str) -> TuningAnnotation:
    """The annotation from its JSON text.

    Raises:
        ValueError: if the text is not such an annotation.
    """
    fields = _load("tuning", text)
    known = {field.name for field in dataclasses.fields(TuningAnnotation)}
    if not isinstance(fields, dict) or set(fields) != known or not isinstance(fields["settings"], dict):
        raise ValueError(f"stored tuning: expected the fields {', '.join(sorted(known))}; run krypton-tune again")
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return TuningAnnotation(**given)


def write_labels(labels: Sequence[str]) -> str:
    """The names of the classes as the JSON list stored under :data:`LABELS_KEY`."""
    return json.dumps(list(labels), ensure_ascii=False)


def read_labels(text: str) -> tuple[str, ...]:
    """The names from their JSON list.

    Raises:
        ValueError: if the text is not such a list.
    """
    labels = _load("labels", text)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"stored labels: expected a list of names, found {text[:80]}; compile the model again")
    return tuple(labels)


@dataclass(frozen=True)
class OutputAnnotation:
    """The scores within the model that was compiled: the tensor ``name``, and of it the element ``index``.

    The index is of the axes behind the batch; None keeps an axis.
    """

    name: str
    index: tuple[int | None, ...] = ()


def write_output(annotation: OutputAnnotation) -> str:
    """The annotation as the JSON text stored under :data:`OUTPUT_KEY`."""
    return json.dumps(asdict(annotation), sort_keys=True)


def read_output(text: str) -> OutputAnnotation:
    """The annotation from its JSON text.

    Raises:
        ValueError: if the text is not such an annotation.
    """
    fields = _load("output", text)
    index = fields.get("index") if isinstance(fields, dict) else None
    fits = isinstance(index, list) and all(at is None or (isinstance(at, int) and at is not True) for at in index)
    if not fits or set(fields) != {"name", "index"} or not _is_name(fields["name"]):
        raise ValueError(f"stored output: expected a name and indices, found {text[:80]}; compile the model again")
    return OutputAnnotation(fields["name"], tuple(fields["index"]))


def write_model_annotation(annotation: ModelAnnotation) -> str:
    """The annotation as the JSON text stored under :data:`MODEL_KEY`."""
    return json.dumps(asdict(annotation), sort_keys=True)


def read_model_annotation(text: str) -> ModelAnnotation:
    """The annotation from its JSON text.

    Raises:
        ValueError: if the text is not an annotation, or is of another format version.
    """
    fields = _load("annotation", text)
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(f"compiled-model format {version}, expected {FORMAT_VERSION}; compile the model again")
    for name, (kind, fits) in _FIELDS.items():
        if name not in fields or not fits(fields[name]):
            raise ValueError(
                f"stored annotation: expected {kind} in '{name}', found {fields.get(name)!r}; compile the model again"
            )
    known = {field.name: fields[field.name] for field in dataclasses.fields(ModelAnnotation)}
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    return ModelAnnotation(**{**known, **lists})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


_NAME: tuple[str, Callable[[Any], bool]] = ("a tensor's name", _is_name)
_NAME_OR_NONE: tuple[str, Callable[[Any], bool]] = (
    "a tensor's name or null",
    lambda value: value is None or _is_name(value),
)
_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("image", "boxes", "baseline", "patches", "mask", "scores", "base_scores"), _NAME),
    **dict.fromkeys(("logits", "base_logits"), _NAME_OR_NONE),
    "layout": (f"one of {', '.join(LAYOUTS)}", lambda value: value in LAYOUTS),
    "image_shape": (
        "one to three sizes",
        lambda value: isinstance(value, list) and 1 <= len(value) <= 3 and all(map(_is_count, value)),
    ),
    "channels": ("a count", _is_count),
    "target": (f"one of {', '.join(TARGETS)}", lambda value: value in TARGETS),
    "chunk": ("a count", _is_count),
    "layer_groups": ("a list of names", lambda value: isinstance(value, list) and all(map(_is_name, value))),
}


def _load(what: str, text: str) -> Any:
    try:
        return parse_json(text, finite=False)
    except ValueError as error:
        raise ValueError(
            f"stored {what}: expected JSON, found {text[:80]!r} ({error}); compile the model again"
        ) from error
