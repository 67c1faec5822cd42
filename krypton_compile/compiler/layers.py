"""The rows of the compile report: what became of each node, and its multiply-adds with and without the body."""

from __future__ import annotations

import math
from collections import defaultdict

import onnx_ir as ir

from krypton_compile.compiler.report import LayerReport
from krypton_compile.contract.annotations import NODE_SOURCE
from krypton_compile.passes.body import IncrementalBody
from krypton_compile.passes.body.propagate_boxes import Growth
from krypton_compile.passes.lower.walk import INCREMENTAL
from krypton_compile.passes.shapes import has_static_shape, static_shape


def report_layers(body: IncrementalBody) -> list[LayerReport]:
    """Report every node of the base graph, in order; the growth at the body's nodes must be known."""
    grown: dict[str, list[Growth]] = defaultdict(list)
    for node, growth in body.growth.items():
        grown[node.metadata_props[NODE_SOURCE]].append(growth)
    layers = []
    for outcome in body.outcomes:
        node, name = outcome.node, str(outcome.node.name)
        output = body.context.emitter.current(node.outputs[0])
        naive = _multiply_adds(node)
        steps = grown.get(name, []) if outcome.became == INCREMENTAL else []
        share = _share_of_taps(node) / len(body.grid) if naive else 0.0
        layers.append(
            LayerReport(
                name,
                node.op_type,
                static_shape(output) if has_static_shape(output) else (),
                outcome.became,
                outcome.reason,
                steps[-1].box if steps else None,
                naive,
                sum(step.paper for step in steps) * share if steps else float(naive),
                sum(step.overlap for step in steps) * share if steps else float(naive),
            )
        )
    return layers


def _multiply_adds(node: ir.Node) -> int:
    """Count those of a convolution, or of a product of matrices for every pixel or token, not of the classifier."""
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul") or node.inputs[0] is None or node.inputs[1] is None:
        return 0
    output = static_shape(node.outputs[0])
    if node.op_type == "MatMul":
        return math.prod(output) * static_shape(node.inputs[0])[-1] if len(output) > 2 else 0
    pixels = output if node.op_type == "Conv" else static_shape(node.inputs[0])
    return math.prod(pixels) * math.prod(static_shape(node.inputs[1])[1:])


def _share_of_taps(node: ir.Node) -> float:
    """The share of a convolution's taps that do not lie between the pixels that a ConvTranspose spreads."""
    if node.op_type != "ConvTranspose" or "strides" not in node.attributes:
        return 1.0
    return 1 / math.prod(node.attributes["strides"].as_ints())
