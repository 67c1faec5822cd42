"""Accept what onnxruntime accepts and onnx's checker does not: another spelling of the same model, made the usual one.

    domain "ai.onnx" of nodes and imports         ->    domain ""
    two imports of a domain                       ->    the last one, as onnxruntime reads them
    ops of com.microsoft, without an import       ->    with the import that onnxruntime assumes
    functions of another opset than the model     ->    of the same, where their ops mean the same there
    IR 3 and older, weights inputs or not         ->    IR 4, in which a weight need not be an input
    two initializers of a name, one of no name    ->    the first one, which onnxruntime takes; none
    a tensor with its numbers twice               ->    those that onnxruntime reads, its raw data
    two outputs of a name                         ->    one
    outputs "" at the end of a node               ->    none

Which of several onnxruntime takes was found by running such models.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence

import onnx

from krypton_compile.passes.frontend.cap_opset import means_the_same
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.subgraphs import subgraphs

_ALIAS = "ai.onnx"
_ASSUMED = {"com.microsoft": 1, "com.microsoft.nchwc": 1, "com.microsoft.experimental": 1, "ai.onnx.ml": 3}
"""The imports that onnxruntime adds to a model of nodes of these domains."""
_IR_VERSION = 4
_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def accept_spellings(source: SourceModel) -> int:
    """Respell the model; return how many places were changed."""
    model = source.proto
    return (
        _accept_domains(model)
        + _accept_functions(model)
        + _accept_old_ir(model)
        + _accept_initializers(model.graph)
        + _keep_one(model.graph.output, "name")
        + _trim_outputs(model)
    )


def find_spelling(model: onnx.ModelProto) -> str | None:
    """Name the first place that would be changed; None where there is none."""
    for node in _all_nodes(model):
        if node.domain == _ALIAS:
            return f"node '{node.name}' is of the domain {_ALIAS}"
        if len(node.output) > 1 and not node.output[-1]:
            return f"node '{node.name}' ends in outputs without a name"
    if model.ir_version < _IR_VERSION:
        return f"the IR version is {model.ir_version}"
    names = [tensor.name for tensor in model.graph.initializer]
    return None if len(names) == len(set(names)) else "two initializers have one name"


def _accept_domains(model: onnx.ModelProto) -> int:
    count = 0
    used = set()
    for node in _all_nodes(model):
        if node.domain == _ALIAS:
            node.domain = ""
            count += 1
        used.add(node.domain)
    for part in (model, *model.functions):
        for entry in part.opset_import:
            if entry.domain == _ALIAS:
                entry.domain = ""
                count += 1
        count += _keep_one(part.opset_import, "domain", last=True)
    imported = {entry.domain for entry in model.opset_import}
    for domain in sorted(used & set(_ASSUMED) - imported):
        model.opset_import.add(domain=domain, version=_ASSUMED[domain])
        count += 1
    return count


def _accept_functions(model: onnx.ModelProto) -> int:
    """Give functions the model's opset where their ops mean the same there; inlining wants one."""
    version = max((entry.version for entry in model.opset_import if not entry.domain), default=1)
    count = 0
    for function in model.functions:
        for entry in function.opset_import:
            own = [node.op_type for node in function.node if not node.domain]
            if entry.domain or entry.version == version:
                continue
            if all(means_the_same(op, entry.version, version) for op in own):
                entry.version = version
                count += 1
    return count


def _accept_old_ir(model: onnx.ModelProto) -> int:
    """Initializers of IR 3 are constants, whether they are inputs too, as onnx wants them there, or not."""
    if not 0 < model.ir_version < _IR_VERSION:
        return 0
    model.ir_version = _IR_VERSION
    constants = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return 1


def _accept_initializers(graph: onnx.GraphProto) -> int:
    count = _keep_one(graph.initializer, "name")
    for at in reversed(range(len(graph.initializer))):
        tensor = graph.initializer[at]
        if not tensor.name:
            del graph.initializer[at]
            count += 1
        elif tensor.HasField("raw_data") and any(len(getattr(tensor, field)) for field in _TYPED):
            for field in _TYPED:
                tensor.ClearField(field)
            count += 1
    return count


def _keep_one(entries: MutableSequence[object], key: str, *, last: bool = False) -> int:
    """Delete the entries whose ``key`` an earlier one has, too, or a later one."""
    seen: set[object] = set()
    double = []
    order = range(len(entries))
    for at in reversed(order) if last else order:
        name = getattr(entries[at], key)
        if name in seen:
            double.append(at)
        seen.add(name)
    for at in sorted(double, reverse=True):
        del entries[at]
    return len(double)


def _trim_outputs(model: onnx.ModelProto) -> int:
    count = 0
    for node in _all_nodes(model):
        while len(node.output) > 1 and not node.output[-1]:
            del node.output[-1]
            count += 1
    return count


def _all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from _nodes_of(model.graph)
    for function in model.functions:
        for node in function.node:
            yield node
            for inner in subgraphs(node):
                yield from _nodes_of(inner)


def _nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from _nodes_of(inner)
