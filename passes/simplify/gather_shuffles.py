"""Gather shuffled channels: a channel shuffle becomes a Gather.

    Reshape(X, [1, g, C/g, H, W]) - Transpose(0, 2, 1, 3, 4) - Reshape([1, C, H, W])    ->    Gather(X, k, axis = 1)

with k[i] = (i mod g) C/g + i div g. Of ShuffleNet; the tensors of rank 5 have no delta form. Refused where one of the
tensors between is read by others or is an output.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.shapes import has_static_shape, permutation, static_shape
from krypton_compile.passes.simplify.initializers import add_initializer

_SWAPPED = (0, 2, 1, 3, 4)


def gather_shuffles(model: ir.Model) -> int:
    """Rewrite every shuffle; return their number."""
    graph = model.graph
    shuffles = [(node, ends) for node in graph if (ends := between_reshapes(node, graph)) and _is_shuffle(node, *ends)]
    for node, (first, last) in shuffles:
        _replace(graph, first, node, last)
    return len(shuffles)


def between_reshapes(node: ir.Node, graph: ir.Graph) -> tuple[ir.Node, ir.Node] | None:
    """Find the two Reshapes around a Transpose whose inner tensors nobody else reads; None where there are none."""
    if node.op_type != "Transpose":
        return None
    between = node.inputs[0]
    first = between.producer() if between is not None else None
    readers = list(node.outputs[0].consumers())
    last = readers[0] if len(readers) == 1 else None
    if between is None or first is None or last is None or {first.op_type, last.op_type} != {"Reshape"}:
        return None
    if len(between.uses()) != 1 or between in graph.outputs or node.outputs[0] in graph.outputs:
        return None
    tensors = (first.inputs[0], between, last.outputs[0])
    known = all(value is not None and has_static_shape(value) for value in tensors)
    return (first, last) if known else None


def _is_shuffle(node: ir.Node, first: ir.Node, last: ir.Node) -> bool:
    if permutation(node) != _SWAPPED or first.inputs[0] is None:
        return False
    before, inside, after = (static_shape(value) for value in (first.inputs[0], first.outputs[0], last.outputs[0]))
    grouped = len(before) == 4 and inside[:1] + inside[3:] == before[:1] + before[2:]
    return grouped and before == after and inside[1] * inside[2] == before[1]


def _replace(graph: ir.Graph, first: ir.Node, swap: ir.Node, last: ir.Node) -> None:
    groups, each = static_shape(first.outputs[0])[1:3]
    channels = np.arange(groups * each).reshape(groups, each).T.ravel()
    output, source = last.outputs[0], first.inputs[0]
    name = str(output.name)
    indices = add_initializer(graph, f"{name}.channels", channels.astype(np.int64))
    gather = ir.node("Gather", [source, indices], {"axis": 1}, name=last.name)
    gather.outputs[0].type, gather.outputs[0].shape = output.type, output.shape
    graph.insert_before(last, gather)
    output.replace_all_uses_with(gather.outputs[0], replace_graph_outputs=True)
    graph.remove([last, swap, first], safe=True)
    gather.outputs[0].name = name
