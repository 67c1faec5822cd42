"""Fold affine ops: what scales and shifts the channels of a convolution becomes part of its weights and bias.

    s (W x + b) + t     =  (s W) x + (s b + t)         BatchNormalization, Mul, Div, Add, Sub behind a Conv
    W (s x + t) + b     =  (W s) x + (b + sum W t)     the same before one; with pads only where t = 0

s and t are numbers or one value a channel; BatchNormalization is s = gamma / sqrt(var + epsilon), t = beta - s mean,
and decomposed into Sub, Div, Mul and Add it folds one by one. Also through Transposes: NHWC exports have them between.
Refused where others read what lies between. Shapes are static before and after.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.folding.through_layouts import axis_before, is_read_once, source_of
from krypton_compile.passes.simplify.initializers import add_initializer

Numbers = npt.NDArray[np.float64]
_AFFINE = ("Add", "BatchNormalization", "Div", "Mul", "Neg", "Sub")


def fold_affine(model: ir.Model) -> int:
    """Fold every such node; return their number."""
    graph = model.graph
    behind = sum(_fold_behind(graph, node) for node in graph if node.op_type in _AFFINE)
    before = 0
    for node in graph:
        while node.op_type == "Conv" and _fold_before(graph, node):
            before += 1
    return behind + before


def _fold_behind(graph: ir.Graph, node: ir.Node) -> bool:
    read = _affine(node)
    if read is None:
        return False
    x, scale, shift = read
    conv, transposes = source_of(x)
    if conv is None or not _is_foldable(conv) or not all(is_read_once(each.outputs[0]) for each in (conv, *transposes)):
        return False
    axis = next(axis for axis in range(4) if axis_before(axis, transposes) == 1)
    channels = static_shape(conv.outputs[0])[1]
    scales, shifts = (_by_channel(each, axis, channels) for each in (scale, shift))
    if scales is None or shifts is None:
        return False
    weight, bias = _weights(conv)
    _set_weights(graph, conv, weight * scales[:, None, None, None], bias * scales + shifts)
    _replace(graph, node, x)
    return True


def _fold_before(graph: ir.Graph, conv: ir.Node) -> bool:
    node, transposes = source_of(conv.inputs[0])
    read = _affine(node) if node is not None and node.op_type in _AFFINE else None
    if read is None or not _is_foldable(conv):
        return False
    assert node is not None
    x, scale, shift = read
    if not all(is_read_once(each.outputs[0]) for each in (node, *transposes)):
        return False
    weight, bias = _weights(conv)
    group = conv.attributes["group"].as_int() if "group" in conv.attributes else 1
    channels = weight.shape[1] * group
    scales, shifts = (_by_channel(each, axis_before(1, transposes), channels) for each in (scale, shift))
    if scales is None or shifts is None or (np.any(shifts != 0) and _is_padded(conv)):
        return False
    # Of each output channel's group: which input channels its weights read.
    rows = np.arange(len(weight)) // (len(weight) // group)
    scales, shifts = (each.reshape(group, -1)[rows][:, :, None, None] for each in (scales, shifts))
    _set_weights(graph, conv, weight * scales, bias + (weight * shifts).sum(axis=(1, 2, 3)))
    _replace(graph, node, x)
    return True


def _affine(node: ir.Node) -> tuple[ir.Value, Numbers, Numbers] | None:
    """(x, s, t) of a node that is s x + t, its constants shaped to broadcast to x; None if it is none."""
    if node.domain not in ("", "ai.onnx"):
        return None
    one, zero = np.ones(()), np.zeros(())
    if node.op_type == "BatchNormalization":
        return _normalization(node)
    constants = [None if value is None else value.const_value for value in node.inputs]
    if node.op_type == "Neg" or sum(each is None for each in constants) != 1:
        x = node.inputs[0]
        return (x, -one, zero) if node.op_type == "Neg" and x is not None else None
    first = constants[0] is None
    x, constant = node.inputs[0 if first else 1], constants[1 if first else 0]
    assert x is not None and constant is not None
    output = node.outputs[0]
    if x.dtype != ir.DataType.FLOAT or not _is_map(x) or not _is_map(output) or static_shape(x) != static_shape(output):
        return None
    k = constant.numpy().astype(np.float64)
    if node.op_type == "Add":
        return x, one, k
    if node.op_type == "Sub":
        return (x, one, -k) if first else (x, -one, k)
    if node.op_type == "Mul":
        return x, k, zero
    return (x, 1 / k, zero) if first and np.all(k != 0) else None


def _normalization(node: ir.Node) -> tuple[ir.Value, Numbers, Numbers] | None:
    training = "training_mode" in node.attributes and node.attributes["training_mode"].as_int()
    constants = [value.const_value for value in node.inputs[1:] if value is not None and value.const_value is not None]
    x = node.inputs[0]
    if training or len(constants) != 4 or x is None or not _is_map(x):
        return None
    gamma, beta, mean, variance = (each.numpy().astype(np.float64)[:, None, None] for each in constants)
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
    scale = gamma / np.sqrt(variance + epsilon)
    return x, scale, beta - scale * mean


def _is_map(value: ir.Value) -> bool:
    return has_static_shape(value) and len(static_shape(value)) == 4


def _by_channel(array: Numbers, axis: int, channels: int) -> Numbers | None:
    """A constant that broadcasts to a map with its channels at ``axis``, as [C]."""
    if array.size == 1:
        return np.full(channels, array.reshape(()))
    shape = (1,) * (4 - array.ndim) + array.shape
    return array.reshape(-1) if shape[axis] == array.size == channels else None


def _is_foldable(conv: ir.Node) -> bool:
    if conv.op_type != "Conv" or conv.domain not in ("", "ai.onnx"):
        return False
    constant = all(value is None or value.const_value is not None for value in conv.inputs[1:])
    weight = conv.inputs[1]
    return constant and weight is not None and weight.dtype == ir.DataType.FLOAT and len(static_shape(weight)) == 4


def _is_padded(conv: ir.Node) -> bool:
    same = "auto_pad" in conv.attributes and conv.attributes["auto_pad"].as_string().startswith("SAME")
    return same or ("pads" in conv.attributes and any(conv.attributes["pads"].as_ints()))


def _weights(conv: ir.Node) -> tuple[Numbers, Numbers]:
    arrays = [value.const_value.numpy() for value in conv.inputs[1:] if value is not None and value.const_value]
    weight = arrays[0].astype(np.float64)
    return weight, arrays[1].astype(np.float64) if len(arrays) > 1 else np.zeros(len(weight))


def _set_weights(graph: ir.Graph, conv: ir.Node, weight: Numbers, bias: Numbers) -> None:
    name = conv.outputs[0].name
    arrays = {"weight": weight, "bias": bias}
    values = [add_initializer(graph, f"{name}.{part}", each.astype(np.float32)) for part, each in arrays.items()]
    conv.resize_inputs(3)
    for index, value in enumerate(values, 1):
        old = conv.inputs[index]
        conv.replace_input_with(index, value)
        if old is not None and old.is_initializer() and not old.uses() and not old.is_graph_output():
            del graph.initializers[str(old.name)]


def _replace(graph: ir.Graph, node: ir.Node, x: ir.Value) -> None:
    """``x`` takes the place of the node's output, and if only the node read it, the name."""
    output, alone = node.outputs[0], is_read_once(x) and not x.is_graph_input()
    name = output.name
    output.replace_all_uses_with(x, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if name is not None and alone:
        x.name = name
