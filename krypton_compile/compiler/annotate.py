"""Writes into a compiled model what its runtime and its readers must know of it."""

from __future__ import annotations

from collections.abc import Mapping

from krypton_compile.contract import schemas
from krypton_compile.contract.annotations import (
    FROZEN_KEY,
    MODEL_KEY,
    ModelAnnotation,
    write_labels,
    write_model_annotation,
)
from krypton_compile.passes.body import IncrementalBody

IR_VERSION = 10
"""Newest ONNX IR that the oldest supported onnxruntime (1.20) reads."""


def annotate(body: IncrementalBody, about: Mapping[str, str]) -> None:
    """Write the model's versions and metadata; ``about`` are entries of its source, its pictures and its classes."""
    model = body.model
    model.ir_version = IR_VERSION
    model.graph.opset_imports[schemas.DOMAIN] = schemas.VERSION
    model.metadata_props[MODEL_KEY] = write_model_annotation(_annotation(body))
    model.metadata_props.update(about)
    if body.context.frozen:
        model.metadata_props[FROZEN_KEY] = write_labels([str(node.name) for node in body.context.frozen])


def _annotation(body: IncrementalBody) -> ModelAnnotation:
    assert body.chunk is not None
    interface, names = body.interface, body.contract.names
    return ModelAnnotation(
        image=str(interface.image.name),
        layout=interface.own_layout,
        image_shape=interface.image_shape,
        channels=interface.channels,
        boxes=names["boxes"],
        baseline=names["baseline"],
        patches=names["patches"],
        mask=names["mask"],
        scores=names["scores"],
        base_scores=names["base_scores"],
        logits=names["logits"] if interface.logits else None,
        base_logits=names["base_logits"] if interface.logits else None,
        chunk=body.chunk,
        layer_groups=tuple(body.layer_groups),
        target=body.context.target.provider,
    )
