"""Looks through Transposes, in which exporters of NHWC models wrap convolutions, at what stands beyond them."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir


def source_of(value: ir.Value | None) -> tuple[ir.Node | None, list[ir.Node]]:
    """Find the node before a value, Transposes skipped; return it and those Transposes, the nearest first."""
    skipped: list[ir.Node] = []
    node = value.producer() if value is not None else None
    while node is not None and node.op_type == "Transpose" and "perm" in node.attributes:
        skipped.append(node)
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    return node, skipped


def axis_before(axis: int, transposes: Sequence[ir.Node]) -> int:
    """Tell which axis of the tensor before the Transposes, nearest first, is this axis behind them."""
    for node in transposes:
        axis = int(node.attributes["perm"].as_ints()[axis])
    return axis


def is_read_once(value: ir.Value) -> bool:
    """Tell whether a single node reads the value, and it is no output of the graph."""
    return len(value.uses()) == 1 and not value.is_graph_output()
