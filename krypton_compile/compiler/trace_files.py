"""A model at any point of its compilation as a file whose large weights lie in a file that all of a trace share."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import onnx
import onnx_ir as ir
from google.protobuf.message import Message
from onnx import TensorProto, helper

from krypton_compile.contract import schemas
from krypton_compile.disk.write import create
from krypton_compile.passes.body import IncrementalBody
from krypton_compile.passes.frontend.check_model import sort_nodes
from krypton_compile.passes.frontend.subgraphs import subgraphs
from krypton_compile.passes.lower.walk import occluded

_LARGE = 1 << 10
Place = tuple[int, int]


class SharedWeights:
    """A file of weights, each content once."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._file: BinaryIO | None = None
        self._places: dict[bytes, Place] = {}
        self._known: dict[int, tuple[ir.TensorProtocol, Place]] = {}

    def __enter__(self) -> SharedWeights:
        self._file = create(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, data: bytes) -> Place:
        """Write the data, unless they are there; return their offset and length."""
        assert self._file is not None
        digest = hashlib.sha256(data).digest()
        if digest not in self._places:
            self._places[digest] = self._file.tell(), len(data)
            self._file.write(data)
            self._file.flush()
        return self._places[digest]

    def put_tensor(self, tensor: ir.TensorProtocol) -> ir.ExternalTensor:
        """Write a tensor, unless it is there; return one that refers to the file."""
        if id(tensor) not in self._known:  # kept with its place, so that no other gets its id
            self._known[id(tensor)] = tensor, self.put(tensor.tobytes())
        place = self._known[id(tensor)][1]
        shape = ir.Shape(int(size) for size in tensor.shape)  # type: ignore[arg-type]
        return ir.ExternalTensor(self.name, *place, tensor.dtype, shape=shape, name=str(tensor.name))


def to_light(model: onnx.ModelProto, weights: SharedWeights) -> onnx.ModelProto:
    """Copy a model, its large initializers in ``weights``."""
    light = onnx.ModelProto()
    _copy(model, light, but="graph")
    _copy(model.graph, light.graph, but="initializer")
    for tensor in model.graph.initializer:
        light.graph.initializer.append(_refer(tensor, weights))
    return light


def graph_to_proto(model: ir.Model, weights: SharedWeights | None) -> onnx.ModelProto:
    """Serialise a model, its large initializers in ``weights`` if given."""
    if weights is None:
        return ir.to_proto(model)
    large = {}
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.dtype != ir.DataType.STRING and tensor.nbytes > _LARGE:
            large[value] = tensor
    try:
        for value, tensor in large.items():
            value.const_value = weights.put_tensor(tensor)
        return ir.to_proto(model)
    finally:
        for value, tensor in large.items():
            value.const_value = tensor


def body_to_proto(body: IncrementalBody, weights: SharedWeights | None) -> onnx.ModelProto:
    """Serialise the base graph and, behind it, what of the body is not a part of it yet."""
    proto = graph_to_proto(body.model, weights)
    if schemas.DOMAIN not in [entry.domain for entry in proto.opset_import]:
        proto.opset_import.append(helper.make_opsetid(schemas.DOMAIN, schemas.VERSION))
    if body.is_batched or not body.outcomes:
        return proto
    graph = proto.graph
    graph.node.extend(ir.to_proto(node) for node in body.context.emitter.body)
    sort_nodes(graph)
    columns = 2 * len(body.interface.image_shape)
    boxes, offsets = str(body.inputs.boxes.name), str(body.inputs.offsets.name)
    graph.input.append(helper.make_tensor_value_info(boxes, TensorProto.INT32, ["chunk", columns]))
    graph.input.append(helper.make_tensor_value_info(offsets, TensorProto.INT64, ["chunk"]))
    for value in (body.interface.scores, body.interface.logits):
        if value is not None:
            name = str(occluded(value, body.context).value.name)
            graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return proto


def count_nodes(graph: onnx.GraphProto) -> int:
    """Count the nodes of a graph, those of its subgraphs among them."""
    return sum(1 + sum(count_nodes(inner) for inner in subgraphs(node)) for node in graph.node)


def _copy(source: Message, target: Message, but: str) -> None:
    for field, value in source.ListFields():
        if field.name == but:
            continue
        if hasattr(value, "extend"):
            getattr(target, field.name).extend(value)
        elif isinstance(value, Message):
            getattr(target, field.name).CopyFrom(value)
        else:
            setattr(target, field.name, value)


def _refer(tensor: TensorProto, weights: SharedWeights) -> TensorProto:
    if len(tensor.raw_data) <= _LARGE:
        return tensor
    offset, length = weights.put(tensor.raw_data)
    light = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    light.data_location = TensorProto.EXTERNAL
    for key, value in (("location", weights.name), ("offset", str(offset)), ("length", str(length))):
        light.external_data.add(key=key, value=value)
    return light
