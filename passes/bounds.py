"""Lower bounds of tensors that follow from the ops that make them alone, whatever the image."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

_NOT_NEGATIVE = frozenset(
    "Abs Exp GlobalLpPool HardSigmoid LpPool ReduceL1 ReduceL2 ReduceSumSquare Relu Sigmoid Softmax Softplus "
    "Sqrt".split()
)
_KEEPS = frozenset(
    "AveragePool Cast Dropout Expand Flatten Gather GlobalAveragePool GlobalMaxPool Identity MaxPool ReduceMax "
    "ReduceMean ReduceMin Reshape Slice Split Squeeze Transpose Unsqueeze".split()
)
_DEPTH = 24
"""Ops that are followed back; behind more, nothing is known."""


def is_nonnegative(value: ir.Value | None) -> bool:
    """Tell whether no entry can be negative; True only where that is certain."""
    return LowerBounds().of(value) >= 0


def begins_at_zero(node: ir.Node) -> bool:
    """Whether a Clip begins at 0, which T0 + D meets exactly, as behind a Relu."""
    low = _array_of(_input_of(node, 1))
    return low is not None and low.size == 1 and float(low.reshape(())) == 0.0


class LowerBounds:
    """Lower bounds, each found once."""

    def __init__(self) -> None:
        self._found: dict[ir.Value, float] = {}

    def of(self, value: ir.Value | None, depth: int = _DEPTH) -> float:
        """A number that no entry of the tensor is below; minus infinity where none is known."""
        if value is None:
            return -math.inf
        if value not in self._found:
            self._found[value] = self._find(value, depth)
        return self._found[value]

    def _find(self, value: ir.Value, depth: int) -> float:
        array, node = _array_of(value), value.producer()
        if array is not None:
            return float(array.min()) if array.size and array.dtype.kind in "biuf" else -math.inf
        if node is None or depth == 0 or node.domain not in ("", "ai.onnx"):
            return -math.inf
        bounds = [self.of(each, depth - 1) for each in node.inputs if each is not None]
        return self._of_node(node, bounds)

    def _of_node(self, node: ir.Node, bounds: list[float]) -> float:
        op = node.op_type
        if op == "Sqrt":
            return math.sqrt(max(bounds[0], 0.0))
        if op == "Exp":
            return math.exp(min(bounds[0], 0.0))
        if op in _NOT_NEGATIVE:
            return 0.0
        if op in ("AveragePool", "MaxPool"):
            return bounds[0] if bounds[0] <= 0 else 0.0  # pads count as zeros
        if op in _KEEPS:
            return bounds[0]
        if op in ("Add", "Sum"):
            return sum(bounds)
        if op == "Pad":  # with another number than the map's own, or with its pixels
            filled = _input_of(node, 2)
            constant = node.attributes.get_string("mode", "constant") == "constant"
            return min(bounds[0], 0.0 if filled is None else self.of(filled)) if constant else bounds[0]
        if op == "Max":
            return max(bounds)
        if op in ("Min", "Concat"):
            return min(bounds)
        if op == "Clip":
            return max(bounds[0], self.of(_input_of(node, 1)))
        if op == "ReduceSum":
            return 0.0 if bounds[0] >= 0 else -math.inf
        if op == "Mul":
            if node.inputs[0] is node.inputs[1]:
                return max(bounds[0], 0.0) ** 2
            return bounds[0] * bounds[1] if min(bounds) >= 0 else -math.inf
        if op == "Pow":
            return _power(bounds[0], _input_of(node, 1))
        return -math.inf


def _power(bound: float, exponent: ir.Value | None) -> float:
    array = _array_of(exponent)
    if array is None or array.size != 1:
        return 0.0 if bound >= 0 else -math.inf
    power = float(array.reshape(()))
    if bound >= 0 and power >= 0:
        return bound**power if bound < math.inf else bound
    return 0.0 if bound >= 0 or power % 2 == 0 else -math.inf


def _input_of(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _array_of(value: ir.Value | None) -> npt.NDArray[np.generic] | None:
    tensor = None if value is None else value.const_value
    return None if tensor is None else tensor.numpy()
