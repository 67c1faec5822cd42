"""Functions and norms of the domain com.microsoft, and the one that onnxruntime writes without a domain.

Gelu(X)                     ->    X (1 + erf(X / sqrt 2)) / 2
BiasGelu(X, B)              ->    Gelu(X + B)
FastGelu(X, B)              ->    X (1 + tanh(sqrt(2 / pi) (X + 0.044715 X^3))) / 2 of X + B
QuickGelu<alpha>(X)         ->    X sigmoid(alpha X)
BiasSoftmax(X, B)           ->    Softmax(X + B)
SkipLayerNormalization      ->    LayerNormalization(X + skip + bias)
SimplifiedLayerNormalization(X, s)    ->    s X / sqrt(mean(X^2) + epsilon)
ImageScaler, Affine         ->    a X + b
ScaledTanh                  ->    alpha tanh(beta X)
ParametricSoftplus          ->    alpha Softplus(beta X)
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.simplify.unfuse.steps import Rewrite, Steps

_GELU_IS_AN_OP = 20
_AXES_ARE_AN_INPUT = 18


def _gelu(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    steps = Steps(graph, node, version)
    return steps.replace(_erf_gelu(steps, _biased(steps)))


def _fast_gelu(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    steps = Steps(graph, node, version)
    x = _biased(steps)
    if version >= _GELU_IS_AN_OP:
        return steps.replace(steps.add_node("Gelu", [x], [ir.AttrString("approximate", "tanh")]))
    cube = steps.add("Mul", [steps.add("Mul", [x, x]), x])
    inner = steps.add("Add", [x, steps.add("Mul", [cube, steps.constant(0.044715)])])
    curve = steps.add("Tanh", [steps.add("Mul", [inner, steps.constant(math.sqrt(2 / math.pi))])])
    return steps.replace(_half_of(steps, x, curve))


def _quick_gelu(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    steps, x = Steps(graph, node, version), node.inputs[0]
    alpha = node.attributes.get_float("alpha", 1.702)
    scaled = x if np.float32(alpha) == 1 else steps.add("Mul", [x, steps.constant(alpha)])
    return steps.replace(steps.add("Mul", [x, steps.add("Sigmoid", [scaled])]))


def _bias_softmax(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    steps = Steps(graph, node, version)
    return steps.replace(steps.add("Softmax", [_biased(steps)], {"axis": node.attributes.get_int("axis", 1)}))


def _skip_layer_norm(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    steps = Steps(graph, node, version)
    x, skip, gamma, beta, bias = _five(node)
    total = steps.add("Add", [x, skip])
    if bias is not None:
        total = steps.add("Add", [total, bias])
    norm = [total, gamma] if beta is None else [total, gamma, beta]
    epsilon = {"epsilon": node.attributes.get_float("epsilon", 1e-12), "axis": -1}
    return _without_statistics(node) and steps.replace(
        steps.add("LayerNormalization", norm, epsilon), None, None, total
    )


def _simplified_norm(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    if not _without_statistics(node) or node.attributes.get_int("axis", -1) != -1:
        return False
    steps = Steps(graph, node, version)
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    return steps.replace(_by_root_mean_square(steps, node.inputs[0], node.inputs[1], epsilon))


def _skip_simplified_norm(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    if not _without_statistics(node):
        return False
    steps = Steps(graph, node, version)
    x, skip, gamma, bias, _ = _five(node)
    total = steps.add("Add", [x, skip])
    if bias is not None:
        total = steps.add("Add", [total, bias])
    epsilon = node.attributes.get_float("epsilon", 1e-12)
    return steps.replace(_by_root_mean_square(steps, total, gamma, epsilon), None, None, total)


def _biased(steps: Steps) -> ir.Value:
    """Its first input, with the second added where it has one."""
    x, *others = [value for value in steps.node.inputs if value is not None]
    return steps.add("Add", [x, others[0]]) if others else x


def _erf_gelu(steps: Steps, x: ir.Value) -> ir.Value:
    if steps.version >= _GELU_IS_AN_OP:
        return steps.add("Gelu", [x])
    return _half_of(steps, x, steps.add("Erf", [steps.add("Mul", [x, steps.constant(math.sqrt(0.5))])]))


def _half_of(steps: Steps, x: ir.Value, curve: ir.Value) -> ir.Value:
    """Half of x (1 + curve)."""
    product = steps.add("Mul", [x, steps.add("Add", [curve, steps.constant(1.0)])])
    return steps.add("Mul", [product, steps.constant(0.5)])


def _by_root_mean_square(steps: Steps, x: ir.Value | None, scale: ir.Value | None, epsilon: float) -> ir.Value:
    square = steps.add("Mul", [x, x])
    if steps.version >= _AXES_ARE_AN_INPUT:
        mean = steps.add("ReduceMean", [square, steps.constant([-1], np.int64)])
    else:
        mean = steps.add("ReduceMean", [square], {"axes": [-1]})
    root = steps.add("Sqrt", [steps.add("Add", [mean, steps.constant(epsilon)])])
    return steps.add("Mul", [steps.add("Div", [x, root]), scale])


def _five(node: ir.Node) -> list[ir.Value | None]:
    return [*node.inputs, None, None, None, None, None][:5]


def _without_statistics(node: ir.Node) -> bool:
    """Whether nobody reads the mean and the deviation that the op gives as well."""
    return not any(output.uses() or output.is_graph_output() for output in node.outputs[1:3])


FUNCTIONS: dict[tuple[str, str], Rewrite] = {
    ("com.microsoft", "Gelu"): _gelu,
    ("com.microsoft", "BiasGelu"): _gelu,
    ("com.microsoft", "FastGelu"): _fast_gelu,
    ("com.microsoft", "QuickGelu"): _quick_gelu,
    ("com.microsoft", "BiasSoftmax"): _bias_softmax,
    ("com.microsoft", "SkipLayerNormalization"): _skip_layer_norm,
    ("com.microsoft", "SkipSimplifiedLayerNormalization"): _skip_simplified_norm,
    ("", "SimplifiedLayerNormalization"): _simplified_norm,
}
