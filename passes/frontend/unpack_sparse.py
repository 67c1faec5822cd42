"""Unpack sparse constants into dense ones, which are all that onnx-ir knows.

sparse_initializer S, Constant<sparse_value = S>    ->    the same values, zeros written out
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from krypton_compile.passes.frontend.source_model import SourceModel


def unpack_sparse(source: SourceModel) -> int:
    """Unpack every sparse initializer and every Constant of a sparse tensor; return their number."""
    graph = source.proto.graph
    count = len(graph.sparse_initializer)
    graph.initializer.extend(_dense(tensor, tensor.values.name) for tensor in graph.sparse_initializer)
    del graph.sparse_initializer[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "sparse_value":
                value = onnx.helper.make_attribute("value", _dense(attribute.sparse_tensor, node.output[0]))
                attribute.CopyFrom(value)
                count += 1
    return count


def _dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    array = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        array.reshape(-1)[indices] = values
    else:
        array[tuple(indices.T)] = values
    return numpy_helper.from_array(array, name)
