"""Find the order of the image's axes: as the caller says, by where channels must be, or by what reads the image.

Nothing is changed but `SourceModel.axes`. It stays None where nothing tells; the simplified graph may (interface.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import onnx
from onnx import inliner, shape_inference

from krypton_compile.contract.layouts import (
    KINDS,
    LAYOUTS,
    axes_of,
    channel_axis,
    channels_first,
    channels_last,
    full_layout,
    rank_of,
)
from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend.axes.trace_axes import Reading, trace_axes
from krypton_compile.passes.frontend.check_model import light_model
from krypton_compile.passes.frontend.source_model import SourceModel

_CHANNELS = (1, 2, 3, 4)
_RANKS = (4, 3, 5, 2)
"""Of images, the usual ones first: what an input without a shape is tried as."""

Sizes = list[int | None]


def find_axes(source: SourceModel) -> int:
    """Find the image's axes; return 1 where they were not known before and are now.

    Raises:
        ModelError: if the layout that the caller names is unknown or one of another rank, or the image has no shape and
            neither ``image_size`` nor ``layout`` says what it is.
    """
    value = find_input(source)
    if value is None or source.axes is not None:
        return 0
    sizes = read_sizes(value)
    source.axes = _as_told(source, value, sizes) or _as_read(source, value, sizes)
    return int(source.axes is not None)


def find_input(source: SourceModel) -> onnx.ValueInfoProto | None:
    """Find the image: the input that the caller names, or the only one without a default; None where that is open."""
    constants = {tensor.name for tensor in source.proto.graph.initializer}
    inputs: list[onnx.ValueInfoProto] = [value for value in source.proto.graph.input if value.name not in constants]
    named = [value for value in inputs if value.name == source.input_name]
    if source.input_name is not None:
        return named[0] if named else None
    if len(inputs) == 1:
        return inputs[0]
    images = [value for value in inputs if len(value.type.tensor_type.shape.dim) in (3, 4, 5)]
    return images[0] if len(images) == 1 else None


def read_sizes(value: onnx.ValueInfoProto) -> Sizes | None:
    """Read the sizes of a value, None for those that are open; None alone where it has no shape."""
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not kind.shape.dim:
        return None
    return [dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim]


def _as_told(source: SourceModel, value: onnx.ValueInfoProto, sizes: Sizes | None) -> Reading | None:
    layout = source.layout
    if layout is None:
        return None
    if layout not in LAYOUTS:
        raise ModelError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    if sizes is None:
        sizes = [None] * rank_of(layout)
    if len(sizes) != rank_of(layout):
        fitting = ", ".join(each for each in LAYOUTS if rank_of(each) == len(sizes)) or "none"
        raise ModelError(
            f"layout {layout}: input '{value.name}' {_show(sizes)} has {len(sizes)} axes; expected {fitting}"
        )
    read = _traced(source, value.name, sizes)
    if read is not None and full_layout(read.layout) == full_layout(layout):
        return Reading(layout, read.channels, read.spatial)
    return Reading(layout, None if "C" in layout else 1, (None,) * axes_of(layout))


def _as_read(source: SourceModel, value: onnx.ValueInfoProto, sizes: Sizes | None) -> Reading | None:
    if sizes is not None:
        layout, read = _by_channels(sizes), _traced(source, value.name, sizes)
        if layout is None or (read is not None and (read.is_sure or read.layout == layout)):
            return read
        return Reading(layout, sizes[channel_axis(layout)], (None,) * axes_of(layout))
    wanted = None if source.image_size is None else len(source.image_size)
    for rank in _RANKS:
        read = _traced(source, value.name, [None] * rank)
        if read is not None and wanted in (None, axes_of(read.layout)):
            return read
    raise ModelError(
        f"input '{value.name}' has no shape, and nothing that reads it tells its axes. Give them and the sizes: "
        "--layout NCHW --image-size H W --channels C, or as the model has them."
    )


def _by_channels(sizes: Sequence[int | None]) -> str | None:
    """The layout of rank 3, 4 or 5 whose channels are few where those of its counterpart are not."""
    axes = len(sizes) - 2
    if axes not in KINDS or (axes == 1 and (sizes[0] or 1) > 1):  # three axes may also be HWC or CHW
        return None
    first, last = sizes[1] in _CHANNELS, sizes[-1] in _CHANNELS
    if first == last:
        return None
    return channels_first(axes) if first else channels_last(axes)


def _traced(source: SourceModel, name: str, sizes: Sizes) -> Reading | None:
    light = light_model(source.proto)
    light = inliner.inline_local_functions(light) if light.functions else light
    read = trace_axes(light, name, sizes)
    if read is None:
        with contextlib.suppress(Exception):  # of several types; whatever is wrong, later passes will tell
            read = trace_axes(shape_inference.infer_shapes(light, data_prop=True), name, sizes)
    return read


def _show(sizes: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"
