"""Add the thresholds: the inputs tau and eps reach every op that they concern (DESIGN section 3).

    WindowBoxes(boxes)                 ->  WindowBoxes(boxes, tau; layer_group)
    IncrementalConv(DX, ...) = DT      ->  IncrementalConv(DX, ..., limit),   limit = DeltaLimit(T0, eps; layer_group)

and so for every op whose result is new numbers, T0 the base tensor. At tau = 1 and eps = 0 nothing changes. A layer
group is all tensors of one map size, in order of first appearance. Of volumes tau crops the height and width of
slices, never the depth, and a group is all tensors of one slice size.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.contract.annotations import NODE_LAYER_GROUP
from krypton_compile.contract.schemas import SCHEMAS
from krypton_compile.passes.body.batch_positions import Contract
from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.forms import Delta

_LIMIT = "limit:float?"
LIMITED = {schema.name: schema.inputs.index(_LIMIT) for schema in SCHEMAS if _LIMIT in schema.inputs}
"""The ops that take a limit, and at which input."""


def add_thresholds(context: LoweringContext, contract: Contract) -> list[str]:
    """Extend the body's nodes and the base graph; return the names of the layer groups, "56x56" and the like."""
    groups: dict[str, int] = {}
    for node in context.emitter.body:
        if node.op_type == "WindowBoxes":
            height, width = node.attributes["output_shape"].as_ints()
            name = f"{height}x{width}"
            _set_input(node, 1, contract.tau)
            node.attributes.add(ir.AttrInt64("layer_group", groups.setdefault(name, len(groups))))
            node.metadata_props[NODE_LAYER_GROUP] = name
    for tensor, form in list(context.forms.items()):
        maker = form.values.producer() if isinstance(form, Delta) else None
        if not isinstance(form, Delta) or maker is None or maker.op_type not in LIMITED:
            continue
        slot = LIMITED[maker.op_type]
        if len(maker.inputs) > slot:
            continue  # another name of the same delta
        name = f"{form.height}x{form.width}"
        group = groups.setdefault(name, len(groups))
        inputs = [tensor, contract.eps]
        limit = context.emitter.emit_base("DeltaLimit", inputs, {"layer_group": group}, f"{tensor.name}.limit")
        limit.type, limit.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([1])
        _set_input(maker, slot, limit)
        maker.metadata_props[NODE_LAYER_GROUP] = name
    return list(groups)


def _set_input(node: ir.Node, index: int, value: ir.Value) -> None:
    if len(node.inputs) <= index:
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)
