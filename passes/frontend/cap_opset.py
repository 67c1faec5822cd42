"""Cap the opset: a model of a newer one becomes a model of opset 20 where that means the same.

    opset 22: Conv, HardSwish, Reshape    ->    opset 20: Conv, HardSwish, Reshape

Most ops of later opsets only take further types. But an onnxruntime that is older than a model's opset does not load
it, and its CUDA provider, which looks kernels up by the versions of ops, leaves a Conv of opset 22 to the CPU.
An op means the same if its inputs, outputs and attributes do; attributes that opset 20 lacks are dropped at their
defaults. A node of which that is not so, or of a type that opset 20 does not take, keeps the model where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import defs, helper, shape_inference

from krypton_compile.passes.frontend.check_model import light_model
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.subgraphs import subgraphs

CAP = 20
_ONNX = ("", "ai.onnx")
_CHANGED = frozenset({"GroupNormalization", "Mod"})
"""Ops that look the same and are not: scales were of groups, now of channels; of floats, fmod had to be 1."""


def cap_opset(source: SourceModel) -> int:
    """Cap the model's opset, or note what keeps it above; return 1 if it was capped."""
    if all(entry.version <= CAP for entry in _imports(source.proto)):
        return 0
    obstacle = _obstacle(source.proto)
    if obstacle is None:
        _cap(source.proto)
        return 1
    source.notes.append(
        f"stays above opset {CAP} ({obstacle}): an onnxruntime that is older does not load the compiled file, and "
        "on CUDA the ops that are newer than its kernels run on the CPU"
    )
    return 0


def _obstacle(model: onnx.ModelProto) -> str | None:
    """What keeps the model above: a node's op and name, or onnx's reason; found on a copy without weights."""
    trial = light_model(model)
    obstacle = _cap(trial)
    if obstacle is None:
        try:
            shape_inference.infer_shapes(trial, check_type=True)
        except shape_inference.InferenceError as error:
            obstacle = str(error).strip().splitlines()[-1]
    return obstacle


def _cap(model: onnx.ModelProto) -> str | None:
    for part in (model, *model.functions):
        version = max((entry.version for entry in part.opset_import if entry.domain in _ONNX), default=CAP)
        for node in _nodes(part.graph.node if isinstance(part, onnx.ModelProto) else part.node):
            extra = _attributes_to_drop(node, version)
            if extra is None:
                return f"{node.op_type} '{node.name or node.output[0]}'"
            kept = [attribute for attribute in node.attribute if attribute.name not in extra]
            del node.attribute[:]
            node.attribute.extend(kept)
    for entry in _imports(model):
        entry.version = min(entry.version, CAP)
    return None


def _imports(model: onnx.ModelProto) -> list[onnx.OperatorSetIdProto]:
    return [entry for part in (model, *model.functions) for entry in part.opset_import if entry.domain in _ONNX]


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from _nodes(graph.node)


def _attributes_to_drop(node: onnx.NodeProto, version: int) -> set[str] | None:
    """Those that the op of the capped opset lacks, all at their defaults; None if that op means something else."""
    if node.domain not in _ONNX or not defs.has(node.op_type, version, ""):
        return set()  # another domain's op, or a function of the model
    if not defs.has(node.op_type, CAP, ""):
        return None
    new, old = defs.get_schema(node.op_type, version, ""), defs.get_schema(node.op_type, CAP, "")
    if new.since_version == old.since_version:
        return set()
    if node.op_type in _CHANGED or _values(new) != _values(old) or not _covers(new, old):
        return None
    extra = {attribute.name for attribute in node.attribute} - set(old.attributes)
    dropped = [attribute for attribute in node.attribute if attribute.name in extra]
    return extra if all(_at_default(attribute, new) for attribute in dropped) else None


def means_the_same(op: str, version: int, other: int) -> bool:
    """Tell whether an op of ONNX has the same inputs, outputs, attributes and defaults in two opsets."""
    if not defs.has(op, version, "") or not defs.has(op, other, ""):
        return False
    one, two = defs.get_schema(op, version, ""), defs.get_schema(op, other, "")
    if one.since_version == two.since_version:
        return True
    return op not in _CHANGED and _values(one) == _values(two) and _covers(one, two) and _covers(two, one)


def _at_default(attribute: onnx.AttributeProto, schema: defs.OpSchema) -> bool:
    default = schema.attributes[attribute.name].default_value
    return default.type == attribute.type and (
        helper.get_attribute_value(default) == helper.get_attribute_value(attribute)
    )


def _values(schema: defs.OpSchema) -> list[tuple[str, object]]:
    return [(value.name, value.option) for value in (*schema.inputs, *schema.outputs)]


def _covers(new: defs.OpSchema, old: defs.OpSchema) -> bool:
    """Whether the newer op has the older one's attributes, with their defaults."""
    return all(
        name in new.attributes
        and new.attributes[name].default_value.SerializeToString() == attribute.default_value.SerializeToString()
        for name, attribute in old.attributes.items()
    )
