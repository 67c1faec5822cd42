"""The work that an image leaves: multiply-adds whose delta entry is not zero, and the speed-up if only they cost time.

    limit = P * (multiply-adds of the model) / (those of the base pass + over P windows, those on non-zero entries)

counted on a sample of the windows; one that changes nothing counts none. A multiply-add on matrix tiles costs less than
one of naive float32, so tiles may pass the limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from krypton_compile.contract.geometry import Boxes, occlusion_grid
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.engine.sessions import Sessions
from krypton_compile.runtime.engine.split_file import Split, split
from krypton_compile.runtime.engine.work import Work

Images = npt.NDArray[np.float32]

SAMPLE = 96
_DENSE = ("Conv", "Gemm", "MatMul")


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


@dataclass(frozen=True)
class Limit:
    """``windows`` were counted, of ``positions``; the share that changes something is ``changed``."""

    layers: list[LayerWork]
    windows: int
    positions: int
    model: float

    @property
    def a_window(self) -> float:
        """Multiply-adds on non-zero entries, mean of the windows."""
        return sum(layer.on_nonzeros for layer in self.layers) / self.windows

    @property
    def density(self) -> float:
        """Of the multiply-adds on the deltas' boxes, the share on non-zero entries."""
        return sum(layer.on_nonzeros for layer in self.layers) / sum(layer.on_boxes for layer in self.layers)

    @property
    def speed_up(self) -> float:
        """Whole maps: as above."""
        return self.positions * self.model / (self.model + self.positions * self.a_window)


class CountingSessions(Sessions):
    """Sessions that count, layer by layer, what windows leave to do."""

    def __init__(self, parts: Split) -> None:
        self.layers: dict[str, LayerWork] = {}
        super().__init__(parts, threads=1, precision="float32")
        self.error = 0.0  # no check at the first use: its windows would be counted

    def make_incremental(self, precision: str) -> ort.InferenceSession:  # noqa: ARG002  as the file has it: float32
        part = onnx.ModelProto.FromString(self.incremental_part)
        self._count = len(part.graph.output)
        self._nodes = [node for node in part.graph.node if node.op_type in (*_DENSE, *_COUNTERS)]
        self._dims = {tensor.name: tuple(tensor.dims) for tensor in part.graph.initializer}
        seen = {value.name for value in (*part.graph.input, *part.graph.output)}
        for node in self._nodes:
            for name, kind in _watched(node):
                if name not in seen:
                    seen.add(name)
                    part.graph.output.append(helper.make_tensor_value_info(name, kind, None))
        return self.start_incremental(part.SerializeToString())

    def run_chunk(self, work: Work, at: npt.NDArray[np.int64]) -> list[Images]:
        found = super().run_chunk(work, at)
        boxes = self.incremental.get_inputs()[0].name
        tensors = {**dict(zip(self.outputs, found, strict=True)), boxes: work.occlusion.boxes[at]}
        for index, node in enumerate(self._nodes):
            weights = next((self._dims[name] for name in node.input if len(self._dims.get(name, ())) > 1), None)
            if weights is None:
                continue
            empty = LayerWork(node.name, node.op_type, "x".join(map(str, weights)), weight_bytes=4 * math.prod(weights))
            layer = self.layers.setdefault(f"{index}:{node.name}", empty)
            values = [tensors[tensor] for tensor, _ in _watched(node)]
            _COUNTERS.get(node.op_type, _count_dense)(layer, node, values, weights)
        return found[: self._count]


class LayerCounter:
    """Counts, layer by layer, what windows leave a compiled ``model`` to do."""

    def __init__(self, path: str | Path) -> None:
        parts = split(Path(path))
        self.model = parts.model
        self._sessions = CountingSessions(parts)
        self._scorer = Scorer(parts.model, self._sessions)

    def count(self, image: Images, boxes: Boxes, baseline: Images) -> list[LayerWork]:
        """The work of these windows."""
        self._sessions.layers.clear()
        self._scorer.score(self._scorer.prepare(image, baseline), Occlusion(boxes))
        return list(self._sessions.layers.values())


def measure_limit(compiled: Path, original: Path, image: Images, baseline: Images, sample: int = SAMPLE) -> Limit:
    """Counts a sample of the windows of patch 16, stride 4."""
    counter = LayerCounter(compiled)
    grid = occlusion_grid(counter.model.image_size, (16, 16), (4, 4))
    rows = np.sort(np.random.default_rng(0).permutation(len(grid))[:sample])
    layers = counter.count(image, grid[rows], baseline)
    return Limit(layers, len(rows), len(grid), model_multiply_adds(original, image.shape))


def model_multiply_adds(path: str | Path, shape: tuple[int, ...]) -> float:
    """Multiply-adds of Conv, Gemm and MatMul for one image."""
    model = onnx.load(str(path))
    image = model.graph.input[0].type.tensor_type.shape
    for dim, size in zip(image.dim, shape, strict=True):
        dim.dim_value = size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    weights = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    total = 0.0
    for node in inferred.node:
        dims = next((weights[name] for name in node.input if len(weights.get(name, ())) > 1), None)
        if node.op_type not in _DENSE or dims is None:
            continue
        if node.op_type == "Conv":
            outputs = sizes.get(node.output[0], [])
            if not outputs or 0 in outputs:
                raise ValueError(f"{path}: no shape known for the output of Conv '{node.name}'")
            total += math.prod(outputs) * math.prod(dims[1:])
        else:
            total += math.prod(dims)
    return total


def _watched(node: onnx.NodeProto) -> Iterator[tuple[str, int]]:
    """What a node's work is counted from."""
    if node.op_type == "IncrementalConv":
        kinds = (TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT32)
        yield from zip(node.input[:3], kinds, strict=True)
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


_COUNTERS = {"IncrementalConv": _count_conv, "IncrementalGemm": _count_gemm}
