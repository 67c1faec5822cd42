"""Unbatch a model: exported for a batch of B images, it becomes that of one.

    image [B, 3, H, W], Reshape(X, [B, K])    ->    image [1, 3, H, W], Reshape(X, [1, K])

Sizes that begin with B are taken to mean the batch. Whether that was right is measured: each of B random images must
get, alone, the scores that it gets in their company; else the model is refused.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import numpy_helper

from krypton_compile.contract.exactness import BATCH_BOUND
from krypton_compile.contract.layouts import FULL_LAYOUTS, KINDS, channel_axis, has_batch, spatial_axes
from krypton_compile.errors import ModelError
from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.frontend.axes.find_axes import find_input, read_sizes
from krypton_compile.passes.frontend.source_model import SourceModel

_MOST_NUMBERS = 1 << 28
"""At most so many numbers are in the images that a batch is tried with: a gigabyte."""
_USUAL = 64
_SIZES = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0, "Tile": 1}


def unbatch(source: SourceModel) -> int:
    """Rewrite the model for one image and note it; return 1 if it was for more.

    Raises:
        ModelError: if the images of a batch are not computed each for itself.
    """
    model = source.proto
    image, batch = find_batch(source)
    if image is None or batch <= 1:
        return 0
    before = onnx.ModelProto()
    before.CopyFrom(model)
    for value in (image, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value == batch:
            dims[0].dim_value = 1
    del model.graph.value_info[:]
    _rewrite_sizes(model.graph, batch)
    if not _agree(before, model, image.name, _image_sizes(source, image), batch):
        raise ModelError(
            f"input '{image.name}' has a batch of {batch}: expected a batch of 1 or of any size, and a model of "
            "one image could not be made of this one. Export the model with a dynamic batch axis; if this is no batch, "
            "name the axes with --layout."
        )
    source.notes.append(f"a model of {batch} images at once: now of one, which gets the same scores")
    return 1


def find_batch(source: SourceModel) -> tuple[onnx.ValueInfoProto | None, int]:
    """Find the image, and how many there are in a batch; 0 where that is open or its first axis is no batch."""
    image = find_input(source)
    if image is None:
        return None, 0
    sizes, axes = read_sizes(image), source.axes
    if sizes is None or (len(sizes) - 2 not in KINDS if axes is None else not has_batch(axes.layout)):
        return image, 0
    return image, sizes[0] or 0


def _image_sizes(source: SourceModel, image: onnx.ValueInfoProto) -> list[int]:
    """The sizes of one image, those that are open as the caller and the graph say, or of a usual image."""
    sizes, axes = list(read_sizes(image) or []), source.axes
    layout = None if axes is None else axes.layout
    if axes is not None and layout in FULL_LAYOUTS:
        told = source.image_size or axes.spatial
        for at, size in zip(spatial_axes(axes.layout), told, strict=False):
            sizes[at] = sizes[at] or size
        channels = channel_axis(axes.layout)
        sizes[channels] = sizes[channels] or source.channels or axes.channels
    return [size or _USUAL for size in sizes[1:]]


def _rewrite_sizes(graph: onnx.GraphProto, batch: int) -> None:
    named = {node.input[_SIZES[node.op_type]] for node in graph.node if node.op_type in _SIZES}
    tensors = [(tensor.name, tensor) for tensor in graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant":
            tensors += [(node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value"]
            for attribute in node.attribute:
                if attribute.name == "value_ints" and node.output[0] in named and attribute.ints[:1] == [batch]:
                    attribute.ints[0] = 1
    for name, tensor in tensors:
        if name in named and tensor.data_type == onnx.TensorProto.INT64 and len(tensor.dims) == 1:
            sizes = numpy_helper.to_array(tensor).copy()
            if sizes.size and sizes[0] == batch:
                sizes[0] = 1
                tensor.CopyFrom(numpy_helper.from_array(sizes, tensor.name))


def _agree(before: onnx.ModelProto, after: onnx.ModelProto, name: str, sizes: list[int], batch: int) -> bool:
    if batch * math.prod(sizes) > _MOST_NUMBERS:
        return False
    images = np.random.default_rng(0).uniform(0, 1, (batch, *sizes)).astype(np.float32)
    try:
        together = open_session(before).run(None, {name: images})
        session = open_session(after)
        alone = [session.run(None, {name: picture[None]}) for picture in images]
    except Exception:  # onnxruntime's exceptions have no common base
        return False
    for index, expected in enumerate(together):
        rows = [np.asarray(outputs[index]) for outputs in alone]
        if any(row.shape[:1] != (1,) for row in rows) or len(expected) != batch:
            return False
        if not np.abs(np.concatenate(rows) - expected).max() <= BATCH_BOUND * np.abs(expected).max():
            return False
    return True
