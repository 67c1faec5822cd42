"""Compiled files that lost or changed something: opening or using one says what; found by tests/fuzz."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from krypton_compile import compile
from krypton_compile.contract.annotations import MODEL_KEY
from krypton_compile.errors import ModelError, OcclusionError
from krypton_compile.runtime import OcclusionSession
from tests.support.small import SHAPE, small_model

IMAGE = np.zeros(SHAPE, np.float32)
BOXES = np.array([[0, 0, 4, 4]], np.int32)


@pytest.fixture(scope="module")
def compiled() -> onnx.ModelProto:
    return compile(small_model(), verify=False)[0]


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def used(model: onnx.ModelProto, folder: Path) -> None:
    path = folder / "m.krypton.onnx"
    onnx.save(model, path)
    OcclusionSession(path, threads=1).run(IMAGE, BOXES, 1.0)


def annotate(model: onnx.ModelProto, **fields: object) -> None:
    entry = next(entry for entry in model.metadata_props if entry.key == MODEL_KEY)
    entry.value = json.dumps({**json.loads(entry.value), **fields})


FIELDS = {
    "image": 7,
    "layout": "CHWN",
    "image_shape": [20, 0],
    "channels": 0,
    "boxes": None,
    "base_logits": [],
    "chunk": 2**40,
    "layer_groups": "20x24",
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_of_another_kind(name: str, compiled: onnx.ModelProto, tmp_path: Path) -> None:
    model = copy_of(compiled)
    annotate(model, **{name: FIELDS[name]})
    with pytest.raises(ModelError, match=f"m.krypton.onnx: stored annotation: expected .* in '{name}', found"):
        used(model, tmp_path)


@pytest.mark.parametrize("text", ["{", "[" * 5000])
def test_an_annotation_that_is_no_json(text: str, compiled: onnx.ModelProto, tmp_path: Path) -> None:
    model = copy_of(compiled)
    next(entry for entry in model.metadata_props if entry.key == MODEL_KEY).value = text
    with pytest.raises(ModelError, match="stored annotation: expected JSON"):
        used(model, tmp_path)


def test_another_size_than_the_image_has(compiled: onnx.ModelProto, tmp_path: Path) -> None:
    model = copy_of(compiled)
    annotate(model, image_shape=[21, 24])
    with pytest.raises(ModelError, match=r"its image 'x' of shape .* is not what it says"):
        used(model, tmp_path)


def test_a_name_that_is_nowhere(compiled: onnx.ModelProto, tmp_path: Path) -> None:
    model = copy_of(compiled)
    annotate(model, base_scores="none")
    with pytest.raises(ModelError, match="does not say what tensor 'none' is"):
        used(model, tmp_path)


def test_a_lost_body(compiled: onnx.ModelProto, tmp_path: Path) -> None:
    model = copy_of(compiled)
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    del scan.attribute[:]
    with pytest.raises(ModelError, match="has lost its Scan"):
        used(model, tmp_path)


def test_a_body_that_does_not_say_its_shapes(compiled: onnx.ModelProto, tmp_path: Path) -> None:
    model = copy_of(compiled)
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    body = next(attribute.g for attribute in scan.attribute if attribute.name == "body")
    body.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match=r"does not say what shape 'chunk.boxes' has"):
        used(model, tmp_path)


def test_a_lost_node(compiled: onnx.ModelProto, tmp_path: Path) -> None:
    model = copy_of(compiled)
    del model.graph.node[0]
    with pytest.raises(ModelError, match=r"onnxruntime .* cannot run the compiled model|does not say what tensor"):
        used(model, tmp_path)


def test_a_weight_of_an_unknown_type(compiled: onnx.ModelProto, tmp_path: Path) -> None:
    model = copy_of(compiled)
    model.graph.initializer[0].data_type = 0
    with pytest.raises(ModelError, match="unknown data type 0"):
        used(model, tmp_path)


def test_a_weight_that_is_not_finite(compiled: onnx.ModelProto, tmp_path: Path, capfd) -> None:
    model = copy_of(compiled)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "w1")
    weight.CopyFrom(numpy_helper.from_array(np.full(weight.dims, np.nan, np.float32), "w1"))
    with pytest.raises(OcclusionError, match=r"does not run on this image: krypton.BaseMap .* holds a NaN"):
        used(model, tmp_path)
    assert capfd.readouterr().err == ""  # onnxruntime says nothing of its own
