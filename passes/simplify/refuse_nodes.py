"""Refuse the nodes to which there is no answer that a compiled model could match.

* BatchNormalization in training mode takes its statistics from the batch (of weights, which it standardises, it is a
  constant);
* random numbers differ from run to run;
* for windows with auto_pad SAME and dilations onnxruntime computes another size than the ONNX standard.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.errors import NodeError

_NORM_HAS_MODE = 14
_RANDOM = frozenset("Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split())
_WINDOWED = frozenset("AveragePool Conv ConvTranspose LpPool MaxPool".split())


def refuse_nodes(model: ir.Model) -> int:
    """Refuse a model that has such a node; return 0, as nothing is changed.

    Raises:
        NodeError: if there is one; the message names the node and says what to do.
    """
    version, constant = model.opset_imports.get("", 1), set(model.graph.initializers.values())
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Constant" or (node.inputs and constant.issuperset(filter(None, node.inputs))):
            constant.update(node.outputs)
            continue
        reason = _reason(node, version)
        if reason is not None:
            raise NodeError(str(node.name or node.outputs[0].name), node.op_type, *reason)
    return 0


def _reason(node: ir.Node, version: int) -> tuple[str, str, str] | None:
    """What was expected, what was found, and what to do."""
    if node.op_type in _RANDOM:
        return "the same scores in every run", "random numbers", "Export the model in eval mode."
    if node.op_type == "BatchNormalization":
        asked = "training_mode" in node.attributes and node.attributes["training_mode"].as_int()
        if asked or (version < _NORM_HAS_MODE and len(node.outputs) > 1):
            return "inference mode", "training mode", "Export the model in eval mode."
    if node.op_type in _WINDOWED and "auto_pad" in node.attributes and "dilations" in node.attributes:
        mode, dilations = node.attributes["auto_pad"].as_string(), list(node.attributes["dilations"].as_ints())
        if mode.startswith("SAME") and max(dilations) > 1:
            found = (
                f"auto_pad {mode} with dilations {dilations}, of which onnxruntime makes another size than ONNX says"
            )
            return "pads as numbers", found, "Export the model with explicit pads."
    return None
