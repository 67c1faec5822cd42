"""Trace the axes of the image to the first op that says what they are: a convolution, a pool or a normalisation.

image [a, b, c, d] - Transpose(0, 3, 1, 2) - Sub, Div - Conv(W [32, 3, 3, 3])    ->    NHWC of 3 channels
image [a, b, c] - Unsqueeze(1) - Conv(W [32, 1, 3, 3])                           ->    NHW
image [a, b] - Reshape(-1, 28, 28, 1) - Transpose(0, 3, 1, 2) - Conv             ->    flat-NHWC, 28 x 28
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from krypton_compile.contract.layouts import LAYOUTS
from krypton_compile.passes.frontend.axes.move_axes import KEEPING, Known, Labels, Part, get_int, get_ints, move

_WEIGHTS = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "ConvTranspose": 1, "QLinearConv": 3}
_CHANNELS_AT_ONE = frozenset(
    "AveragePool BatchNormalization DepthToSpace GlobalAveragePool GlobalMaxPool GroupNormalization "
    "InstanceNormalization LpPool LRN MaxPool SpaceToDepth".split()
)
_BROADCASTING = frozenset("Add Div Max Mean Min Mul Pow PRelu Sub Sum Where".split())
_SPATIAL = {1: "L", 2: "HW", 3: "DHW"}
_SMALL = 64
"""No axes, sizes or indices have more numbers."""
_FEW = 4
"""Pictures have at most so many channels; a longer constant may be one of rows."""


@dataclass(frozen=True)
class Reading:
    """The order of the image's axes, and what of its sizes the graph tells; None where it does not.

    ``is_sure`` where a convolution reads them so; ``likely`` is what it reads of channels that were changed before.
    """

    layout: str
    channels: int | None
    spatial: tuple[int | None, ...]
    is_sure: bool = False
    likely: int | None = None


def trace_axes(model: onnx.ModelProto, image: str, sizes: Sequence[int | None]) -> Reading | None:
    """Tell the order of the axes of the input ``image``, of these sizes as far as they are known; None if nothing does.

    A constant of one channel axis, such as a mean of the shape [3, 1, 1], tells where nothing else does.
    """
    graph = model.graph
    constants = _small_constants(graph)
    known = Known(constants, {tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
    for value in graph.input:  # a light model has its large weights there
        known.shapes.setdefault(value.name, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim))
    known.shapes.update({name: array.shape for name, array in constants.items()})
    for value in graph.value_info:  # what shape inference found of Reshapes, whose target is computed
        known.shapes.setdefault(value.name, tuple(dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim))
    traced = {image: Labels(tuple(Part(axis, size=size) for axis, size in enumerate(sizes)))}
    pooled = hint = None
    for node in graph.node:
        source = next((name for name in node.input if name in traced), None)
        if source is None:
            _pass_shape_on(known, node)
            continue
        labels = traced[source]
        moved: Labels | None = None
        if node.op_type in _WEIGHTS or node.op_type in _CHANNELS_AT_ONE:
            reading = _read(labels, _channels_of(node, len(labels.parts), known), sizes, known.picked)
            if node.op_type in _WEIGHTS and reading is not None:
                return replace(reading, is_sure=True)
            pooled = pooled or reading
        elif node.op_type in _BROADCASTING:
            shapes = [known.shapes.get(name, ()) for name in node.input if name not in traced]
            moved = _broadcast(labels, shapes)
            hint = hint or _constant_channels(moved, shapes, sizes)
        elif node.input[0] == source:
            moved = move(node, labels, known)
        if moved is not None:
            traced.update(dict.fromkeys(filter(None, node.output), moved))
    return pooled or hint


def _small_constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[np.generic]]:
    """The constants that may be axes, sizes and indices, and all that Constant nodes hold."""
    constants = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if math.prod(tensor.dims) <= _SMALL and tensor.data_location != onnx.TensorProto.EXTERNAL
    }
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute:
            value = helper.get_attribute_value(node.attribute[0])
            if isinstance(value, onnx.TensorProto):
                constants[node.output[0]] = numpy_helper.to_array(value)
            elif not isinstance(value, onnx.SparseTensorProto):
                constants[node.output[0]] = np.asarray(value)
    return constants


def _pass_shape_on(known: Known, node: onnx.NodeProto) -> None:
    """Weights are often dequantized, cast or transposed where they are read."""
    source = known.shapes.get(node.input[0]) if node.input else None
    if source is None or not node.output:
        return
    if node.op_type in KEEPING:
        known.shapes[node.output[0]] = source
    elif node.op_type == "Transpose":
        order = get_ints(node, "perm") or list(reversed(range(len(source))))
        if sorted(order) == list(range(len(source))):
            known.shapes[node.output[0]] = tuple(source[axis] for axis in order)


def _channels_of(node: onnx.NodeProto, rank: int, known: Known) -> int | None:
    """The channels that a node takes, where its weights tell; 0 where they are for data of another rank."""
    if node.op_type in _WEIGHTS:
        at = _WEIGHTS[node.op_type]
        shape = known.shapes.get(node.input[at], ()) if len(node.input) > at else ()
        if len(shape) != rank:
            return 0 if shape else None
        return shape[0] if node.op_type == "ConvTranspose" else shape[1] * get_int(node, "group", 1)
    if node.op_type in ("BatchNormalization", "InstanceNormalization") and len(node.input) > 1:
        return (*known.shapes.get(node.input[1], ()), None)[0]
    return None


def _broadcast(labels: Labels, shapes: Sequence[Sequence[int]]) -> Labels:
    """Operands of higher rank put axes in front."""
    rank = max([len(labels.parts), *map(len, shapes)])
    return replace(labels, parts=(*(None,) * (rank - len(labels.parts)), *labels.parts))


def _constant_channels(labels: Labels, shapes: Sequence[Sequence[int]], sizes: Sequence[int | None]) -> Reading | None:
    """What a constant such as a mean [3] or [1, 3, 1, 1] says: the axis that it has a number for is the channels'."""
    parts, rank = labels.parts, len(labels.parts)
    for shape in shapes:
        long = [at for at, size in enumerate(shape) if size != 1]
        if len(long) != 1 or not 1 < shape[long[0]] <= _FEW:
            continue
        at = rank - len(shape) + long[0]
        if at in (1, rank - 1) and parts[at] is not None:
            others = [part for each, part in enumerate(parts) if each != at]
            nchw = replace(labels, parts=(others[0], parts[at], *others[1:]))
            return _read(nchw, shape[long[0]], sizes, {})
    return None


