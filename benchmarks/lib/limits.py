"""The work that an image leaves: multiply-adds whose delta entry is not zero, and the speed-up if only they cost time.

    limit = P * (multiply-adds of the model) / (those of the base pass + over P windows, those on non-zero entries)

counted on a sample of the windows; one that changes nothing counts none. A multiply-add on matrix tiles costs less than
one of naive float32, so tiles may pass the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from krypton_compile.contract.geometry import Boxes, occlusion_grid
from krypton_compile.runtime.engine.counted_work import LayerWork, WorkCounter
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.engine.sessions import Sessions
from krypton_compile.runtime.engine.split_file import split

Images = npt.NDArray[np.float32]

SAMPLE = 96
_DENSE = ("Conv", "Gemm", "MatMul")


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


class LayerCounter:
    """Counts, layer by layer, what windows leave a compiled ``model`` to do."""

    def __init__(self, path: str | Path) -> None:
        parts = split(Path(path))
        self.model = parts.model
        self._scorer = Scorer(parts.model, Sessions(parts, threads=1, precision="float32"))
        self._counter = WorkCounter(self._scorer)

    def count(self, image: Images, boxes: Boxes, baseline: Images) -> list[LayerWork]:
        """The work of these windows."""
        return self._counter.count(self._scorer.prepare(image, baseline), Occlusion(boxes))


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
