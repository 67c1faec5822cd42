"""Functions of single entries, of a view and of constants or other views: the same function of the maps.

f(T), T a view of X              ->    the same view of f(X)
f(T, U), U a view of Y           ->    the same view of f(X, Y), Y brought into the arrangement of X
f(T, k), k constant              ->    the same view of f(X, k brought into the arrangement of X)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.views.build import Builder, aligned, fresh, in_map, realized
from krypton_compile.passes.simplify.views.view import Axis, View

_SEVERAL = (
    "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Or PRelu Pow Sub Where Xor Mean Sum"
).split()
_ALONE = (
    "Abs Acos Acosh Asin Asinh Atan Atanh Cast Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish "
    "IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign "
    "Sqrt Tan Tanh ThresholdedRelu"
).split()
ELEMENTWISE = frozenset((*_SEVERAL, *_ALONE))


def apply(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    """The view of the node's output; None where it is none."""
    if node.op_type in _ALONE:
        view = views[0]
        if view is None or any(each is not None for each in views[1:]):
            return None
        return _with(node, view, [view.source, *node.inputs[1:]], view.own_shape, build)
    return _several(node, views, build)


def _with(node: ir.Node, view: View, inputs: Sequence[ir.Value | None], shape: Sequence[int], build: Builder) -> View:
    attributes = tuple(node.attributes.values())
    source = build.add(node.op_type, inputs, shape, attributes, node.outputs[0].dtype)
    return View(source, view.layout, view.own, view.axes)


def _several(node: ir.Node, views: Sequence[View | None], build: Builder) -> View | None:
    shape = static_shape(node.outputs[0])
    others = [_widened(view, len(shape)) for view in views]
    frame = next(iter(sorted((view for view in others if view is not None), key=lambda view: -np.prod(view.shape))))
    axes: list[Axis] = []
    for axis, old, new in zip(frame.axes, frame.shape, shape, strict=True):
        axes.append(axis if old == new else fresh(new))
    wider = any(old != new for old, new in zip(frame.shape, shape, strict=True))
    frame = frame.on(tuple(axes))
    numbers = sum(_is_number(value) for value in node.inputs)
    if wider or (frame.free() and numbers < len(views) - 1):
        frame = realized(build, frame)
    same = [index for index, view in enumerate(others) if view is not None and view.axes == frame.axes]
    inputs: list[ir.Value | None] = []
    for index, (value, view) in enumerate(zip(node.inputs, others, strict=True)):
        if value is None:
            return None
        if view is None:
            inputs.append(_constant(value, frame, build))
        elif index in same[:1]:
            inputs.append(frame.source)
        else:
            found = aligned(build, frame, realized(build, view))
            if found is None:
                return None
            frame = found[0]
            inputs.append(found[1])
    if any(value is None for value in inputs):
        return None
    return _with(node, frame, inputs, frame.own_shape, build)


def _widened(view: View | None, rank: int) -> View | None:
    """The same view with axes of size 1 in front, as broadcasting has it."""
    return None if view is None else view.on(((),) * (rank - len(view.axes)) + view.axes)


def _is_number(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and value.const_value.size == 1


def _constant(value: ir.Value, frame: View, build: Builder) -> ir.Value | None:
    tensor = value.const_value
    if tensor is None:
        return None
    if tensor.size == 1:
        return value if len(tensor.shape) <= len(frame.own) else build.constant(tensor.numpy().reshape(()))
    array = in_map(frame, tensor.numpy())
    return None if array is None else build.constant(array)
