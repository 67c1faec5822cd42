"""The work that windows leave, counted layer by layer: the same number whatever else the machine does.

multiply-adds on non-zero entries of the deltas, and the bytes that a layer reads and writes
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.runtime.approximation.thresholds import NOTHING_LEFT_OUT, Thresholds
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.engine.providers import as_ort
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.engine.work import PreparedImage

_DENSE = ("Conv", "Gemm", "MatMul")
_A_BYTE = 2.0
"""Multiply-adds that take as long as to move one byte of a delta, through the ops between convolutions too."""


@dataclass
class LayerWork:
    """One layer over all windows counted: multiply-adds on whole boxes and on non-zero entries, bytes moved."""

    name: str
    op: str
    shape: str
    on_boxes: float = 0
    on_nonzeros: float = 0
    bytes: float = 0
    weight_bytes: int = 0
    box: float = 0

    @property
    def cost(self) -> float:
        """Multiply-adds on non-zero entries, and those that moving its bytes is worth."""
        return self.on_nonzeros + _A_BYTE * self.bytes


class WorkCounter:
    """Counts what windows leave a scorer's incremental half to do."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        part = _unfused(onnx.ModelProto.FromString(scorer.sessions.incremental_part))
        self._nodes = [node for node in part.graph.node if node.op_type in (*_DENSE, *_COUNTERS)]
        self._dims = {tensor.name: tuple(tensor.dims) for tensor in part.graph.initializer}
        self._boxes = part.graph.input[0].name
        given = {value.name for value in part.graph.input}
        known = given | {value.name for value in part.graph.output}
        self._outputs: list[str] = []
        for name, kind in (watched for node in self._nodes for watched in _watched(node)):
            if name not in known:
                known.add(name)
                part.graph.output.append(helper.make_tensor_value_info(name, kind, None))
            if name not in self._outputs and name not in given:
                self._outputs.append(name)
        self._session = scorer.sessions.start_incremental(part.SerializeToString())

    def count(
        self, prepared: PreparedImage, occlusion: Occlusion, thresholds: Thresholds = NOTHING_LEFT_OUT
    ) -> list[LayerWork]:
        """The work of these windows; of those that change no pixel none."""
        sessions, layers = self._scorer.sessions, dict[int, LayerWork]()
        feeds = sessions.begin(prepared, occlusion, thresholds).feeds
        todo = np.flatnonzero(self._scorer.changes(prepared, occlusion.boxes))
        inputs = [value.name for value in self._session.get_inputs()]
        chunk = self._scorer.model.annotation.chunk
        for at in (todo[start : start + chunk] for start in range(0, len(todo), chunk)):
            own = {inputs[0]: as_ort(occlusion.boxes[at]), inputs[1]: as_ort(occlusion.offsets[at])}
            fed = {name: {**feeds, **own}[name] for name in inputs}
            found = sessions.run(self._session, self._outputs, fed)
            tensors = {name: value.numpy() for name, value in zip(self._outputs, found, strict=True)}
            self._add(layers, {**tensors, self._boxes: occlusion.boxes[at]})
        return list(layers.values())

    def _add(self, layers: dict[int, LayerWork], tensors: dict[str, npt.NDArray[Any]]) -> None:
        for index, node in enumerate(self._nodes):
            weights = next((self._dims[name] for name in node.input if len(self._dims.get(name, ())) > 1), None)
            if weights is None:
                continue
            empty = LayerWork(node.name, node.op_type, "x".join(map(str, weights)), weight_bytes=4 * math.prod(weights))
            layer = layers.setdefault(index, empty)
            values = [tensors[tensor] for tensor, _ in _watched(node)]
            _COUNTERS.get(node.op_type, _count_dense)(layer, node, values, weights)


def _unfused(part: onnx.ModelProto) -> onnx.ModelProto:
    """The same, with what an IncrementalConcatConv gathers on its way as a tensor beside it."""
    nodes: list[onnx.NodeProto] = []
    for node in part.graph.node:
        if node.op_type == "IncrementalConcatConv":
            y_boxes, x_boxes, _, x0, scale, x_limit, _, _, *parts = node.input
            name = _gathered(node)
            joined = f"{name}.joined" if x0 else name
            nodes.append(helper.make_node("IncrementalConcat", [y_boxes, x_boxes, *parts], [joined], domain=DOMAIN))
            if x0:
                bounds = {entry.name[2:]: entry.f for entry in node.attribute if entry.name in ("x_min", "x_max")}
                inputs = [joined, y_boxes, x0, x_limit, scale]
                nodes.append(helper.make_node("IncrementalClip", inputs, [name], domain=DOMAIN, **bounds))
        nodes.append(node)
    del part.graph.node[:]
    part.graph.node.extend(nodes)
    return part


