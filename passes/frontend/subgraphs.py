"""Finds the graphs inside a node: the branches of an If, the body of a Loop or Scan; renames what they read."""

from __future__ import annotations

import onnx


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """List the graphs of all the node's attributes, themselves and no copies."""
    return [
        graph
        for attribute in node.attribute
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))
    ]


def rename_uses(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let all nodes that read ``old`` read ``new``, those of inner graphs too."""
    for node in graph.node:
        for at, name in enumerate(node.input):
            if name == old:
                node.input[at] = new
        for inner in subgraphs(node):
            rename_uses(inner, old, new)
