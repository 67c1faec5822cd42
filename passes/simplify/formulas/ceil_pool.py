"""Average pools whose last window stands over the end (ceil_mode): what they divide by is a constant map.

    AveragePool<ceil_mode>(X)    ->    Mul(AveragePool<pads +, count_include_pad = 1>(X), taps / divisor)

A window over the end is divided by a number that onnxruntime's versions do not agree on where pads are counted. Which
one it is here, onnxruntime is asked with a map of ones; the compiled file then means the same in every version.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.formulas.terms import insert, shape_of, take_over
from krypton_compile.passes.simplify.initializers import add_initializer
from krypton_compile.passes.window_of import Axis, read_axes

Factors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ExplicitWindow:
    """A window without ceil_mode; times ``factor`` [1, 1, ...], a mean of all its taps is the pool's."""

    kernel: list[int]
    strides: list[int]
    pads: list[int]
    factor: Factors


def find_ceil_pool(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    """Rewrite a pool that counts its pads and has a window beyond them."""
    if node.op_type != "AveragePool" or not node.attributes.get_int("ceil_mode", 0):
        return False
    if not node.attributes.get_int("count_include_pad", 0) or not _stands_over(_axes_of(node)):
        return False
    window = explicit_window(node, version)
    if window is None:
        return False
    attributes = {"kernel_shape": window.kernel, "strides": window.strides, "pads": window.pads}
    result = insert(graph, node, "AveragePool", [node.inputs[0]], {**attributes, "count_include_pad": 1})
    if (window.factor != 1).any():
        factor = add_initializer(graph, f"{node.outputs[0].name}.divisor", window.factor)
        result = insert(graph, node, "Mul", [result, factor], {})
    take_over(graph, node, result)
    return True


def explicit_window(pool: ir.Node, version: int) -> ExplicitWindow | None:
    """The window of an AveragePool with pads for all of its taps; None where onnxruntime has no such pool."""
    axes = _axes_of(pool)
    if not axes or any(axis.dilation != 1 for axis in axes):
        return None
    ends = [(axis.output - 1) * axis.stride + axis.reach - axis.pad - axis.size for axis in axes]
    pads = [*(axis.pad for axis in axes), *(max(0, end) for end in ends)]
    last_in_pads = any((axis.output - 1) * axis.stride >= axis.size + axis.pad for axis in axes)
    if last_in_pads or any(pad >= axis.kernel for pad, axis in zip(pads, [*axes, *axes], strict=True)):
        return None
    kernel, strides = [axis.kernel for axis in axes], [axis.stride for axis in axes]
    bare = helper.make_node("AveragePool", ["x"], ["y"])
    bare.attribute.extend(
        helper.make_attribute(name, value)
        for name, value in (("kernel_shape", kernel), ("strides", strides), ("pads", pads), ("count_include_pad", 1))
    )
    asked = ir.to_proto(pool)
    asked.input[:], asked.output[:] = ["x"], ["y"]
    sizes = [axis.size for axis in axes]
    try:
        own, plain = (_of_ones(node, sizes, version) for node in (asked, bare))
    except Exception:  # onnxruntime's exceptions have no common base; a pool that it does not have stays as it is
        return None
    if own.shape != plain.shape:
        return None
    return ExplicitWindow(kernel, strides, pads, (own / plain).astype(np.float32))


def _axes_of(pool: ir.Node) -> list[Axis]:
    source, output = shape_of(pool.inputs[0]), shape_of(pool.outputs[0])
    kernel = pool.attributes["kernel_shape"].as_ints()
    if len(source) != len(kernel) + 2 or len(output) != len(source):
        return []
    return read_axes(pool, kernel, source[2:], static_shape(pool.outputs[0])[2:])


def _stands_over(axes: list[Axis]) -> bool:
    return any((axis.output - 1) * axis.stride + axis.reach > axis.size + axis.pad + axis.end for axis in axes)


def _of_ones(node: onnx.NodeProto, sizes: list[int], version: int) -> Factors:
    shape = [1, 1, *sizes]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph([node], "ones", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    result: Factors = open_session(model, optimized=False).run(None, {"x": np.ones(shape, np.float32)})[0]
    return result