def _read(
    labels: Labels, channels: int | None, sizes: Sequence[int | None], picked: Mapping[Part, int]
) -> Reading | None:
    """What an op says of the image that takes its axes for N, C and spatial ones."""
    if len(labels.parts) not in (3, 4, 5) or channels == 0:
        return None
    batch, channel, *axes = labels.parts
    spatial = sorted((part for part in axes if part is not None), key=lambda part: (part.axis, part.place))
    if not spatial:  # there may be fewer than axes: Keras makes pictures of one row of its signals
        return None
    if channel is None and labels.picked:  # channels one by one, as in x[:, 0]
        channel = min(labels.picked, key=lambda part: part.axis)
        channels = picked[channel] + 1 if channel in picked and picked[channel] >= 0 else None
    letters = dict(zip(spatial, _SPATIAL[len(spatial)], strict=True))
    letters |= {part: letter for part, letter in ((batch, "N"), (channel, "C")) if part is not None}
    layout = _name_layout(letters, len(sizes))
    if layout is None:
        return None
    likely = channels
    if channel is None:
        channels = 1
    elif channel.size is not None:
        channels = channel.size
    elif channel in labels.resized:
        channels = None
    return Reading(layout, channels, tuple(part.size for part in spatial), likely=likely)


def _name_layout(letters: Mapping[Part, str], rank: int) -> str | None:
    """Name the layout whose axes have these letters; None where it has no name, or an axis has no letter."""
    axes = [""] * rank
    for part in sorted(letters, key=lambda part: (part.axis, part.place)):
        axes[part.axis] += letters[part]
    layout = "".join(axes)
    flat = any(len(axis) > 1 for axis in axes)
    if not all(axes) or (flat and axes[:-1] not in ([], ["N"])):
        return None
    if flat:
        batch = len(axes) - 1
        layout = f"flat-{layout if 'C' in layout else layout[:batch] + 'C' + layout[batch:]}"
    return layout if layout in LAYOUTS else None
