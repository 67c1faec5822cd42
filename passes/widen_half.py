"""Widen half: a float16 or bfloat16 model becomes the float32 model of the same weights.

Before: tensors of 16 bits, Casts to and from them. After: the same graph in float32, its image and scores too.

The weights are the model's own, every one of them exactly; what is lost is the rounding of each result to 16 bits, so
the scores are those that the model's runtime approximates. Deltas of 16 bits would drown in that rounding.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import numpy_helper

_HALVES = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
_TYPE_ATTRIBUTES = ("to", "dtype")  # of Cast, EyeLike, RandomNormal and the like


def widen_half(model: onnx.ModelProto) -> int:
    """Widens the model in place; returns how many tensors, values and casts were of 16 bits."""
    return _widen_graph(model.graph) + sum(_widen_nodes(function.node) for function in model.functions)


def _widen_graph(graph: onnx.GraphProto) -> int:
    count = sum(map(_widen_tensor, graph.initializer))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in _HALVES:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            count += 1
    return count + _widen_nodes(graph.node)


def _widen_nodes(nodes: Iterable[onnx.NodeProto]) -> int:
    count = 0
    for node in nodes:
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i in _HALVES:
                attribute.i = onnx.TensorProto.FLOAT
                count += 1
            if attribute.HasField("t"):
                count += _widen_tensor(attribute.t)
            count += sum(map(_widen_tensor, attribute.tensors))
            graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            count += sum(map(_widen_graph, graphs))
    return count


def _widen_tensor(tensor: onnx.TensorProto) -> int:
    if tensor.data_type not in _HALVES:
        return 0
    wide = numpy_helper.to_array(tensor).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    return 1
