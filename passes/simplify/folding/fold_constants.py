"""Fold constants: a node whose inputs are all constants becomes a constant, whatever the op and the size.

Before: initializers and nodes. After: no node depends on initializers alone; each output that is still read is an
initializer. onnxruntime computes them, so they are what the model would have computed itself.

onnxscript's optimizer leaves some on purpose: ConstantOfShape, with which torch's older exporter computes a
Pad's sizes, what has large inputs or several outputs, as standardised weights do.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.ort.plain_session import open_session

_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_KEPT = frozenset((*_RANDOM, "DequantizeLinear"))  # dequantize_weights.py knows when to


def fold_constants(model: ir.Model) -> int:
    """Fold all such nodes and return their number; none of them is folded where onnxruntime cannot run them."""
    graph = model.graph
    nodes = find_constant_nodes(graph)
    wanted = [value for node in nodes for value in node.outputs if _is_read(value, nodes)]
    if not wanted:
        return 0
    try:
        arrays = _compute(graph, nodes, wanted)
    except Exception:  # onnxruntime's exceptions have no common base; what cannot run now says so when it is verified
        return 0
    for value, computed in zip(wanted, arrays, strict=True):
        array = np.asarray(computed)
        tensor = ir.tensor(array, name=value.name)
        new = ir.Value(
            name=value.name, shape=ir.Shape(np.shape(array)), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        value.name = f"{value.name}.folded"
        graph.register_initializer(new)
        value.replace_all_uses_with(new)
    graph.remove(nodes, safe=False)
    return len(nodes)


def find_constant_nodes(graph: ir.Graph) -> dict[ir.Node, None]:
    """Find the nodes that depend on constants alone, in graph order.

    Those that make an output of the graph, have a subgraph or are random are not among them.
    """
    constant = set(graph.initializers.values()) - set(graph.inputs)
    nodes: dict[ir.Node, None] = {}
    for node in graph:
        if node.domain not in ("", "ai.onnx") or node.op_type in _KEPT:
            continue
        if any(
            attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
            for attribute in node.attributes.values()
        ):
            continue
        if any(value.is_graph_output() for value in node.outputs):
            continue
        if all(value is None or value in constant for value in node.inputs):
            constant.update(node.outputs)
            nodes[node] = None
    return nodes


def _is_read(value: ir.Value, nodes: dict[ir.Node, None]) -> bool:
    return any(user not in nodes for user in value.consumers())


def _compute(graph: ir.Graph, nodes: dict[ir.Node, None], wanted: list[ir.Value]) -> list[np.ndarray]:
    copies: dict[ir.Value, ir.Value] = {}
    initializers = []
    for node in nodes:
        for value in node.inputs:
            if value is not None and value not in copies and value.producer() not in nodes:
                copies[value] = ir.Value(
                    name=value.name, shape=value.shape, type=value.type, const_value=value.const_value
                )
                initializers.append(copies[value])
        for value in node.outputs:
            copies[value] = ir.Value(name=value.name, type=value.type)
    body = [
        ir.Node(
            node.domain,
            node.op_type,
            [None if value is None else copies[value] for value in node.inputs],
            list(node.attributes.values()),
            outputs=[copies[value] for value in node.outputs],
            name=node.name,
        )
        for node in nodes
    ]
    outputs = [copies[value] for value in wanted]
    alone = ir.Graph(
        [], outputs, nodes=body, initializers=initializers, opset_imports=graph.opset_imports, name="constants"
    )
    session = open_session(ir.to_proto(ir.Model(alone, ir_version=10)))
    return list(session.run([value.name for value in wanted], {}))
