"""Local response normalisation, as PyTorch's exporters write it.

    X / Pow(k + alpha AveragePool(X * X, along the channels), beta)    ->    LRN<size, alpha, beta, bias = k>(X)
                                                                       ->    X / Pow(Conv1x1(X * X, band, k), beta)

The pool slides over channels that stand where it knows an axis of the map: [1, 1, C, H, W], [1, C, H W] and their like,
padded by zeros that it counts. onnxruntime's LRN knows pictures and windows of an odd size alone; a
convolution whose filters are a band of alpha / size does the same on any map.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.simplify.formulas.terms import (
    insert,
    made_by,
    number,
    power,
    shape_of,
    take_over,
    with_number,
)
from krypton_compile.passes.simplify.initializers import add_initializer

_LOST = 1e-20
_VIEWS = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")


def find_local_response(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    """Rewrite such a division, or product with a negative power."""
    del version
    x, base, beta = _quotient(node)
    if x is None or len(shape_of(x)) < 3:
        return False
    bias, mean, alpha = _affine(base)
    window = _channel_window(mean, x)
    if window is None or beta <= 0:
        return False
    size, before = window
    if size % 2 and before == size // 2 and len(shape_of(x)) == 4:
        attributes: dict[str, object] = {"size": size, "alpha": alpha, "beta": beta, "bias": bias}
        take_over(graph, node, insert(graph, node, "LRN", [x], attributes))
        return True
    name, channels = node.outputs[0].name, shape_of(x)[1]
    distance = np.arange(channels) - np.arange(channels)[:, None] + before  # of an input to the first of its window
    band = np.where((distance >= 0) & (distance < size), alpha / size, 0).astype(np.float32)
    filters = add_initializer(graph, f"{name}.band", band.reshape(channels, channels, *[1] * (len(shape_of(x)) - 2)))
    biases = add_initializer(graph, f"{name}.bias", np.full(channels, bias, np.float32))
    mean = insert(graph, node, "Conv", [insert(graph, node, "Mul", [x, x], {}), filters, biases], {})
    exponent = add_initializer(graph, f"{name}.exponent", np.array(beta, np.float32))
    take_over(graph, node, insert(graph, node, "Div", [x, insert(graph, node, "Pow", [mean, exponent], {})], {}))
    return True


def _quotient(node: ir.Node) -> tuple[ir.Value | None, ir.Value | None, float]:
    """X, B and beta of X / B^beta."""
    if node.op_type == "Div" and len(node.inputs) == 2:
        powered = power(node.inputs[1])
        return (node.inputs[0], *powered) if powered is not None else (None, None, 0.0)
    if node.op_type == "Mul" and len(node.inputs) == 2:
        for x, other in (node.inputs, node.inputs[::-1]):
            inverse = made_by(other, "Reciprocal")
            powered = power(inverse.inputs[0]) if inverse is not None else None
            if powered is not None:
                return x, *powered
            powered = power(other) if made_by(other, "Pow") else None
            if powered is not None and powered[1] < 0:
                return x, powered[0], -powered[1]
    return None, None, 0.0


def _affine(value: ir.Value | None) -> tuple[float, ir.Value | None, float]:
    """K, M and a of k + a M."""
    added = with_number(made_by(value, "Add"))
    if added is not None:
        value, bias = added
    else:
        bias = 0.0
    scaled = with_number(made_by(value, "Mul"))
    if scaled is not None:
        return bias, scaled[0], scaled[1]
    divided = made_by(value, "Div")
    divisor = None if divided is None else number(divided.inputs[1])
    if divided is not None and divisor:
        return bias, divided.inputs[0], 1 / divisor
    return bias, value, 1.0


def _channel_window(mean: ir.Value | None, x: ir.Value) -> tuple[int, int] | None:
    """Size of the window and channels before its own, where ``mean`` is one of squares of X along the channels."""
    pool = made_by(_unviewed(mean), "AveragePool")
    if pool is None or shape_of(mean) != shape_of(x):
        return None
    kernel = pool.attributes["kernel_shape"].as_ints()
    wide = [axis for axis, size in enumerate(kernel) if size != 1]
    plain = all(number == 1 for name in ("strides", "dilations") for number in pool.attributes.get_ints(name, (1,)))
    if len(wide) != 1 or not plain or pool.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return None
    axis, size = wide[0] + 2, int(kernel[wide[0]])
    pads = pool.attributes.get_ints("pads", (0,) * 2 * len(kernel))
    own = [0, 0, *pads[: len(kernel)], 0, 0, *pads[len(kernel) :]]
    if any(own) and not pool.attributes.get_int("count_include_pad", 0):
        return None
    source, outer = _unpadded(pool.inputs[0])
    total = [a + b for a, b in zip(own, outer or [0] * len(own), strict=True)]
    rank, shape = len(total) // 2, shape_of(source)
    before, after = total[axis], total[axis + rank]
    if sum(map(abs, total)) != before + after or before + after != size - 1 or not shape:
        return None
    channels = shape_of(x)[1]
    if math.prod(shape[:axis]) != 1 or shape[axis] != channels or math.prod(shape) != math.prod(shape_of(x)):
        return None
    squared = power(_unviewed(source))
    fits = squared is not None and squared[0] is x and squared[1] == 2
    return (size, before) if fits else None


def _unpadded(value: ir.Value | None) -> tuple[ir.Value | None, list[int] | None]:
    """What a Pad by zeros pads, and by how much; the value itself where there is none."""
    pad = made_by(value, "Pad")
    if pad is None or pad.attributes.get_string("mode", "constant") != "constant":
        return value, None
    amounts = pad.inputs[1].const_value if len(pad.inputs) > 1 and pad.inputs[1] is not None else None
    filled = pad.inputs[2] if len(pad.inputs) > 2 else None
    if amounts is None or (filled is not None and not _is_nothing(filled)) or any(pad.inputs[3:]):
        return value, None
    return pad.inputs[0], [int(amount) for amount in amounts.numpy()]


def _is_nothing(value: ir.Value) -> bool:
    """Whether it is 0, or so small that a sum of squares loses it: Paddle leaves 1e-27 and its like there."""
    found = number(value)
    return found is not None and abs(found) < _LOST


def _unviewed(value: ir.Value | None) -> ir.Value | None:
    """What the value is a view of: the same numbers in the same order."""
    while (node := made_by(value, *_VIEWS)) is not None:
        value = node.inputs[0]
    return value
