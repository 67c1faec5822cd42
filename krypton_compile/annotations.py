"""Keys of the metadata that compiled models carry, and how their values are written and read.

Model metadata (``metadata_props``, onnxruntime's custom metadata) tells a runtime how to drive the
file; node metadata tells a reader of the graph where each incremental node comes from.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

FORMAT_VERSION = 1

MODEL_KEY = "krypton"
SCAN_NODE = "krypton.positions"  # the Scan over chunks: where a runtime splits the file

NODE_SOURCE = "krypton.source"  # name of the original node
NODE_OP = "krypton.op"  # its op type
NODE_GROWTH = "krypton.growth"  # largest box after this node for the reference patch, "h x w"
NODE_TAU = "krypton.tau"
NODE_EPS = "krypton.eps"


@dataclass(frozen=True)
class ModelAnnotation:
    """What a runtime must know of a compiled model, beside its inputs and outputs."""

    image: str
    layout: str
    image_shape: tuple[int, int]
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
    tau: float = 1.0
    eps: float = 0.0
    approximate: bool = False
    format_version: int = FORMAT_VERSION


def write_model_annotation(annotation: ModelAnnotation) -> str:
    """The annotation as the JSON text stored under :data:`MODEL_KEY`."""
    return json.dumps(asdict(annotation), sort_keys=True)


def read_model_annotation(text: str) -> ModelAnnotation:
    """The annotation from its JSON text.

    Raises:
        ValueError: not an annotation, or of another format version.
    """
    fields = json.loads(text)
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(f"compiled-model format {version}, expected {FORMAT_VERSION}; compile the model again")
    fields["image_shape"] = tuple(fields["image_shape"])
    return ModelAnnotation(**fields)
