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
from krypton_compile.errors import ModelError
from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.frontend.source_model import SourceModel

_MOST_NUMBERS = 1 << 28
"""At most so many numbers are in the images that a batch is tried with: a gigabyte."""
_SIZES = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0, "Tile": 1}


def unbatch(source: SourceModel) -> int:
    """Rewrite the model for one image and note it; return 1 if it was for more.

    Raises:
        ModelError: if the images of a batch are not computed each for itself.
    """
    model = source.proto
    images = find_images(model.graph, source.input_name)
    batch = images[0].type.tensor_type.shape.dim[0].dim_value if images else 1
    if batch <= 1:
        return 0
    before = onnx.ModelProto()
    before.CopyFrom(model)
    for value in (images[0], *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value == batch:
            dims[0].dim_value = 1
    del model.graph.value_info[:]
    _rewrite_sizes(model.graph, batch)
    if not _agree(before, model, images[0], batch):
        raise ModelError(
            f"input '{images[0].name}' has a batch of {batch}: expected a batch of 1 or of any size, and a model of "
            "one image could not be made of this one. Export the model with a dynamic batch axis."
        )
    source.notes.append(f"a model of {batch} images at once: now of one, which gets the same scores")
    return 1


def find_images(graph: onnx.GraphProto, input_name: str | None) -> list[onnx.ValueInfoProto]:
    """List the inputs that may be a batch of pictures: of rank 4, without a default, called ``input_name`` if given."""
    constants = {tensor.name for tensor in graph.initializer}
    return [
        value
        for value in graph.input
        if len(value.type.tensor_type.shape.dim) == 4
        and value.name not in constants
        and input_name in (None, value.name)
    ]


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


def _agree(before: onnx.ModelProto, after: onnx.ModelProto, image: onnx.ValueInfoProto, batch: int) -> bool:
    shape = [dim.dim_value or 64 for dim in image.type.tensor_type.shape.dim]
    if batch * math.prod(shape[1:]) > _MOST_NUMBERS:
        return False
    images = np.random.default_rng(0).uniform(0, 1, (batch, *shape[1:])).astype(np.float32)
    try:
        together = open_session(before).run(None, {image.name: images})
        session = open_session(after)
        alone = [session.run(None, {image.name: picture[None]}) for picture in images]
    except Exception:  # onnxruntime's exceptions have no common base
        return False
    for index, expected in enumerate(together):
        rows = [np.asarray(outputs[index]) for outputs in alone]
        if any(row.shape[:1] != (1,) for row in rows) or len(expected) != batch:
            return False
        if not np.abs(np.concatenate(rows) - expected).max() <= BATCH_BOUND * np.abs(expected).max():
            return False
    return True
