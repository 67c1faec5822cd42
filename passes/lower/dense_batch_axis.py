"""Which ops treat axis 0 as a batch, so that one call serves all positions of a chunk.

Exporters trace with batch 1, and a graph full of constants may mean that 1 literally: each op is
asked, with its attributes and constants, and whatever is not known to be safe runs once a position.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.lower.context import LoweringContext, array_of, input_of
from krypton_compile.passes.shapes import static_shape

POINTWISE = frozenset(
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh Cast Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor "
    "Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean "
    "Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign "
    "Sqrt Sub Sum Tan Tanh ThresholdedRelu Where Xor".split()
)
_PER_IMAGE = frozenset(
    "AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool GlobalMaxPool "
    "GroupNormalization InstanceNormalization LRN LpPool SpaceToDepth".split()
)
_ALONG_AXIS = {"ArgMax": 0, "ArgMin": 0, "Hardmax": -1, "LayerNormalization": -1, "LogSoftmax": -1, "Softmax": -1}
REDUCTIONS = frozenset("ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare".split())

Inputs = list[ir.Value | None]


def batched_inputs(node: ir.Node, dense: dict[ir.Value, ir.Value], context: LoweringContext) -> Inputs | None:
    """The node's inputs for B positions at once, or None where the op must run once a position."""
    if node.domain not in ("", "ai.onnx"):
        return None
    shapes = [static_shape(value) for value in (*dense, *node.outputs) if value.name]
    if any(not shape or shape[0] != 1 for shape in shapes):
        return None
    inputs: Inputs = [dense.get(value, value) if value is not None else None for value in node.inputs]
    if node.op_type == "Reshape":
        if array_of(input_of(node, 1)) is None:
            return None
        target = np.array([-1, *static_shape(node.outputs[0])[1:]], np.int64)
        return [inputs[0], context.emitter.initializer(f"{node.outputs[0].name}.batched_shape", target)]
    return inputs if _is_batch_safe(node, dense) else None


def _is_batch_safe(node: ir.Node, dense: dict[ir.Value, ir.Value]) -> bool:
    op, data = node.op_type, node.inputs[0]
    if data is None:
        return False
    rank = len(static_shape(data))
    first_only = list(dense) == [data]
    if op in POINTWISE:
        return _broadcasts_per_image(node, dense)
    if op == "MaxPool":
        return first_only and len(node.outputs) == 1
    if op in _PER_IMAGE:
        return first_only
    if op == "Flatten":
        return node.attributes.get_int("axis", 1) % (rank + 1) == 1
    if op == "Transpose":
        return "perm" in node.attributes and node.attributes["perm"].as_ints()[0] == 0
    if op in _ALONG_AXIS:
        return first_only and node.attributes.get_int("axis", _ALONG_AXIS[op]) % rank != 0
    if op == "Concat":
        return all(value in dense for value in node.inputs) and node.attributes.get_int("axis", 0) % rank != 0
    if op == "Split":
        return first_only and node.attributes.get_int("axis", 0) % rank != 0
    if op == "Gather":
        return first_only and node.attributes.get_int("axis", 0) % rank != 0
    if op in REDUCTIONS or op in ("Squeeze", "Unsqueeze"):
        axes = _axes(node, rank + (op == "Unsqueeze") * 1)
        return first_only and axes is not None and 0 not in axes
    if op == "Slice":
        axes_value = array_of(input_of(node, 3))
        return first_only and axes_value is not None and all(int(axis) % rank for axis in axes_value.flat)
    if op == "Pad":
        pads = array_of(input_of(node, 1))
        plain = input_of(node, 3) is None
        return first_only and plain and pads is not None and int(pads[0]) == int(pads[rank]) == 0
    if op == "Gemm":
        return first_only and not node.attributes.get_int("transA", 0) and _one_row(node.inputs[2:])
    if op == "MatMul":
        return _is_batched_product(node, dense)
    return False


def _broadcasts_per_image(node: ir.Node, dense: dict[ir.Value, ir.Value]) -> bool:
    rank = len(static_shape(node.outputs[0]))
    if any(len(static_shape(value)) != rank for value in dense):
        return False
    others = [value for value in node.inputs if value is not None and value not in dense]
    return all(len(static_shape(value)) < rank or static_shape(value)[0] == 1 for value in others)


def _is_batched_product(node: ir.Node, dense: dict[ir.Value, ir.Value]) -> bool:
    a, b = node.inputs[0], node.inputs[1]
    if a is None or b is None:
        return False
    if a in dense and b not in dense:
        return len(static_shape(b)) == 2 and len(static_shape(a)) >= 2
    return a in dense and b in dense and len(static_shape(a)) == len(static_shape(b)) >= 3


def _one_row(values: Sequence[ir.Value | None]) -> bool:
    return all(value is None or len(static_shape(value)) < 2 or static_shape(value)[0] == 1 for value in values)


def _axes(node: ir.Node, rank: int) -> list[int] | None:
    """The axes that the node names; None where it names none, that is all, or none that is constant."""
    if "axes" in node.attributes:
        return [axis % rank for axis in node.attributes["axes"].as_ints()]
    array = array_of(input_of(node, 1))
    if array is None or (array.size == 0 and not node.attributes.get_int("noop_with_empty_axes", 0)):
        return None
    return [int(axis) % rank for axis in array.flat]
