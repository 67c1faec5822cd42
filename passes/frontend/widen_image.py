"""Widen a uint8 image that the graph casts to float32 to a float32 image of the same numbers.

    image uint8 - Cast to float - rest    ->    image float32 - rest

Its numbers are a picture's own, 0 to 255: preprocessing "none". Occluders between two colours are no longer rounded.
"""

from __future__ import annotations

import onnx

from krypton_compile.passes.frontend.source_model import SourceModel


def widen_image(source: SourceModel) -> int:
    """Widen every uint8 input of rank 4 that is only cast to float32, and note it; return their number."""
    images = find_castable(source.proto.graph)
    for value in images:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    if images:
        source.pictures.extend(value.name for value in images)
        source.notes.append("a uint8 image: now float32, of the same numbers, 0 to 255")
    return len(images)


def find_castable(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """List the uint8 inputs of rank 4 that nothing but Casts to float32 reads."""
    images = []
    for value in graph.input:
        kind = value.type.tensor_type
        if kind.elem_type != onnx.TensorProto.UINT8 or len(kind.shape.dim) != 4:
            continue
        readers = [node for node in graph.node if value.name in node.input]
        if readers and all(_casts_to_float(node) for node in readers):
            images.append(value)
    return images


def _casts_to_float(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(
        attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT for attribute in node.attribute
    )
