"""Widen a float16 or bfloat16 model to the float32 model of the same weights.

Before: tensors of 16 bits, Casts to and from them. After: the same graph in float32, its image and scores too.

The weights are the model's own, every one of them exactly; what is lost is the rounding of each result to 16 bits, so
the scores are those that the model's runtime approximates. Deltas of 16 bits would drown in that rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import onnx
from onnx import numpy_helper

from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.subgraphs import subgraphs

Kinds = Collection[int]

HALVES = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
_TYPE_ATTRIBUTES = ("to", "dtype")  # of Cast, EyeLike, RandomNormal and the like


def widen_half(source: SourceModel) -> int:
    """Widen the model and note it; return how many tensors, values and casts were of 16 bits."""
    count = recast(source.proto, HALVES)
    if count:
        source.notes.append("a model of 16 bits: the same weights, computed in float32; its image is float32 too")
    return count


def recast(model: onnx.ModelProto, kinds: Kinds) -> int:
    """Make everything of these types float32, in place; return how many tensors, values and casts there were."""
    functions = sum(_recast_nodes(function.node, kinds) for function in model.functions)
    return _recast_graph(model.graph, kinds) + functions


def _recast_graph(graph: onnx.GraphProto, kinds: Kinds) -> int:
    count = sum(_recast_tensor(tensor, kinds) for tensor in graph.initializer)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in kinds:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            count += 1
    return count + _recast_nodes(graph.node, kinds)


def _recast_nodes(nodes: Iterable[onnx.NodeProto], kinds: Kinds) -> int:
    count = 0
    for node in nodes:
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i in kinds:
                attribute.i = onnx.TensorProto.FLOAT
                count += 1
            if attribute.HasField("t"):
                count += _recast_tensor(attribute.t, kinds)
            count += sum(_recast_tensor(tensor, kinds) for tensor in attribute.tensors)
        count += sum(_recast_graph(graph, kinds) for graph in subgraphs(node))
    return count


def _recast_tensor(tensor: onnx.TensorProto, kinds: Kinds) -> int:
    if tensor.data_type not in kinds:
        return 0
    wide = numpy_helper.to_array(tensor).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    return 1
