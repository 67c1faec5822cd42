"""Batch the positions: the Scan over chunks of B positions, and the compiled file's contract (DESIGN section 5).

    chunks [c, B, 2n], offsets [c, B] = OcclusionChunks(boxes, patches, mask, tau, eps)
    scores [c, B, K] = Scan(chunks, offsets; the incremental body)     base maps, weights: outer scope
    scores [P, K]    = Slice(Reshape(scores, [c*B, K]), 0, P)

So one ``session.run`` gives a whole explanation in any language that onnxruntime has.

For CUDA there is no Scan: control flow waits for the device after every chunk, and a GPU wants many positions at once.

    boxes [P, 2n], offsets [P] = OcclusionChunks(boxes, patches, mask, tau, eps)
    scores [P, K]              = the incremental body(boxes, offsets)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from krypton_compile.contract import schemas
from krypton_compile.contract.annotations import CHUNKS_NODE, EPS, SCAN_NODE, TAU
from krypton_compile.passes.interface import Interface
from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.walk import OcclusionInputs, occluded
from krypton_compile.passes.shapes import static_shape

_CONTRACT = ("boxes", "baseline", "patches", "mask", "scores", "base_scores", "logits", "base_logits")


@dataclass(frozen=True)
class Contract:
    """The values of the graph that a caller sees, and their names by role; thresholds are inputs with defaults."""

    boxes: ir.Value
    baseline: ir.Value
    patches: ir.Value
    mask: ir.Value
    tau: ir.Value
    eps: ir.Value
    names: dict[str, str]


def make_contract(graph: ir.Graph, interface: Interface) -> Contract:
    """Add the contract's inputs to the graph; a name that the model already has gets the prefix ``krypton_``."""
    taken = {str(value.name) for value in graph.inputs} | set(graph.initializers)
    taken |= {str(value.name) for node in graph for value in node.outputs}
    names = {role: f"krypton_{role}" if role in taken else role for role in _CONTRACT}
    image = interface.image
    boxes = _value(names["boxes"], ir.DataType.INT32, ["positions", 2 * len(interface.image_shape)])
    baseline = _value(names["baseline"], ir.DataType.FLOAT, list(static_shape(image)))
    patches = _default(names["patches"], np.zeros((0, 0), np.float32), ["patch_rows", "patch_channels"])
    mask = _default(names["mask"], np.zeros((0,), np.bool_), ["mask_rows"])
    tau = _default(TAU, np.ones(1, np.float32), ["tau_groups"])
    eps = _default(EPS, np.zeros(1, np.float32), ["eps_groups"])
    for value in (boxes, baseline, patches, mask, tau, eps):
        graph.inputs.append(value)
        if value.const_value is not None:
            graph.register_initializer(value)
    return Contract(boxes, baseline, patches, mask, tau, eps, names)


def make_occlusion_inputs(context: LoweringContext, interface: Interface, contract: Contract) -> OcclusionInputs:
    """Make the body's inputs; boxes and offsets are those of one chunk."""
    boxes = ir.Value(name="chunk.boxes", type=ir.TensorType(ir.DataType.INT32))
    offsets = ir.Value(name="chunk.offsets", type=ir.TensorType(ir.DataType.INT64))
    return OcclusionInputs(
        context.emitter.base_map(interface.image, interface.layout),
        context.emitter.base_map(contract.baseline, interface.layout),
        contract.baseline,
        contract.patches,
        contract.mask,
        boxes,
        offsets,
    )


def batch_positions(
    context: LoweringContext,
    interface: Interface,
    contract: Contract,
    inputs: OcclusionInputs,
    chunk: int,
    layer_groups: int,
) -> None:
    """Wrap the context's body into the Scan and give the graph its outputs.

    For CUDA the body becomes part of the graph as it is, and ``chunk`` is not used.
    """
    graph = context.emitter.graph
    rows: int | str = "positions" if context.target.cuda else chunk
    inputs.boxes.shape, inputs.offsets.shape = ir.Shape([rows, 2 * len(interface.image_shape)]), ir.Shape([rows])
    chosen = [("scores", interface.scores)] + ([("logits", interface.logits)] if interface.logits else [])
    outputs, sizes = [], []
    for role, value in chosen:
        size = math.prod(static_shape(context.emitter.current(value)))
        shape = context.emitter.initializer(f"chunk.{role}.shape", np.array([-1, size], np.int64))
        name = f"chunk.{role}"
        unhidden = name if context.baseline is None or not context.baseline.is_used else f"{name}.seen"
        flat = context.emitter.emit("Reshape", [_positions_first(value, context), shape], {}, unhidden, domain="")
        if unhidden != name:
            flat = _of_baseline_where_hidden(flat, value, size, name, context)
        flat.type, flat.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([rows, size])
        outputs.append(flat)
        sizes.append(size)
    attributes: dict[str, int | Sequence[int]] = {
        "image_shape": interface.image_shape,
        "channels": interface.channels,
        "layer_groups": max(1, layer_groups),
    }
    if not context.target.cuda:
        attributes["chunk"] = chunk
    checked = [contract.boxes, contract.patches, contract.mask, contract.tau, contract.eps]
    split = ir.node("OcclusionChunks", checked, attributes, domain=schemas.DOMAIN, num_outputs=2, name=CHUNKS_NODE)
    split.outputs[0].name, split.outputs[1].name = "krypton.chunks", "krypton.offsets"
    graph.append(split)
    if context.target.cuda:
        for old, new in zip((inputs.boxes, inputs.offsets), split.outputs, strict=True):
            new.type, new.shape = old.type, old.shape
            ir.convenience.replace_all_uses_with(old, new)
        graph.extend(context.emitter.body)
    else:
        outputs = _scan(graph, inputs, context.emitter.body, split.outputs, outputs)
    graph.outputs.clear()
    for (role, value), size, chunked in zip(chosen, sizes, outputs, strict=True):
        graph.outputs.append(_first_positions(context, chunked, contract, contract.names[role], size))
        graph.outputs.append(_base_row(context, value, contract.names[f"base_{role}"], size))
    graph.sort()


