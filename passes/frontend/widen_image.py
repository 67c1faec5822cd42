"""Widen an image of integers to a float32 image of the same numbers.

    image uint8 - Transpose, Slice - Cast to float - rest     ->    image float32 - Transpose, Slice - rest
    image uint8 - DequantizeLinear(scale, zero) - rest        ->    image float32 - Sub(zero) - Mul(scale) - rest
    image uint8 - ops of integers - rest                      ->    image float32 - Cast to uint8 - ops - rest

The numbers of a uint8 image are a picture's own, 0 to 255: preprocessing "none". Where its integers are only moved
before they become floats, occluders between two colours are no longer rounded; where ops of integers compute with them,
they are, and all is dense from there on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx
from onnx import TensorProto, helper, shape_inference

from krypton_compile.passes.frontend.axes.find_axes import find_input
from krypton_compile.passes.frontend.check_model import light_model
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.subgraphs import rename_uses

_BITS: dict[int, tuple[int, int]] = {
    TensorProto.BOOL: (0, 1),
    TensorProto.UINT8: (0, 8),
    TensorProto.INT8: (1, 8),
    TensorProto.UINT16: (0, 16),
    TensorProto.INT16: (1, 16),
    TensorProto.UINT32: (0, 32),
    TensorProto.INT32: (1, 32),
    TensorProto.UINT64: (0, 64),
    TensorProto.INT64: (1, 64),
}
"""Of each type whether it has a sign, and its bits."""
_MOVING = frozenset(
    "Concat DepthToSpace Expand Flatten Gather Identity MaxPool Reshape Slice SpaceToDepth Split Squeeze Tile "
    "Transpose Unsqueeze".split()
)
"""Ops that do the same to floats as to integers. Their other inputs are indices, and stay."""
_LOOKING = frozenset(("Shape", "Size"))


@dataclass
class _Plan:
    """The change that makes floats of the integers: tensors that become floats, casts, and nodes to replace."""

    floats: set[str] = field(default_factory=set)
    casts: list[onnx.AttributeProto] = field(default_factory=list)
    dequantized: list[onnx.NodeProto] = field(default_factory=list)


def widen_image(source: SourceModel) -> int:
    """Widen the image if it is of integers, and note it; return 1 then."""
    value = find_input(source)
    if value is None:
        return 0
    kind = value.type.tensor_type.elem_type
    if kind not in _BITS:
        return 0
    name = TensorProto.DataType.Name(kind).lower()
    plan = _plan(source.proto.graph, value.name, kind)
    ranks = _ranks(source.proto) if plan is not None and plan.dequantized else {}
    if plan is not None and all(_is_plain(node, ranks) for node in plan.dequantized):
        _carry_out(source.proto.graph, plan, ranks)
        note = f"a {name} image: now float32, of the same numbers"
    else:
        _cast_first(source.proto.graph, value.name, kind)
        note = f"a {name} image, of whose integers the model computes: now float32, cut to {name} first"
    value.type.tensor_type.elem_type = TensorProto.FLOAT
    source.notes.append(note + (", 0 to 255" if kind == TensorProto.UINT8 else ""))
    if kind == TensorProto.UINT8:
        source.pictures.append(value.name)
    else:
        source.integers.append(value.name)
    return 1


def find_integer_image(source: SourceModel) -> str | None:
    """Name the image where it is of integers."""
    value = find_input(source)
    return value.name if value is not None and value.type.tensor_type.elem_type in _BITS else None


def _plan(graph: onnx.GraphProto, image: str, kind: int) -> _Plan | None:
    """Follow the integers to where they become floats; None where anything computes with them."""
    plan, kinds = _Plan({image}), {image: kind}
    if image in {value.name for value in graph.output}:
        return None
    for node in graph.node:
        read = [name for name in node.input if name in kinds]
        if not read:
            if any(name in kinds for inner in _inner_names(node) for name in inner):
                return None
            continue
        own = kinds[read[0]]
        if node.op_type in _LOOKING:
            continue
        if node.domain:
            return None
        if node.op_type == "DequantizeLinear" and node.input[0] == read[0]:
            plan.dequantized.append(node)
        elif node.op_type == "Cast":
            to = next(attribute for attribute in node.attribute if attribute.name == "to")
            if to.i in _BITS:
                if not _holds(to.i, own):
                    return None
                plan.casts.append(to)
                kinds[node.output[0]] = to.i
                plan.floats.add(node.output[0])
            elif to.i not in (TensorProto.FLOAT, TensorProto.DOUBLE):
                return None
        elif node.op_type in _MOVING and (node.op_type == "Concat" or read == [node.input[0]]):
            if len(read) != len(node.input) and node.op_type == "Concat":
                return None
            if node.op_type == "MaxPool" and len(node.output) > 1:
                return None
            kinds.update(dict.fromkeys(filter(None, node.output), own))
            plan.floats.update(filter(None, node.output))
        else:
            return None
    return None if plan.floats & {value.name for value in graph.output} else plan


def _holds(kind: int, other: int) -> bool:
    """Whether a type of integers has all numbers of another one."""
    (signed, bits), (other_signed, other_bits) = _BITS[kind], _BITS[other]
    return bits - signed >= other_bits - other_signed and signed >= other_signed


def _inner_names(node: onnx.NodeProto) -> list[set[str]]:
    return [
        {name for inner in attribute.g.node for name in inner.input}
        for attribute in node.attribute
        if attribute.HasField("g")
    ]


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    inferred = shape_inference.infer_shapes(light_model(model)).graph
    values = [value for value in (*inferred.input, *inferred.value_info) if value.type.tensor_type.HasField("shape")]
    return {value.name: len(value.type.tensor_type.shape.dim) for value in values} | {
        tensor.name: len(tensor.dims) for tensor in inferred.initializer
    }


def _is_plain(node: onnx.NodeProto, ranks: dict[str, int]) -> bool:
    """Whether a DequantizeLinear has one scale, or one for each entry of an axis that can be counted from the end."""
    blocks = any(attribute.name == "block_size" and attribute.i for attribute in node.attribute)
    return not blocks and (ranks.get(node.input[1]) == 0 or (ranks.get(node.input[1]) == 1 and node.input[0] in ranks))


def _carry_out(graph: onnx.GraphProto, plan: _Plan, ranks: dict[str, int]) -> None:
    for to in plan.casts:
        to.i = TensorProto.FLOAT
    stale = [value for value in graph.value_info if value.name in plan.floats]
    for value in stale:
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in plan.dequantized:
        at = list(graph.node).index(node)
        replacement = _subtract_and_scale(node, ranks)
        graph.node.remove(node)
        for each in reversed(replacement):
            graph.node.insert(at, each)


def _subtract_and_scale(node: onnx.NodeProto, ranks: dict[str, int]) -> list[onnx.NodeProto]:
    x, scale, *zero = node.input
    y, nodes = node.output[0], []
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    behind = ranks[x] - axis % ranks[x] - 1 if ranks[scale] else 0

    def along_axis(name: str, what: str) -> str:
        if behind <= 0:
            return name
        shape = helper.make_tensor(f"{y}.{what}.shape", TensorProto.INT64, [behind + 1], [-1] + [1] * behind)
        nodes.append(helper.make_node("Constant", [], [shape.name], name=shape.name, value=shape))
        nodes.append(helper.make_node("Reshape", [name, shape.name], [f"{y}.{what}.map"], name=f"{y}.{what}.map"))
        return f"{y}.{what}.map"

    if zero and zero[0]:
        number = f"{y}.zero"
        nodes.append(helper.make_node("Cast", [zero[0]], [number], name=number, to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Sub", [x, along_axis(number, "zero")], [f"{y}.centred"], name=f"{y}.centred"))
        x = f"{y}.centred"
    nodes.append(helper.make_node("Mul", [x, along_axis(scale, "scale")], [y], name=node.name))
    return nodes


def _cast_first(graph: onnx.GraphProto, image: str, kind: int) -> None:
    integers = f"{image}.integers"
    rename_uses(graph, image, integers)
    graph.node.insert(0, helper.make_node("Cast", [image], [integers], name=integers, to=kind))
