"""``python -m benchmarks.cuda.counts NAME PICTURE``: multiply-adds that the GPU's tiles run on real deltas.

No GPU is needed: what a tile multiplies follows from boxes and zeros. For each convolution of a classifier of
models/manifest.toml, on a chunk of neighbouring windows in the middle of a picture:

    naive      all outputs of all positions
    taps       what a delta can change, no tile in sight
    tiles      of 128 rows, 64 maps, stretches of 32: the classes of custom_ops/cuda/conv/tiles.h
    lists      the same pixel by pixel, over the channels in which any position of the chunk has a delta
    run        tiles or lists, as custom_ops/cuda/conv.cu chooses
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from krypton_compile import compile, get_library_path
from krypton_compile.contract import geometry
from krypton_compile.contract.annotations import TAU
from krypton_compile.contract.geometry import Boxes, Window
from krypton_compile.reference import ragged
from krypton_compile.reference.windows import WindowAttributes, read_window
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.engine.providers import as_ort
from krypton_compile.runtime.engine.split_file import split
from krypton_compile.runtime.inputs.image import read_input
from models.fetch import fetch
from models.preprocess import RECIPES

ROWS, MAPS, DEPTH = 128, 64, 32
CHANNELS = 64
"""From which lists are tried; they are taken where they save a quarter."""

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Counts:
    """Multiply-adds of one convolution."""

    name: str
    naive: int
    taps: int
    tiles: int
    lists: int
    cover: float
    channels: int

    @property
    def run(self) -> int:
        """Of the way that is chosen."""
        return self.lists if self.channels >= CHANNELS and 4 * self.lists < 3 * self.tiles else self.tiles


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("picture", type=Path)
    parser.add_argument("--chunk", type=int, default=512, help="windows (default %(default)s)")
    options = parser.parse_args()
    found = list(count(options.model, options.picture, options.chunk))
    print("| convolution | boxes over a pixel | naive / taps | naive / tiles | naive / lists | naive / run |")
    print("|---|---|---|---|---|---|")
    for one in found:
        ratios = " | ".join(f"{one.naive / part:.1f}" for part in (one.taps, one.tiles, one.lists, one.run))
        print(f"| {one.name} | {one.cover:.0f} | {ratios} |")
    naive = sum(one.naive for one in found)
    sums = [sum(getattr(one, part) for one in found) for part in ("taps", "tiles", "lists", "run")]
    print(f"| all | | {' | '.join(f'{naive / part:.1f}' for part in sums)} |")
    return 0


def count(name: str, picture: Path, chunk: int) -> Iterator[Counts]:
    """Each convolution of the model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.krypton.onnx"
        compile(fetch(name), path, target="cuda", verify=False)
        session = OcclusionSession(path, preprocessing=RECIPES[name])
        size = session.image_size
        black, image = (
            read_input(pixels, session.image_shape, session.layout, session.preprocessing).tensor
            for pixels in (np.zeros((*size, 3), np.uint8), picture)
        )
        prepared = session.prepare(image, black)
        boxes = geometry.occlusion_grid(size, (16, 16), (4, 4)).astype(np.int32)
        order = geometry.neighbour_order(boxes)
        middle = boxes[order[(len(order) - chunk) // 2 :][:chunk]]
        yield from _count(path, prepared.feeds, middle)


def _count(path: Path, feeds: dict[str, ort.OrtValue], boxes: Boxes) -> Iterator[Counts]:
    parts = split(path)
    part = onnx.ModelProto.FromString(parts.incremental.model)
    convolutions = [node for node in part.graph.node if node.op_type == "IncrementalConv"]
    wanted = list(dict.fromkeys(name for node in convolutions for name in node.input[:3]))
    known = {value.name for value in part.graph.output}
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(get_library_path())
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    weights = {name: as_ort(array) for name, array in parts.incremental.weights.items()}
    for name, value in weights.items():
        options.add_initializer(name, value)
    session = ort.InferenceSession(part.SerializeToString(), options, ["CPUExecutionProvider"])
    inputs = [value.name for value in session.get_inputs()]
    given: dict[str, Any] = {**feeds, inputs[0]: as_ort(boxes), inputs[1]: as_ort(np.zeros(len(boxes), np.int64))}
    annotation = parts.model.annotation
    given |= {annotation.mask: as_ort(np.zeros(0, bool)), annotation.patches: as_ort(np.zeros((0, 0), np.float32))}
    given[TAU] = as_ort(np.ones(1, np.float32))
    given |= {name: as_ort(np.zeros(1, np.float32)) for name in inputs if name not in given}
    values = session.run_with_ort_values(wanted, {name: given[name] for name in inputs})
    arrays = dict(zip(wanted, (value.numpy() for value in values), strict=True))
    shapes = {tensor.name: tuple(tensor.dims) for tensor in part.graph.initializer}
    for node in convolutions:
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        if attributes.get("group", 1) == 1:
            yield _one(node.name, attributes, [arrays[name] for name in node.input[:3]], shapes[node.input[3]])


def _one(name: str, attributes: dict[str, Any], inputs: list[Any], weights: tuple[int, ...]) -> Counts:
    x, x_boxes, y_boxes = inputs
    window = read_window({name: list(attributes[name]) for name in WindowAttributes.__annotations__})
    maps, channels = weights[0], weights[1]
    height, width = window.output_shape
    wide = -(-maps // MAPS) * MAPS
    taps = int(geometry.overlapping_taps(x_boxes, y_boxes, window).sum())
    return Counts(
        name,
        len(x_boxes) * height * width * int(np.prod(weights)),
        taps * channels * maps,
        sum(_tiles(rows) * ROWS * _depth(area, channels) * wide for area, rows in _classes(x_boxes, y_boxes, window)),
        _list_rows(x, x_boxes, y_boxes, window) * wide,
        geometry.areas(y_boxes).sum() / _hull_area(y_boxes),
        channels,
    )


def _tiles(rows: int) -> int:
    return -(-rows // ROWS)


def _depth(taps: tuple[int, int], channels: int) -> int:
    """Entries that the stretches of a class hold: neighbouring taps of few channels are one."""
    down, across = taps
    if channels < DEPTH:
        return down * -(-across * channels // DEPTH) * DEPTH
    return down * across * -(-channels // DEPTH) * DEPTH


def _spans(window: Window, axis: int, box: Any, source: Any) -> list[tuple[int, int]]:
    """The taps [first, last) of each output of a box that land in its source, along one axis."""
    found = []
    for output in range(box[axis], box[axis] + box[axis + 2]):
        reads = [
            tap
            for tap in range(window.kernel[axis])
            if 0
            <= output * window.strides[axis] - window.pads[axis] + tap * window.dilations[axis] - source[axis]
            < source[axis + 2]
        ]
        found.append((reads[0], reads[-1] + 1) if reads else (0, 0))
    return found


def _classes(x_boxes: Boxes, y_boxes: Boxes, window: Window) -> list[tuple[tuple[int, int], int]]:
    """(taps down, taps across) and rows of each class."""
    rows: Counter[tuple[tuple[int, int], tuple[int, int]]] = Counter()
    for source, box in zip(x_boxes, y_boxes, strict=True):
        down, across = Counter(_spans(window, 0, box, source)), Counter(_spans(window, 1, box, source))
        for y, high in down.items():
            for x, many in across.items():
                rows[y, x] += high * many
    return [((y[1] - y[0], x[1] - x[0]), count) for (y, x), count in rows.items()]


def _list_rows(x: Array, x_boxes: Boxes, y_boxes: Boxes, window: Window) -> int:
    """Rows times entries of the lists, over all tiles."""
    channels = np.zeros((*window.input_shape, x.shape[1]), bool)
    for (y0, x0, h, w), picture in zip(x_boxes, ragged.split("X", x, x_boxes), strict=True):
        channels[y0 : y0 + h, x0 : x0 + w] |= picture != 0
    entries = -(-channels.sum(axis=2) // DEPTH) * DEPTH
    rows = np.zeros(window.output_shape, np.int64)
    for y0, x0, h, w in y_boxes:
        rows[y0 : y0 + h, x0 : x0 + w] += 1
    total = 0
    for y, x_ in np.argwhere(rows):
        work = 0
        for ky, kx in np.ndindex(*window.kernel):
            iy = y * window.strides[0] - window.pads[0] + ky * window.dilations[0]
            ix = x_ * window.strides[1] - window.pads[1] + kx * window.dilations[1]
            if 0 <= iy < window.input_shape[0] and 0 <= ix < window.input_shape[1]:
                work += int(entries[iy, ix])
        total += _tiles(int(rows[y, x_])) * ROWS * work
    return total


def _hull_area(boxes: Boxes) -> int:
    full = boxes[~geometry.is_empty(boxes)]
    ends = full[:, :2] + full[:, 2:]
    return int(np.prod(ends.max(axis=0) - full[:, :2].min(axis=0)))


if __name__ == "__main__":
    raise SystemExit(main())