def _of_baseline_where_hidden(
    flat: ir.Value, value: ir.Value, size: int, name: str, context: LoweringContext
) -> ir.Value:
    """Scores [B, K], the baseline's own where a window hides all that differs from it."""
    emitter, baseline = context.emitter, context.baseline
    if baseline is None or not baseline.can_copy(emitter.current(value)):
        return emitter.emit("Identity", [flat], {}, name, domain="")
    row, column = (
        emitter.initializer(f"{name}.{kind}", np.array(shape, np.int64))
        for kind, shape in (("row", [1, size]), ("column", [-1, 1]))
    )
    own = emitter.emit_base(
        "Reshape", [baseline.value(emitter.current(value)), row], {}, f"{name}.of_baseline", domain=""
    )
    own.type, own.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([1, size])
    hidden = emitter.emit("Reshape", [baseline.hidden(), column], {}, f"{name}.is_baseline", domain="")
    return emitter.emit("Where", [hidden, own, flat], {}, name, domain="")


def _scan(
    graph: ir.Graph,
    inputs: OcclusionInputs,
    nodes: list[ir.Node],
    chunks: Sequence[ir.Value],
    outputs: list[ir.Value],
) -> list[ir.Value]:
    """The nodes as the body of a Scan over the chunks; what it gives for ``outputs``."""
    body = ir.Graph([inputs.boxes, inputs.offsets], outputs, nodes=nodes, name="incremental")
    scan = ir.node("Scan", chunks, {"num_scan_inputs": 2}, num_outputs=len(outputs), name=SCAN_NODE)
    scan.attributes.add(ir.AttrGraph("body", body))
    graph.append(scan)
    for made, output in zip(scan.outputs, outputs, strict=True):
        made.name = f"krypton.{str(output.name).removeprefix('chunk.')}.chunks"
    return list(scan.outputs)


def _positions_first(value: ir.Value, context: LoweringContext) -> ir.Value:
    return occluded(value, context).value


def _first_positions(context: LoweringContext, chunked: ir.Value, contract: Contract, name: str, size: int) -> ir.Value:
    rows = context.emitter.initializer(f"{name}.rows", np.array([-1, size], np.int64))
    flat = context.emitter.emit_base("Reshape", [chunked, rows], {}, f"{name}.padded", domain="")
    zero = context.emitter.initializer(f"{name}.zero", np.array([0], np.int64))
    one = context.emitter.initializer(f"{name}.one", np.array([1], np.int64))
    shape = context.emitter.emit_base("Shape", [contract.boxes], {}, f"{name}.boxes_shape", domain="")
    count = context.emitter.emit_base("Slice", [shape, zero, one, zero], {}, f"{name}.count", domain="")
    sliced = context.emitter.emit_base("Slice", [flat, zero, count, zero], {}, name, domain="")
    sliced.name, sliced.type = name, ir.TensorType(ir.DataType.FLOAT)
    sliced.shape = ir.Shape(["positions", size])
    return sliced


def _base_row(context: LoweringContext, value: ir.Value, name: str, size: int) -> ir.Value:
    rows = context.emitter.initializer(f"{name}.rows", np.array([1, size], np.int64))
    row = context.emitter.emit_base("Reshape", [context.emitter.current(value), rows], {}, name, domain="")
    row.name, row.type, row.shape = name, ir.TensorType(ir.DataType.FLOAT), ir.Shape([1, size])
    return row


def _value(name: str, dtype: ir.DataType, shape: list[int | str]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))


def _default(name: str, array: np.ndarray, shape: list[int | str]) -> ir.Value:
    value = _value(name, ir.tensor(array).dtype, shape)
    value.const_value = ir.tensor(array, name=name)
    return value
