"""Reads the sliding window of Conv and the pools off a node: kernel, strides, pads, dilations, auto_pad.

Begin pads of ``auto_pad``: with total = max(0, (out - 1) * S + k_eff - in), SAME_UPPER puts
floor(total / 2) first, SAME_LOWER ceil(total / 2), VALID 0. ``out`` is the shape inference's, so
ceil_mode needs no rule here.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from krypton_compile.geometry import Pair, Window


def read_window(node: ir.Node, kernel: Sequence[int], input_shape: Pair, output_shape: Pair) -> Window:
    """The node's window on maps of the given (H, W) sizes."""
    strides = _pair(node, "strides")
    dilations = _pair(node, "dilations")
    sizes = (int(kernel[0]), int(kernel[1]))
    return Window(
        sizes,
        strides,
        _begin_pads(node, sizes, strides, dilations, input_shape, output_shape),
        dilations,
        input_shape,
        output_shape,
    )


def end_pads(node: ir.Node, window: Window) -> Pair:
    """Pads after the map as the node states them; what ``auto_pad`` leaves over."""
    if "pads" in node.attributes and _auto_pad(node) == "NOTSET":
        pads = node.attributes["pads"].as_ints()
        return int(pads[2]), int(pads[3])
    y, x = (_total(window, axis) - window.pads[axis] for axis in (0, 1))
    return (0, 0) if _auto_pad(node) in ("NOTSET", "VALID") else (max(0, y), max(0, x))


def _total(window: Window, axis: int) -> int:
    reach = window.dilations[axis] * (window.kernel[axis] - 1) + 1
    return max(0, (window.output_shape[axis] - 1) * window.strides[axis] + reach - window.input_shape[axis])


def _begin_pads(
    node: ir.Node, kernel: Pair, strides: Pair, dilations: Pair, input_shape: Pair, output_shape: Pair
) -> Pair:
    auto_pad = _auto_pad(node)
    if auto_pad == "NOTSET":
        pads = node.attributes["pads"].as_ints() if "pads" in node.attributes else (0, 0, 0, 0)
        return int(pads[0]), int(pads[1])
    if auto_pad == "VALID":
        return 0, 0
    totals = [_total(Window(kernel, strides, (0, 0), dilations, input_shape, output_shape), axis) for axis in (0, 1)]
    up = 1 if auto_pad == "SAME_LOWER" else 0
    return (totals[0] + up) // 2, (totals[1] + up) // 2


def _auto_pad(node: ir.Node) -> str:
    return node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"


def _pair(node: ir.Node, name: str) -> Pair:
    values = node.attributes[name].as_ints() if name in node.attributes else (1, 1)
    return int(values[0]), int(values[1])
