"""Finds the graphs inside a node: the branches of an If, the body of a Loop or Scan."""

from __future__ import annotations

import onnx


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """List the graphs of all the node's attributes, themselves and no copies."""
    return [
        graph
        for attribute in node.attribute
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))
    ]
