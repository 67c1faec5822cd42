"""Compiled models on images of the user's own shape and type, against onnxruntime on really occluded ones."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort

from krypton_compile.contract.annotations import MODEL_KEY, ModelAnnotation, read_model_annotation
from krypton_compile.contract.layouts import full_layout, own_shape
from krypton_compile.contract.occlude import occlude
from tests.support.graphs import BOUND, random_regions, run_compiled


def annotation(compiled: onnx.ModelProto) -> ModelAnnotation:
    """What a compiled model says of itself."""
    return read_model_annotation({entry.key: entry.value for entry in compiled.metadata_props}[MODEL_KEY])


def check_exact(model: onnx.ModelProto, compiled: onnx.ModelProto, dtype: type[np.generic] = np.float32) -> None:
    """Assert that image and baseline have the original's shape, and that scores are those of occluded images."""
    about = annotation(compiled)
    shape = own_shape(about.layout, about.image_shape, about.channels)
    declared = {value.name: value.type.tensor_type.shape.dim for value in compiled.graph.input}
    assert [tuple(dim.dim_value for dim in declared[name]) for name in ("x", "baseline")] == [shape, shape]
    rng = np.random.default_rng(0)
    image, baseline = (rng.uniform(0.5, 1.5, shape).astype(np.float32) for _ in range(2))
    if np.dtype(dtype).kind in "iu":
        image, baseline = np.floor(image * 80), np.floor(baseline * 80)
    boxes = random_regions(about.image_shape, rng, 6)
    found = run_compiled(compiled, {"x": image, "boxes": boxes, "baseline": baseline}, ["scores"])[0]
    full = full_layout(about.layout)
    whole = own_shape(full, about.image_shape, about.channels)
    hidden = occlude(image.reshape(whole), boxes, baseline.reshape(whole), full)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(None, {"x": each.reshape(shape).astype(dtype)})[0].reshape(-1) for each in hidden]
    expected = np.stack(rows).astype(np.float32)
    assert np.ptp(expected, axis=0).max() / np.abs(expected).max() > 100 * BOUND, "scores do not spread"
    assert np.abs(found - expected).max() <= BOUND * np.abs(expected).max()
