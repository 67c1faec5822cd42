"""Name the blocks: SpaceToDepth and DepthToSpace that are written as Reshape, Transpose, Reshape become these ops.

    [1, C, H/b, b, W/b, b], Transpose(0, 3, 5, 1, 2, 4)    ->    SpaceToDepth             the block's place outermost
    [1, C, H/b, b, W/b, b], Transpose(0, 1, 3, 5, 2, 4)    ->    SpaceToDepth, Gather     the channel outermost (torch)
    [1, b, b, C, H, W],     Transpose(0, 3, 4, 1, 5, 2)    ->    DepthToSpace<DCR>
    [1, C, b, b, H, W],     Transpose(0, 1, 4, 2, 5, 3)    ->    DepthToSpace<CRD>

The tensors of rank 6 between have no delta form. Refused where others read them (gather_shuffles.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.shapes import permutation, static_shape
from krypton_compile.passes.simplify.gather_shuffles import between_reshapes
from krypton_compile.passes.simplify.initializers import add_initializer


def name_blocks(model: ir.Model) -> int:
    """Rewrite every such triple; return their number."""
    graph = model.graph
    triples = [(node, ends) for node in graph if (ends := between_reshapes(node, graph)) is not None]
    return sum(_name(graph, first, node, last) for node, (first, last) in triples)


def _name(graph: ir.Graph, first: ir.Node, swap: ir.Node, last: ir.Node) -> bool:
    source, output = first.inputs[0], last.outputs[0]
    assert source is not None
    before, inside, after = static_shape(source), static_shape(first.outputs[0]), static_shape(output)
    if not len(before) == len(after) == 4 or len(inside) != 6 or before[0] != 1 or after[0] != 1:
        return False
    perm = permutation(swap)
    if perm in ((0, 3, 5, 1, 2, 4), (0, 1, 3, 5, 2, 4)):
        _, channels, height, block, width, other = inside
        to_depth = (1, channels * block**2, height, width)
        if block != other or before != (1, channels, height * block, width * block) or after != to_depth:
            return False
        value = _add(graph, last, "SpaceToDepth", [source], {"blocksize": block}, after)
        if perm == (0, 1, 3, 5, 2, 4):
            order = np.arange(channels * block**2).reshape(block**2, channels).T.ravel()
            chosen = add_initializer(graph, f"{output.name}.channels", order)
            value = _add(graph, last, "Gather", [value, chosen], {"axis": 1}, after)
    elif perm in ((0, 3, 4, 1, 5, 2), (0, 1, 4, 2, 5, 3)):
        mode = "DCR" if perm == (0, 3, 4, 1, 5, 2) else "CRD"
        (block, other, channels) = inside[1:4] if mode == "DCR" else (*inside[2:4], inside[1])
        height, width = inside[4:]
        to_space = (1, channels, height * block, width * block)
        if block != other or before != (1, channels * block**2, height, width) or after != to_space:
            return False
        value = _add(graph, last, "DepthToSpace", [source], {"blocksize": block, "mode": mode}, after)
    else:
        return False
    name = output.name
    value.type = output.type
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    graph.remove([last, swap, first], safe=True)
    value.name = name
    return True


def _add(
    graph: ir.Graph,
    before: ir.Node,
    op: str,
    inputs: Sequence[ir.Value],
    attributes: dict[str, int | str],
    shape: tuple[int, ...],
) -> ir.Value:
    node = ir.node(op, inputs, attributes, name=f"{before.name}.{op}")
    node.outputs[0].name, node.outputs[0].shape = node.name, ir.Shape(shape)
    node.outputs[0].type = before.outputs[0].type
    graph.insert_before(before, node)
    return node.outputs[0]
