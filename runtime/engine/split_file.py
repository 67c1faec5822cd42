"""Split a compiled file into the part that runs once an image and the part that runs for every chunk.

    compiled = base graph + Scan(body)   ->   base:        image, baseline, eps  ->  captured tensors, base scores
                                              incremental: boxes, offsets, tau, captured tensors  ->  scores

Both come from the same file, so both ways of running it give the same numbers. Weights are held once: both
sessions get the same buffers, wherever onnxruntime's own kernels would not make a packed copy of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from krypton_compile.contract.annotations import CHUNKS_NODE, EPS, SCAN_NODE, TAU
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.errors import ModelError
from krypton_compile.files.model_file import ModelFile, read_model_bytes, read_model_file
from krypton_compile.ort.library import get_library_path
from krypton_compile.runtime.engine.compiled_model import AGAIN, CompiledModel, describe

Weights = dict[str, npt.NDArray[np.generic]]
IN_MEMORY = Path("<compiled model>")
"""What messages call a model that is no file."""


@dataclass(frozen=True)
class Part:
    """A model whose large weights are left out; they are given to the session beside it."""

    model: bytes
    weights: Weights


@dataclass(frozen=True)
class Split:
    """Both parts of a compiled file.

    ``captured`` are the tensors that the base part hands to the incremental one; ``limits`` those of them that depend
    on eps alone, and their layer groups; ``beside`` a file in the folder that stubs of weights name.
    """

    model: CompiledModel
    captured: list[str]
    limits: dict[str, int]
    base: Part
    incremental: Part
    beside: Path


def split(source: Path | bytes) -> Split:
    """Read and split a compiled file, or the bytes of one.

    Raises:
        ModelError: if the file is no compiled model, or one of another format version.
    """
    if isinstance(source, bytes):
        path, beside, file = IN_MEMORY, Path(get_library_path()), read_model_bytes(source)
    else:
        path, beside, file = source, source, read_model_file(source)
    model, graph = describe(path, file.model), file.model.graph
    annotation = model.annotation
    body = _inlined(graph, path) if annotation.target == "cuda" else _scanned(graph, path)
    optional = {annotation.patches, annotation.mask, TAU, EPS}
    arrays = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in optional}
    outer = _captures(body)
    captured = [name for name in outer if name not in arrays and name not in optional]
    kinds = _Kinds((*graph.value_info, *graph.input, *graph.output), path)
    wanted = [*captured, annotation.base_scores, *([annotation.base_logits] if annotation.base_logits else [])]
    nodes = _needed(graph, wanted)
    base_inputs = [kinds[annotation.image], kinds[annotation.baseline], kinds[EPS]]
    base = _part(beside, file, "base", nodes, base_inputs, [kinds[name] for name in wanted], arrays)
    inputs = [*_any_chunk(body.input, path), *(kinds[name] for name in outer if name not in arrays)]
    incremental = _part(beside, file, "incremental", list(body.node), inputs, _any_chunk(body.output, path), arrays)
    return Split(model, captured, _limits(nodes), base, incremental, beside)


def _scanned(graph: onnx.GraphProto, path: Path) -> onnx.GraphProto:
    """The body of the Scan over chunks."""
    for node in graph.node:
        for attribute in node.attribute:
            if node.name == SCAN_NODE and attribute.name == "body":
                body: onnx.GraphProto = attribute.g
                return body
    raise ModelError(f"{path}: the compiled model has lost its Scan '{SCAN_NODE}'. {AGAIN}")


def _inlined(graph: onnx.GraphProto, path: Path) -> onnx.GraphProto:
    """The same of a file for CUDA, whose body stands in the graph: all that depends on the boxes, up to the scores."""
    chunks = [node for node in graph.node if node.name == CHUNKS_NODE and len(node.output) == 2]
    if not chunks:
        raise ModelError(f"{path}: the compiled model has lost its node '{CHUNKS_NODE}'. {AGAIN}")
    kinds = _Kinds(graph.value_info, path)
    body = onnx.GraphProto(name="incremental")
    depends = set(chunks[0].output)
    for node in graph.node:
        if depends.intersection(_node_inputs(node)):
            depends.update(node.output)
            body.node.append(node)
    body.input.extend(kinds[name] for name in chunks[0].output)
    body.output.extend(kinds[name] for name in ("chunk.scores", "chunk.logits") if name in kinds)
    needed = _needed(body, [value.name for value in body.output])
    del body.node[:]
    body.node.extend(needed)
    return body


class _Kinds:
    """Types and shapes by name, of what the file declares."""

    def __init__(self, values: Iterable[onnx.ValueInfoProto], path: Path) -> None:
        self._values, self._path = {value.name: value for value in values}, path

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> onnx.ValueInfoProto:
        if name not in self._values:
            raise ModelError(f"{self._path}: the compiled model does not say what tensor '{name}' is. {AGAIN}")
        return self._values[name]


def _limits(nodes: Iterable[onnx.NodeProto]) -> dict[str, int]:
    limits = {}
    for node in nodes:
        if node.domain == DOMAIN and node.op_type == "DeltaLimit":
            groups = [attribute.i for attribute in node.attribute if attribute.name == "layer_group"]
            limits.update(dict.fromkeys(node.output[:1], groups[0] if groups else 0))
    return limits


def with_weights(part: Part) -> Part:
    """The part with its large weights in the model."""
    model = onnx.ModelProto.FromString(part.model)
    for tensor in model.graph.initializer:
        if tensor.name in part.weights:
            tensor.CopyFrom(numpy_helper.from_array(part.weights[tensor.name], tensor.name))
    return Part(model.SerializeToString(), {})


def with_precision(model: bytes, precision: str) -> bytes:
    """The incremental part with its convolutions allowed to multiply in ``precision`` (one of schemas.PRECISIONS)."""
    part = onnx.ModelProto.FromString(model)
    for node in part.graph.node:
        if node.domain == DOMAIN and node.op_type in ("IncrementalConv", "IncrementalConcatConv"):
            others = [attribute for attribute in node.attribute if attribute.name != "precision"]
            del node.attribute[:]
            node.attribute.extend([*others, helper.make_attribute("precision", precision)])
    return bytes(part.SerializeToString())


def _any_chunk(values: Iterable[onnx.ValueInfoProto], path: Path) -> list[onnx.ValueInfoProto]:
    """The body's inputs or outputs for chunks of any number of positions."""
    copies = []
    for value in values:
        copy = onnx.ValueInfoProto()
        copy.CopyFrom(value)
        if not copy.type.tensor_type.shape.dim:
            raise ModelError(f"{path}: the compiled model does not say what shape '{value.name}' has. {AGAIN}")
        copy.type.tensor_type.shape.dim[0].dim_param = "chunk"
        copies.append(copy)
    return copies


