"""Recognize formulas: what exporters write out in several ops becomes the op that it is.

Each finder below looks at one node, the last of its formula. Before: a canonical graph. After: the same, shapes known;
what is not read any more is removed later.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.passes.simplify.formulas.ceil_pool import find_ceil_pool
from krypton_compile.passes.simplify.formulas.local_response import find_local_response
from krypton_compile.passes.simplify.formulas.lp_pool import find_absolute_value, find_lp_pool
from krypton_compile.passes.simplify.formulas.triangle import find_triangle

__all__ = ["recognize_formulas"]

_FINDERS = (find_absolute_value, find_lp_pool, find_ceil_pool, find_local_response, find_triangle)


def recognize_formulas(model: ir.Model) -> int:
    """Rewrite every formula; return their number."""
    graph, version = model.graph, model.opset_imports.get("", 1)
    return sum(
        find(graph, node, version)
        for find in _FINDERS
        for node in list(graph)
        if node.domain in ("", "ai.onnx") and node.graph is graph
    )
