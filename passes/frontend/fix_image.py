"""Fix the image: a batch of one, sizes in numbers, and all axes of a full layout.

    image [N, C, H, W]  with 32 x 32 given                         ->    image [1, 3, 32, 32]
    image [N, 28, 28]   of the layout NHW                          ->    image [1, 1, 28, 28] - Reshape([1, 28, 28])

The Reshape makes of the full image what the graph reads; the compiled file takes the user's own shape
(passes/body/shorten_inputs.py). Channels that are open come from the weights that read them, or are those among 1 to 4
with which the model runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from krypton_compile.contract.layouts import (
    KINDS,
    axes_of,
    channel_axis,
    channels_first,
    full_layout,
    own_shape,
    spatial_axes,
)
from krypton_compile.errors import ModelError
from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.frontend.axes.find_axes import Sizes, find_input, read_sizes
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.subgraphs import rename_uses

_SIZES = ("D", "H", "W")
_MOST_PIXELS = 1 << 28
"""16384 x 16384: boxes of the report's positions alone take 1 GB there."""
_FEW = (3, 1, 4, 2)
"""Numbers of channels that are tried where nothing tells."""


def fix_image(source: SourceModel) -> int:
    """Fix the image's shape; return 1 if it was open or short.

    Raises:
        ModelError: if the shape has symbolic sizes that neither the caller nor the graph tells, has other numbers than
            the caller says, has a batch of several images, or too many pixels.
    """
    value = find_input(source)
    if value is None or source.is_fixed:
        return 0
    sizes, axes = read_sizes(value), source.axes
    if axes is None and (sizes is None or len(sizes) - 2 not in KINDS):
        return 0  # interface.py refuses it
    if axes is None:
        assert sizes is not None
        layout = channels_first(len(sizes) - 2)
        shape = _full_shape(source, value.name, layout, sizes, (None,) * axes_of(layout), None)
    else:
        layout = axes.layout
        shape = _full_shape(source, value.name, layout, sizes, axes.spatial, axes.channels)
        source.layout = layout
    before = [] if sizes is None else list(sizes)
    if full_layout(layout) != layout:
        spatial = [shape[axis] for axis in spatial_axes(full_layout(layout))]
        own = own_shape(layout, spatial, shape[channel_axis(full_layout(layout))])
        _lengthen(source.proto.graph, value, own)
    del value.type.tensor_type.shape.dim[:]
    for size in shape:
        value.type.tensor_type.shape.dim.add(dim_value=size)
    source.is_fixed = True
    return int(before != list(shape))


def _full_shape(
    source: SourceModel,
    name: str,
    layout: str,
    sizes: Sizes | None,
    found: Sequence[int | None],
    channels: int | None,
) -> tuple[int, ...]:
    """The image's shape in the full layout: what its input says, else the caller, else the graph."""
    full = full_layout(layout)
    listing = f"input '{name}' {_show(source, name)}"
    spatial, own_channels = _own_sizes(layout, sizes, listing)
    given = _given(source, full, listing)
    for at, size in enumerate(given):
        fixed = spatial[at] if spatial[at] is not None else found[at]
        if size is not None and fixed not in (None, size):
            raise ModelError(f"{listing}: its size is fixed, --image-size {source.image_size} does not fit")
    spatial = [own or told or read for own, told, read in zip(spatial, given, found, strict=True)]
    if source.channels is not None and own_channels not in (None, source.channels):
        raise ModelError(f"{listing} has {own_channels} channels, --channels {source.channels} does not fit")
    if None in spatial:
        raise ModelError(
            f"{listing.replace(' [', ' has the shape [', 1)}; expected fixed channels, height and width. "
            f"Give the size with --image-size {' '.join(_SIZES[-axes_of(full) :])}."
        )
    known = tuple(size for size in spatial if size is not None)
    if math.prod(known) > _MOST_PIXELS:
        shape = list(own_shape(full, known, own_channels or 1))
        raise ModelError(f"input '{name}' {shape}: expected an image of at most {_MOST_PIXELS} pixels. Check its size.")
    count = own_channels or source.channels or channels or _channels_by_trial(source, name, layout, known)
    if count is None:
        raise ModelError(f"{listing}: cannot tell how many channels it has; give them with --channels C.")
    return own_shape(full, known, count)


def _own_sizes(layout: str, sizes: Sizes | None, listing: str) -> tuple[Sizes, int | None]:
    """The spatial sizes and the channels that the input itself states."""
    letters = layout if not layout.startswith("flat-") else ""
    if sizes is None or not letters:
        return [None] * axes_of(layout), None if "C" in layout else 1
    if "N" in letters and sizes[0] not in (None, 1):
        raise ModelError(
            f"{listing.replace(' [', ' has the shape [', 1)}: expected a batch of 1 or of any size, found {sizes[0]}. "
            "Export the model with a dynamic batch axis; if this is no batch, name the axes with --layout."
        )
    channels = sizes[letters.index("C")] if "C" in letters else 1
    return [size for letter, size in zip(letters, sizes, strict=True) if letter not in "NC"], channels


def _given(source: SourceModel, full: str, listing: str) -> Sizes:
    axes = axes_of(full)
    if source.image_size is None:
        return [None] * axes
    if len(source.image_size) != axes:
        raise ModelError(
            f"{listing} is a {KINDS[axes]}: expected an image size of {axes} numbers, "
            f"found --image-size {source.image_size}"
        )
    return list(source.image_size)


def _channels_by_trial(source: SourceModel, name: str, layout: str, spatial: tuple[int, ...]) -> int | None:
    """The number of channels with which the model runs; of several the one that is likely, else None."""
    try:
        session = open_session(source.proto)
    except Exception:  # onnxruntime's exceptions have no common base; verifying will tell
        return None
    if [value.name for value in session.get_inputs()] != [name]:
        return None
    running, likely = [], None if source.axes is None else source.axes.likely
    for count in (*_FEW, *(() if likely is None or likely in _FEW else (likely,))):
        image = np.zeros(own_shape(layout, spatial, count), np.float32)
        try:
            session.run(None, {name: image})
        except Exception:  # of another number of channels, most likely
            continue
        running.append(count)
    return likely if likely in running else (running[0] if len(running) == 1 else None)


def _lengthen(graph: onnx.GraphProto, image: onnx.ValueInfoProto, own: Sequence[int]) -> None:
    """Let what read the image read a Reshape of it to its own shape."""
    short = f"{image.name}.own"
    rename_uses(graph, image.name, short)
    shape = numpy_helper.from_array(np.array(own, np.int64), f"{short}_shape")
    graph.node.insert(0, helper.make_node("Reshape", [image.name, shape.name], [short], name=short))
    graph.initializer.append(shape)


def _show(source: SourceModel, name: str) -> str:
    value = next(value for value in source.proto.graph.input if value.name == name)
    if not value.type.tensor_type.HasField("shape"):
        return "without a shape"
    dims = value.type.tensor_type.shape.dim
    return f"[{','.join(dim.dim_param or str(dim.dim_value or '?') for dim in dims)}]"
