"""Widen image: a uint8 image that the graph casts to float32 becomes a float32 image of the same numbers.

    image uint8 - Cast to float - rest    ->    image float32 - rest

Its numbers are a picture's own, 0 to 255: preprocessing "none". Occluders between two colours are no longer rounded.
"""

from __future__ import annotations

import onnx


def widen_image(model: onnx.ModelProto) -> list[str]:
    """Widens, in place, every uint8 input of rank 4 that is only cast to float32; returns their names."""
    found = []
    for value in model.graph.input:
        kind = value.type.tensor_type
        if kind.elem_type != onnx.TensorProto.UINT8 or len(kind.shape.dim) != 4:
            continue
        readers = [node for node in model.graph.node if value.name in node.input]
        if readers and all(_casts_to_float(node) for node in readers):
            kind.elem_type = onnx.TensorProto.FLOAT
            found.append(value.name)
    return found


def _casts_to_float(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(
        attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT for attribute in node.attribute
    )
