"""Normalize alone: BatchNormalization without running statistics is, of one image, InstanceNormalization.

    BatchNormalization<training_mode>(X, s, b, mean(X), variance(X))    ->    InstanceNormalization(X, s, b)

PyTorch's older exporter writes a norm with track_running_stats=False so: what stands in the place of the statistics is
computed from the image. Where they are constants, somebody has tracked them, and the export was of a model in training
mode: refuse_nodes.py says so.
"""

from __future__ import annotations

import onnx_ir as ir


def normalize_alone(model: ir.Model) -> int:
    """Rewrite every such norm; return their number."""
    graph = model.graph
    nodes = [node for node in graph if node.op_type == "BatchNormalization" and _is_untracked(node)]
    for node in nodes:
        output, name = node.outputs[0], node.outputs[0].name
        attributes = {"epsilon": node.attributes.get_float("epsilon", 1e-5)}
        new = ir.node("InstanceNormalization", node.inputs[:3], attributes, name=node.name)
        new.outputs[0].type, new.outputs[0].shape = output.type, output.shape
        graph.insert_before(node, new)
        output.replace_all_uses_with(new.outputs[0], replace_graph_outputs=True)
        graph.remove(node, safe=True)
        new.outputs[0].name = name
    return len(nodes)


def _is_untracked(node: ir.Node) -> bool:
    if not node.attributes.get_int("training_mode", 0) or len(node.inputs) < 5:
        return False
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return False
    makers = [value.producer() if value is not None else None for value in node.inputs[3:5]]
    return all(maker is not None and maker.op_type != "Constant" for maker in makers)
