"""Which ops round their results to a few bits.

The networks that have one are not linear between layers however small a change is, and onnxruntime fuses what stands
around such an op into integer kernels: simplify leaves their weights quantized, lower runs them once a position.
"""

from __future__ import annotations

import onnx_ir as ir

_BEGINNINGS = ("QuantizeLinear", "DynamicQuantizeLinear", "QLinear")


def is_quantizing(node: ir.Node) -> bool:
    """Tell whether the node rounds its result to a few bits."""
    return node.op_type.startswith(_BEGINNINGS)
