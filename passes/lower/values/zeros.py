"""Tells from the ops that make a tensor whether whole neighbourhoods of exact zeros are to be expected in it."""

from __future__ import annotations

from collections.abc import Iterable, Set

import onnx_ir as ir

from krypton_compile.passes.bounds import begins_at_zero
from krypton_compile.passes.lower.context import array_of, input_of

_WINDOWS = ("AveragePool", "Conv", "MatMul", "MaxPool")
_MAKING_ZEROS = frozenset(
    "And Equal Floor Greater GreaterOrEqual HardSigmoid HardSwish Less LessOrEqual Not Or Relu Round Shrink "
    "ThresholdedRelu Xor".split()
)
_KEEPING_ZEROS = frozenset(
    "Abs AveragePool Cast Ceil Celu DepthToSpace Dropout Elu Erf Expand Gather Gelu Identity LRN LeakyRelu LpPool "
    "MatMul MaxPool Mish Neg PRelu Pad ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare "
    "Reshape Resize Selu Sign Sin Slice Softsign SpaceToDepth Split Sqrt Squeeze Swish Tanh ThresholdedRelu Transpose "
    "Unsqueeze".split()
)
_ZERO_IF_ALL = frozenset(("Add", "Concat", "Max", "Min", "Sub", "Sum"))
_ZERO_IF_THE_FIRST = frozenset(("Div", "Pow"))
_DEPTH = 12
"""Ops that are followed back; behind more, none are expected."""


def is_window(node: ir.Node) -> bool:
    """Whether a node's delta is computed from several numbers, whose rounding leaves no 0 of zeros."""
    return node.op_type in _WINDOWS and node.domain in ("", "ai.onnx")


def find_quiet(
    ends: Iterable[ir.Value], stops: Set[ir.Node], moves: Set[ir.Value], image: ir.Value
) -> tuple[frozenset[ir.Node], frozenset[ir.Node]]:
    """Find the convolutions and pools behind ``ends`` that must not round zeros, and the products that must not.

    ``stops`` are not passed; ``moves`` depend on the image. A node that an end comes from itself is none of them: its
    T' is read where it is made, as the baseline's own where it sees nothing else.
    """
    windows, products = set[ir.Node](), set[ir.Node]()
    pending, seen = [(end, True) for end in ends], set[tuple[ir.Value, bool]]()
    while pending:
        value, is_end = pending.pop()
        node = value.producer()
        if (value, is_end) in seen or node is None or node in stops:
            continue
        seen.add((value, is_end))
        inputs = [each for each in node.inputs if each is not None]
        if is_window(node):
            if not _is_unbiased(node) or not vanishes(inputs[0], image):
                continue
            if not is_end:
                windows.add(node)
            inputs = inputs[:1]
        elif node.op_type in ("Div", "Mul") and len(moves & set(inputs)) > 1 and vanishes(value, image):
            products.add(node)
        pending += [(each, False) for each in inputs]
    return frozenset(windows), frozenset(products)


def vanishes(value: ir.Value | None, image: ir.Value | None = None, depth: int = _DEPTH) -> bool:
    """Whether exact zeros are to be expected: the value is a Relu's, or made of such by ops that keep zeros.

    They are of ``image`` too, if it is given: it may be black.
    """
    if value is None or depth == 0:
        return False
    if value is image:
        return True
    array, node = array_of(value), value.producer()
    if array is not None:
        return array.dtype.kind in "biuf" and not array.any()
    if node is None or node.domain not in ("", "ai.onnx"):
        return False
    op, inputs = node.op_type, [each for each in node.inputs if each is not None]
    if op in _MAKING_ZEROS or (op == "Clip" and begins_at_zero(node)):
        return True
    if op == "Max" and any(_is_zero(each) for each in inputs):
        return True
    if op == "Where":
        return any(vanishes(each, image, depth - 1) for each in inputs[1:])
    if op == "Mul":
        return any(vanishes(each, image, depth - 1) for each in inputs)
    if op in _ZERO_IF_ALL:
        return all(vanishes(each, image, depth - 1) for each in inputs)
    if op in _ZERO_IF_THE_FIRST or op in _KEEPING_ZEROS or (op == "Conv" and len(inputs) == 2):
        return vanishes(inputs[0], image, depth - 1)
    return False


def _is_unbiased(node: ir.Node) -> bool:
    """Whether what it makes of zeros is 0 in some channel; a bias is as large as what stands beside it."""
    bias = array_of(input_of(node, 2)) if node.op_type == "Conv" else None
    return bias is None or bool((bias == 0).any())


def _is_zero(value: ir.Value) -> bool:
    array = array_of(value)
    return array is not None and not array.any()