def _gathered(node: onnx.NodeProto) -> str:
    return f"{node.output[0]}.gathered"


def _watched(node: onnx.NodeProto) -> Iterator[tuple[str, int]]:
    """What a node's work is counted from."""
    if node.op_type == "IncrementalConv":
        kinds = (TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT32)
        yield from zip(node.input[:3], kinds, strict=True)
    elif node.op_type == "IncrementalConcatConv":
        yield from ((_gathered(node), TensorProto.FLOAT), (node.input[0], TensorProto.INT32))
    elif node.op_type == "IncrementalGemm":
        yield from zip(node.input[:2], (TensorProto.FLOAT, TensorProto.INT32), strict=True)
    else:
        yield node.output[0], TensorProto.FLOAT


def _count_conv(layer: LayerWork, node: onnx.NodeProto, values: list[Any], weights: tuple[int, ...]) -> None:
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    x, x_boxes, y_boxes = values
    sizes = [attributes[name] for name in ("input_shape", "output_shape", "kernel_shape", "strides")]
    sizes += [attributes["pads"][:2], attributes["dilations"]]
    readers = [_readers(*(size[axis] for size in sizes)) for axis in (0, 1)]
    # Of each pixel of the boxes: how many products of an output and a tap read it.
    fan_out = [np.outer(readers[0][y : y + h], readers[1][x0 : x0 + w]).ravel() for y, x0, h, w in x_boxes]
    per_entry = np.concatenate(fan_out) * (weights[0] / attributes.get("group", 1)) if fan_out else np.zeros(0)
    layer.on_boxes += float(per_entry.sum()) * x.shape[1]
    layer.on_nonzeros += float(per_entry @ np.count_nonzero(x, axis=1))
    outputs = int((y_boxes[:, 2].astype(np.int64) * y_boxes[:, 3]).sum())
    layer.bytes += 4.0 * (x.size + outputs * weights[0])
    layer.box += float(x_boxes[:, 2].sum())


def _readers(size: int, outputs: int, kernel: int, stride: int, pad: int, dilation: int) -> npt.NDArray[np.int64]:
    """Along one axis: how many (output, tap) pairs read each input."""
    reads = np.arange(outputs)[:, None] * stride - pad + dilation * np.arange(kernel)
    return np.bincount(reads[(reads >= 0) & (reads < size)], minlength=size)


def _count_concat_conv(layer: LayerWork, _: onnx.NodeProto, values: list[Any], weights: tuple[int, ...]) -> None:
    x, boxes = values
    layer.on_boxes += float(x.size) * weights[0]
    layer.on_nonzeros += float(np.count_nonzero(x)) * weights[0]
    layer.bytes += 4.0 * (x.size + len(x) * weights[0])
    layer.box += float(boxes[:, 2].sum())


def _count_gemm(layer: LayerWork, _: onnx.NodeProto, values: list[Any], weights: tuple[int, ...]) -> None:
    x, boxes = values
    layer.on_boxes += float(x.size) * weights[1]
    layer.on_nonzeros += float(np.count_nonzero(x)) * weights[1]
    layer.bytes += 4.0 * x.size
    layer.box += float(boxes[:, 2].sum())


def _count_dense(layer: LayerWork, node: onnx.NodeProto, values: list[Any], weights: tuple[int, ...]) -> None:
    y = values[0]
    work = y.size * math.prod(weights[1:]) if node.op_type == "Conv" else y.shape[0] * math.prod(weights)
    layer.on_boxes += float(work)
    layer.on_nonzeros += float(work)
    layer.bytes += 4.0 * y.size


_COUNTERS = {
    "IncrementalConv": _count_conv,
    "IncrementalConcatConv": _count_concat_conv,
    "IncrementalGemm": _count_gemm,
}
