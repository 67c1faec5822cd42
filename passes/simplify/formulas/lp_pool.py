"""Pools by a norm, as PyTorch's exporters write them.

    Sign(X) * Relu(Abs(X))                          ->    X
    Pow(k AveragePool(Pow(X, p)), 1 / p)            ->    LpPool<p>(X)      p even or X >= 0, k the taps of a window
    Pow(k AveragePool<ceil_mode>(Pow(X, p)), 1/p)   ->    LpPool<p>(X) times one number a place of the result

A window that ceil_mode lets stand over the end has fewer taps than k: ceil_pool.py has its divisor.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.bounds import is_nonnegative
from krypton_compile.passes.simplify.formulas.ceil_pool import explicit_window
from krypton_compile.passes.simplify.formulas.terms import insert, made_by, power, shape_of, take_over, with_number
from krypton_compile.passes.simplify.initializers import add_initializer

_ROUNDING = 1e-6
"""Of a third in float32."""
_LARGEST_POWER = 4
"""Of IncrementalLpPool, whose rule says why."""


def find_absolute_value(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    """Rewrite the product of a value's sign and its absolute value."""
    del version
    if node.op_type != "Mul" or len(node.inputs) != 2:
        return False
    for one, other in (node.inputs, node.inputs[::-1]):
        sign, size = made_by(one, "Sign"), made_by(other, "Relu", "Abs")
        if size is not None and size.op_type == "Relu":
            size = made_by(size.inputs[0], "Abs")
        if sign is not None and size is not None and sign.inputs[0] is size.inputs[0] is not None:
            take_over(graph, node, insert(graph, node, "Identity", [sign.inputs[0]], {}))
            return True
    return False


def find_lp_pool(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    """Rewrite the root of a mean of powers."""
    root = power(node.outputs[0]) if node.op_type in ("Pow", "Sqrt") else None
    if root is None or root[1] <= 0:
        return False
    scaled = with_number(made_by(_plain(root[0]), "Mul"))
    pool = made_by(_plain(scaled[0]), "AveragePool") if scaled is not None else None
    powered = power(pool.inputs[0]) if pool is not None else None
    if scaled is None or pool is None or powered is None:
        return False
    x, p = powered
    if not math.isclose(p * root[1], 1, rel_tol=_ROUNDING) or p != int(p) or not 1 <= p <= _LARGEST_POWER:
        return False
    if int(p) % 2 and not is_nonnegative(x):
        return False
    if not math.isclose(scaled[1], math.prod(pool.attributes["kernel_shape"].as_ints())):
        return False
    window = explicit_window(pool, version)
    if window is None or len(shape_of(x)) < 3:
        return False
    attributes: dict[str, object] = {"kernel_shape": window.kernel, "strides": window.strides, "pads": window.pads}
    result = insert(graph, node, "LpPool", [x], {**attributes, "p": int(p)})
    if (window.factor != 1).any():
        factor = add_initializer(graph, f"{node.outputs[0].name}.taps", window.factor ** np.float32(1 / p))
        result = insert(graph, node, "Mul", [result, factor], {})
    take_over(graph, node, result)
    return True


def _plain(value: ir.Value | None) -> ir.Value | None:
    while (node := made_by(value, "Identity")) is not None:
        value = node.inputs[0]
    return value