def _part(
    beside: Path,
    file: ModelFile,
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    arrays: dict[str, onnx.TensorProto],
) -> Part:
    part = onnx.ModelProto(ir_version=file.model.ir_version)
    part.opset_import.extend(file.model.opset_import)
    part.graph.name = name
    part.graph.node.extend(nodes)
    part.graph.input.extend(inputs)
    part.graph.output.extend(outputs)
    weights: Weights = {}
    for used in dict.fromkeys(_inputs(part.graph)):
        tensor = arrays.get(used)
        if tensor is None:
            continue
        array = file.large.get(used)
        if array is None:
            part.graph.initializer.append(tensor)
        elif all(node.domain == DOMAIN for node in nodes if used in node.input):
            weights[used] = array
            part.graph.initializer.append(_stub(tensor, beside))
        else:
            part.graph.initializer.append(numpy_helper.from_array(array, used))
    return Part(part.SerializeToString(), weights)


def _stub(tensor: onnx.TensorProto, beside: Path) -> onnx.TensorProto:
    # Type and shape without the data, which the session is given as a shared buffer. onnxruntime never reads
    # the external file that a stub must name, but insists that it exists. A model in memory has none of its own.
    stub = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    stub.data_location = onnx.TensorProto.EXTERNAL
    stub.external_data.add(key="location", value=beside.name)
    return stub


def _needed(graph: onnx.GraphProto, wanted: list[str]) -> list[onnx.NodeProto]:
    """The nodes that ``wanted`` depends on, in graph order."""
    names, nodes = set(wanted), []
    for node in reversed(graph.node):
        if any(output in names for output in node.output):
            nodes.append(node)
            names.update(_node_inputs(node))
    return nodes[::-1]


def _captures(graph: onnx.GraphProto) -> list[str]:
    """Names that a subgraph reads and does not define, in order of use."""
    defined = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    read: dict[str, None] = {}
    for node in graph.node:
        read.update(dict.fromkeys(name for name in _node_inputs(node) if name not in defined))
        defined.update(node.output)
    return list(read)


def _inputs(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from _node_inputs(node)


def _node_inputs(node: onnx.NodeProto) -> Iterator[str]:
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield from _captures(attribute.g)
