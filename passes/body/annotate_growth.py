"""Annotate growth: each node of the body says in its metadata how large a reference patch has grown there."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from krypton_compile.contract.annotations import NODE_GROWTH
from krypton_compile.passes.body.propagate_boxes import Growth


def annotate_growth(growth: Mapping[ir.Node, Growth]) -> int:
    """Write the largest box of each node, "56x56" and the like, into its metadata; return the number of nodes."""
    for node, grown in growth.items():
        node.metadata_props[NODE_GROWTH] = "x".join(map(str, grown.box))
    return len(growth)
