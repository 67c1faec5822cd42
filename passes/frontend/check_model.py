"""Check the model by onnx's own checker, so that whatever comes later may rely on what it checks.

Each node has its op's required attributes and numbers of inputs and outputs, every name is defined once and before it
is read, and every tensor holds as many bytes as its shape needs. Nodes in another order, which onnxruntime runs and
onnx's checker refuses, are sorted first. A version of an op that the checker does not know is onnxruntime's to judge.
"""

from __future__ import annotations

import collections
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
from onnx import helper

from krypton_compile.errors import ModelError
from krypton_compile.files.loading import save_proto
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.subgraphs import subgraphs
from krypton_compile.stages import INVALID, stage

_ABOUT_VERSIONS = re.compile("Opset import for domain|deprecated in domain_version|No Op registered for")
"""The checker's complaints of ops in versions that onnxruntime may still run."""
_TRY = "import sys, onnxruntime as ort; ort.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
MOST_NODES = 20_000
"""A minute's work for one core, at 3 ms a node."""
_LARGE = 1 << 10
_WHOLE_BYTES = range(1, onnx.TensorProto.FLOAT8E5M2FNUZ + 1)
"""Data types whose entries are not packed, several in a byte; a string's bytes are no raw data."""


def check_model(source: SourceModel) -> int:
    """Sort the nodes and check all of the model; return 1 if the nodes had to be sorted.

    Raises:
        ModelError: if the model is not valid ONNX; the message is the checker's, which names the node or tensor. If it
            has more than :data:`MOST_NODES` nodes.
    """
    _require_fewer_nodes(source.proto)
    with stage("use this model, which is not valid ONNX", INVALID):
        was_sorted = sort_nodes(source.proto.graph)
        for tensor in source.proto.graph.initializer:
            _check_size(tensor)
        try:
            onnx.checker.check_model(typed_model(source.proto))
        except onnx.checker.ValidationError as error:
            if not (_ABOUT_VERSIONS.search(str(error)) and _runs(source.proto)):
                raise
    return int(not was_sorted)


def _require_fewer_nodes(model: onnx.ModelProto) -> None:
    """Refuse a model whose compilation would take minutes, at once."""
    graphs = (model.graph.node, *(function.node for function in model.functions))
    count = sum(node.op_type != "Constant" for nodes in graphs for node in nodes)
    if count > MOST_NODES:
        ops = collections.Counter(node.op_type for nodes in graphs for node in nodes).most_common(3)
        most = ", ".join(f"{number} {op}" for op, number in ops)
        raise ModelError(
            f"the model has {count} nodes ({most}, ...); expected at most {MOST_NODES}, and the largest CNN "
            "classifiers have some thousands. A loop may have been unrolled, or shapes be computed at run time: export "
            "it again for one fixed image size, with constants folded (torch.onnx.export does so by default)"
        )


def typed_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """The light model with a type and a shape for each input and output: onnxruntime can do without."""
    light = light_model(model)
    for value in (*light.graph.input, *light.graph.output):
        kind = value.type.WhichOneof("value")
        if kind is None:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        if kind in (None, "tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    return light


def _runs(model: onnx.ModelProto) -> bool:
    """Whether onnxruntime takes the model; tried in a process of its own, which it may take along."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_proto(model, path)
        return subprocess.run([sys.executable, "-c", _TRY, path], capture_output=True, check=False).returncode == 0


def sort_nodes(graph: onnx.GraphProto) -> bool:
    """Put every node after those whose outputs it reads, otherwise in the order given; return whether it was so.

    Raises:
        ModelError: if nodes wait for each other.
    """
    made = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = [{made[name] for name in reads(node) if name in made} for node in graph.node]
    if all(max(need, default=-1) < index for index, need in enumerate(needs)):
        return True
    order: list[int] = []
    done: set[int] = set()
    waiting = list(range(len(needs)))
    while waiting:
        blocked = []
        for index in waiting:
            if needs[index] <= done:
                order.append(index)
                done.add(index)
            else:
                blocked.append(index)
        if len(blocked) == len(waiting):
            node = graph.node[blocked[0]]
            name = node.name or ", ".join(node.output)
            raise ModelError(
                f"node '{name}' ({node.op_type}): its inputs depend on its own outputs, a cycle. {INVALID}"
            )
        waiting = blocked
    nodes = [graph.node[index] for index in order]
    copies = onnx.GraphProto()
    copies.node.extend(nodes)
    del graph.node[:]
    graph.node.extend(copies.node)
    return False


def reads(node: onnx.NodeProto) -> set[str]:
    """List the names that a node reads, those of its subgraphs among them."""
    names = {name for name in node.input if name}
    for graph in subgraphs(node):
        names.update(name for inner in graph.node for name in reads(inner))
    return names


def _check_size(tensor: onnx.TensorProto) -> None:
    if not tensor.HasField("raw_data"):
        return
    if tensor.data_type not in helper.get_all_tensor_dtypes():
        raise ModelError(f"tensor '{tensor.name}': expected a data type of ONNX, found {tensor.data_type}. {INVALID}")
    itemsize = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    negative = min(tensor.dims, default=0) < 0
    expected = math.prod(tensor.dims) * itemsize
    if negative or (tensor.data_type in _WHOLE_BYTES and len(tensor.raw_data) != expected):
        wanted = "sizes of 0 or more" if negative else f"{expected} bytes, found {len(tensor.raw_data)}"
        raise ModelError(f"tensor '{tensor.name}' of shape {list(tensor.dims)}: expected {wanted}. {INVALID}")


def light_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy the model with its large weights as inputs: the checker takes serialised models, of 2 GB at most."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    graph = light.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.output.extend(model.graph.output)
    graph.input.extend(model.graph.input)
    inputs = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) <= _LARGE:
            graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return light
