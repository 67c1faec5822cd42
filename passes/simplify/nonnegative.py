"""Tells from the ops that make a tensor whether it is known to hold no negative number."""

from __future__ import annotations

import onnx_ir as ir

_ALWAYS = frozenset("Abs Exp HardSigmoid ReduceL1 ReduceL2 ReduceSumSquare Relu Sigmoid Softmax Softplus Sqrt".split())
_IF_ALL_INPUTS = frozenset("Add Concat Max Min Mul Sum".split())
_IF_THE_FIRST = frozenset(
    "AveragePool Dropout Flatten GlobalAveragePool GlobalMaxPool Identity MaxPool ReduceMax ReduceMean Reshape Slice "
    "Split Squeeze Transpose Unsqueeze".split()
)


def is_nonnegative(value: ir.Value | None) -> bool:
    """Tell whether no entry can be negative; True only where that is certain."""
    if value is None:
        return False
    if value.const_value is not None:
        return bool((value.const_value.numpy() >= 0).all())
    node = value.producer()
    if node is None or node.domain not in ("", "ai.onnx"):
        return False
    op = node.op_type
    if op == "Clip":
        low = node.inputs[1] if len(node.inputs) > 1 else None
        return low is not None and low.const_value is not None and is_nonnegative(low)
    if op == "Pad":
        filled = node.inputs[2] if len(node.inputs) > 2 else None
        return is_nonnegative(node.inputs[0]) and (filled is None or is_nonnegative(filled))
    if op in _IF_ALL_INPUTS:
        return all(is_nonnegative(each) for each in node.inputs)
    return op in _ALWAYS or (op in _IF_THE_FIRST and is_nonnegative(node.inputs[0]))
