"""Which input is the image and which output the class scores; refusals name the candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from krypton_compile.contract.layouts import channel_axis, channels_first, channels_last, spatial_axes
from krypton_compile.errors import ModelError

_CHANNELS = (1, 2, 3, 4)
_RANKS = (3, 4, 5)
_OTHERS = "of a signal 3 (NCL or NLC), of a volume 5 (NCDHW or NDHWC)"
_PROBABILITY_OPS = ("Softmax", "Sigmoid")


@dataclass(frozen=True)
class Interface:
    """The image input, its layout (layouts.py), the score output and the tensor before a final Softmax."""

    image: ir.Value
    layout: str
    scores: ir.Value
    logits: ir.Value | None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W) of a picture, (L,) of a signal, (D, H, W) of a volume."""
        shape = static_shape(self.image)
        return tuple(shape[axis] for axis in spatial_axes(self.layout))

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return static_shape(self.image)[channel_axis(self.layout)]


def has_static_shape(value: ir.Value) -> bool:
    """Whether every size is known."""
    return value.shape is not None and all(isinstance(dim, int) for dim in value.shape)


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """The value's shape as integers.

    Raises:
        ModelError: unknown or symbolic.
    """
    if value.shape is None or not has_static_shape(value):
        raise ModelError(f"tensor '{value.name}': expected a static shape, found {value.shape}")
    return tuple(dim for dim in value.shape if isinstance(dim, int))


def permutation(node: ir.Node) -> tuple[int, ...]:
    """Of a Transpose: its ``perm``, or all axes in reverse."""
    if "perm" in node.attributes:
        return tuple(int(axis) for axis in node.attributes["perm"].as_ints())
    source = node.inputs[0]
    rank = 0 if source is None or source.shape is None else len(source.shape)
    return tuple(reversed(range(rank)))


def find_image(graph: ir.Graph, name: str | None) -> ir.Value:
    """The image input: the only float input of rank 3 (a signal), 4 (a picture) or 5 (a volume), or the named one.

    Raises:
        ModelError: none, several (candidates named), or of a dtype or rank that is not supported.
    """
    inputs = [value for value in graph.inputs if not value.is_initializer()]
    listing = ", ".join(f"'{value.name}' {value.dtype} {value.shape}" for value in inputs) or "none"
    if name is not None:
        chosen = [value for value in inputs if value.name == name]
        if not chosen:
            raise ModelError(f"no input is called '{name}'; the model's inputs: {listing}")
    else:
        chosen = [value for value in inputs if value.shape is not None and len(value.shape) in _RANKS]
        if not chosen:
            raise ModelError(f"expected an image input of rank 4 (NCHW or NHWC), {_OTHERS}, found inputs: {listing}")
    if len(inputs) > 1:
        raise ModelError(
            f"the model has several inputs: {listing}. Expected the image alone; "
            "hold the others at values: --hold NAME=VALUE (Python: held={name: value})."
        )
    image = chosen[0]
    if image.shape is None or len(image.shape) not in _RANKS:
        raise ModelError(f"input '{image.name}': expected rank 4 (NCHW or NHWC), {_OTHERS}, found shape {image.shape}")
    if image.dtype != ir.DataType.FLOAT:
        raise ModelError(f"input '{image.name}': expected float32, found {image.dtype}; export the model in float32")
    return image


def find_layout(image: ir.Value, layout: str | None) -> str:
    """The axis order: as given, by where the channels must be, or by the first consumer.

    Raises:
        ModelError: one of another rank, or none can be told.
    """
    assert image.shape is not None
    axes = len(image.shape) - 2
    ours = channels_first(axes), channels_last(axes)
    if layout is not None:
        if layout not in ours:
            raise ModelError(f"layout {layout}: input '{image.name}' {image.shape} is {ours[0]} or {ours[1]}")
        return layout
    first, last = (image.shape[axis] in _CHANNELS for axis in (1, axes + 1))
    if first != last:
        return ours[0] if first else ours[1]
    for node in image.consumers():
        if node.op_type == "Transpose" and permutation(node) == (0, axes + 1, *range(1, axes + 1)):
            return ours[1]
        if node.op_type == "Conv":
            return ours[0]
    raise ModelError(f"input '{image.name}' {image.shape}: cannot tell {ours[0]} from {ours[1]}; give the layout")


def find_scores(graph: ir.Graph, name: str | None) -> ir.Value:
    """The output that holds the class scores: the only one, or the named one.

    Raises:
        ModelError: several outputs and none named, or one that cannot be a row of class scores.
    """
    listing = ", ".join(f"'{value.name}' {value.dtype} {value.shape}" for value in graph.outputs)
    if name is not None:
        chosen = [value for value in graph.outputs if value.name == name]
        if not chosen:
            raise ModelError(f"no output is called '{name}'; the model's outputs: {listing}")
    elif not graph.outputs:
        raise ModelError("the model has no outputs; export it with its class scores as the output.")
    elif len(graph.outputs) != 1:
        raise ModelError(f"the model has several outputs: {listing}. Name the class scores with --output-name.")
    else:
        chosen = list(graph.outputs)
    scores = chosen[0]
    wrong = f"output '{scores.name}' {scores.dtype} {scores.shape} is no row of class scores: "
    if scores.dtype != ir.DataType.FLOAT:
        raise ModelError(wrong + "expected float32 scores or probabilities. Export the tensor before the last op.")
    shape = static_shape(scores)
    if math.prod(shape) == 0:
        raise ModelError(wrong + "expected a class at least. Name another output, or export a classifier.")
    if len([dim for dim in shape if dim > 1]) > 1:
        raise ModelError(wrong + "expected [1, classes]. Name another output, or export a classifier.")
    return scores


def find_logits(scores: ir.Value) -> ir.Value | None:
    """The tensor before a final Softmax or Sigmoid, or None."""
    node = scores.producer()
    while node is not None and node.op_type in ("Reshape", "Flatten", "Squeeze", "Identity"):
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    if node is None or node.op_type not in _PROBABILITY_OPS:
        return None
    logits = node.inputs[0]
    same_size = logits is not None and math.prod(static_shape(logits)) == math.prod(static_shape(scores))
    return logits if same_size else None
