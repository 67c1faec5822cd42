"""Unfuse: ops that onnxruntime alone has become ONNX's own, as they were before it fused them.

Files that onnxruntime optimised (`optimized_model_filepath`) or that its tools wrote hold ops of the domain
com.microsoft; at the highest level their convolutions work on blocks of channels (nchwc.py). Before: any graph of one
image. After: of those ops only such are left as are no others of ONNX's, quantized ones above all.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.simplify.unfuse.functions import FUNCTIONS
from krypton_compile.passes.simplify.unfuse.nchwc import NCHWC, unblock
from krypton_compile.passes.simplify.unfuse.products import PRODUCTS

__all__ = ["unfuse"]

_ONNX = ("", "ai.onnx")


def unfuse(model: ir.Model) -> int:
    """Rewrite every such node; return their number."""
    rewritten = unblock(model) if any(node.domain == NCHWC for node in model.graph) else 0
    version = model.opset_imports.get("", 1)
    for node in list(model.graph):
        domain = "" if node.domain in _ONNX else node.domain
        rewrite = FUNCTIONS.get((domain, node.op_type)) or PRODUCTS.get((domain, node.op_type))
        if rewrite is not None:
            rewritten += rewrite(model.graph, node, version)
    return rewritten
