"""Reads the graph of a model whose one image is float32, for one image of one size.

After: the image has a batch of 1 and a size in numbers; no other shape is recorded, so that all are inferred anew.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from krypton_compile.contract.layouts import KINDS, channels_first, channels_last, spatial_axes
from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.interface import find_image

_SIZES = ("D", "H", "W")
_MOST_PIXELS = 1 << 28
"""16384 x 16384: boxes of the report's positions alone take 1 GB there."""


def read_graph(source: SourceModel, image_size: tuple[int, ...] | None, layout: str | None) -> ir.Model:
    """Read the model's graph and fix the image's shape.

    Raises:
        ModelError: if no input can be the image, or if its shape has symbolic sizes and ``image_size`` does not give
            them, has other numbers than ``image_size``, a fixed batch, or too many pixels.
    """
    model = ir.from_proto(source.proto)
    image = find_image(model.graph, source.input_name)
    _fix_shapes(image, _image_shape(image, image_size, layout), model.graph)
    model.meta["layout"] = layout
    return model


def _fix_shapes(image: ir.Value, shape: tuple[int, ...], graph: ir.Graph) -> None:
    for node in graph:
        for value in node.outputs:
            if value not in graph.outputs:
                value.shape = None
    image.shape = ir.Shape(shape)
    for value in graph.outputs:
        value.shape = None


def _image_shape(image: ir.Value, image_size: tuple[int, ...] | None, layout: str | None) -> tuple[int, ...]:
    assert image.shape is not None
    dims: list[int | None] = [dim if isinstance(dim, int) and dim > 0 else None for dim in image.shape]
    if dims[0] not in (None, 1):
        raise ModelError(
            f"input '{image.name}' has the shape {image.shape}: expected a batch of 1 or of any size, found {dims[0]}. "
            "Export the model with a dynamic batch axis."
        )
    dims[0] = 1
    axes = len(dims) - 2
    last = dims[-1] in (1, 3, 4) and dims[1] not in (1, 3, 4)
    chosen = layout or (channels_last(axes) if last else channels_first(axes))
    if image_size is not None:
        if len(image_size) != axes:
            raise ModelError(
                f"input '{image.name}' {image.shape} is a {KINDS[axes]}: expected an image size of {axes} numbers, "
                f"found --image-size {image_size}"
            )
        for axis, size in zip(spatial_axes(chosen), image_size, strict=True):
            if dims[axis] not in (None, size):
                raise ModelError(
                    f"input '{image.name}' {image.shape}: its size is fixed, --image-size {image_size} does not fit"
                )
            dims[axis] = size
    if any(dim is None for dim in dims):
        raise ModelError(
            f"input '{image.name}' has the shape {image.shape}; expected fixed channels, height and width. "
            f"Give the size with --image-size {' '.join(_SIZES[-axes:])}."
        )
    shape = tuple(int(dim) for dim in dims if dim is not None)
    if math.prod(shape[axis] for axis in spatial_axes(chosen)) > _MOST_PIXELS:
        raise ModelError(
            f"input '{image.name}' {list(shape)}: expected an image of at most {_MOST_PIXELS} pixels. Check its size."
        )
    return shape
