"""Convolutions and matrix products that onnxruntime fused with what follows them.

FusedConv(X, W, B, Z)           ->    act(Conv(X, W, B) + Z)
FusedGemm(A, B, C)              ->    act(Gemm(A, B, C))
FusedMatMul<alpha, transB>      ->    alpha A B^T, A or B transposed

Products of matrices whose batches are transposed as well stay.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.unfuse.steps import Rewrite, Steps, knows_activation

_FUSION = ("activation", "activation_params", "activation_alpha", "activation_beta", "activation_gamma")
_BATCH_FLAGS = ("transBatchA", "transBatchB")


def plain_attributes(node: ir.Node) -> list[ir.Attr]:
    """List the attributes of a fused node that are those of the op before."""
    return [attribute for name, attribute in node.attributes.items() if name not in _FUSION]


def convolve(steps: Steps, inputs: list[ir.Value | None], attributes: list[ir.Attr]) -> bool:
    """Replace the node by a Conv of three inputs, an Add of the fourth and the function it is fused with."""
    node = steps.node
    result = steps.add_node("Conv", [value for value in inputs[:3] if value is not None], attributes)
    if len(inputs) > 3 and inputs[3] is not None:
        result = steps.add("Add", [result, inputs[3]])
    if "activation" in node.attributes:
        parameters = node.attributes.get_floats("activation_params", ())
        result = steps.activate(result, node.attributes["activation"].as_string(), list(parameters))
    return steps.replace(result)


def _conv(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    return knows_activation(node) and convolve(Steps(graph, node, version), list(node.inputs), plain_attributes(node))


def _gemm(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    steps = Steps(graph, node, version)
    result = steps.add_node("Gemm", node.inputs, plain_attributes(node))
    named = {"alpha": "activation_alpha", "beta": "activation_beta", "gamma": "activation_gamma"}
    parameters = {own: node.attributes[name].as_float() for own, name in named.items() if name in node.attributes}
    return steps.replace(steps.add(node.attributes["activation"].as_string(), [result], parameters))


def _matmul(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    if any(node.attributes.get_int(name, 0) for name in _BATCH_FLAGS):
        return False
    operands = list(node.inputs[:2])
    flags = [node.attributes.get_int(name, 0) for name in ("transA", "transB")]
    if any(flag and (value is None or not _known(value)) for flag, value in zip(flags, operands, strict=True)):
        return False
    steps = Steps(graph, node, version)
    for index, (flag, value) in enumerate(zip(flags, operands, strict=True)):
        if flag and value is not None:
            rank = len(static_shape(value))
            if rank > 1:
                perm = [*range(rank - 2), rank - 1, rank - 2]
                operands[index] = steps.add("Transpose", [value], {"perm": perm})
    result = steps.add("MatMul", operands)
    alpha = node.attributes.get_float("alpha", 1.0)
    if np.float32(alpha) != 1:
        result = steps.add("Mul", [result, steps.constant(alpha)])
    return steps.replace(result)


def _known(value: ir.Value) -> bool:
    return value.const_value is not None or has_static_shape(value)


PRODUCTS: dict[tuple[str, str], Rewrite] = {
    ("com.microsoft", "FusedConv"): _conv,
    ("com.microsoft", "FusedGemm"): _gemm,
    ("com.microsoft", "FusedMatMul"): _matmul,
    ("com.microsoft", "TransposeMatMul"): _matmul,
}
