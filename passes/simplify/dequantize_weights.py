"""Dequantize the weights: where they alone are quantized, they become float32 constants.

    W = DequantizeLinear(Q, s, z)    ->    W = (Q - z) s, a constant

Only in networks that quantize no activations: in the others onnxruntime fuses these nodes into its integer kernels.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.quantized import is_quantizing
from krypton_compile.passes.simplify.initializers import add_initializer


def dequantize_weights(model: ir.Model) -> int:
    """Replace every such node; return their number."""
    graph = model.graph
    if any(is_quantizing(node) for node in graph):
        return 0
    return sum(_dequantize(graph, node) for node in graph if node.op_type == "DequantizeLinear")


def _dequantize(graph: ir.Graph, node: ir.Node) -> bool:
    tensors = [None if value is None else value.const_value for value in node.inputs]
    blocks = "block_size" in node.attributes and node.attributes["block_size"].as_int()
    if tensors[0] is None or tensors[1] is None or tensors[1].dtype != ir.DataType.FLOAT or blocks:
        return False
    quantized, scale = tensors[0].numpy().astype(np.float32), tensors[1].numpy()
    point = tensors[2].numpy().astype(np.float32) if len(tensors) > 2 and tensors[2] is not None else np.float32(0)
    if scale.ndim == 1 and scale.size > 1:
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
        shape = [1] * quantized.ndim
        shape[axis] = scale.size
        scale = scale.reshape(shape)
        point = point.reshape(shape) if point.size > 1 else point
    output = node.outputs[0]
    value = add_initializer(graph, f"{output.name}.dequantized", ((quantized - point) * scale).astype(np.float32))
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return True
