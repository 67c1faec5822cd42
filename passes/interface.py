"""Finds which input is the image and which output the class scores; refusals name the candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from krypton_compile.contract.layouts import channel_axis, channels_first, channels_last, full_layout, spatial_axes
from krypton_compile.errors import ModelError
from krypton_compile.passes.shapes import permutation, static_shape

__all__ = [
    "Interface",
    "find_image",
    "find_interface",
    "find_layout",
    "find_logits",
    "find_scores",
]

_CHANNELS = (1, 2, 3, 4)
_RANKS = (3, 4, 5)
_OTHERS = "of a signal 3 (NCL or NLC), of a volume 5 (NCDHW or NDHWC)"
_NAME_AXES = "An image without an axis for its batch or its channels is told by --layout, such as HW or flat-NCHW."
_PROBABILITY_OPS = ("Softmax", "Sigmoid")


@dataclass(frozen=True)
class Interface:
    """The image input, its full layout (layouts.py), the score output and the tensor before a final Softmax.

    ``shape`` is the image's in that layout; ``own_layout`` that of the user's model, which may be a short one.
    """

    image: ir.Value
    layout: str
    scores: ir.Value
    logits: ir.Value | None
    own_layout: str
    shape: tuple[int, ...]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W) of a picture, (L,) of a signal, (D, H, W) of a volume."""
        return tuple(self.shape[axis] for axis in spatial_axes(self.layout))

    @property
    def classes(self) -> int:
        """How many scores there are."""
        return math.prod(static_shape(self.scores))

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return self.shape[channel_axis(self.layout)]


def find_interface(
    graph: ir.Graph, input_name: str | None = None, output_name: str | None = None, layout: str | None = None
) -> Interface:
    """Find the image, its layout, the scores and the tensor before a final Softmax, as the functions below do.

    Raises:
        ModelError: if one of the three names or the graph leaves open which value is meant.
    """
    image, scores = find_image(graph, input_name), find_scores(graph, output_name)
    found = find_layout(image, None if layout is None else full_layout(layout))
    return Interface(image, found, scores, find_logits(scores), layout or found, static_shape(image))


def find_image(graph: ir.Graph, name: str | None) -> ir.Value:
    """Find the image: the only float input of rank 3 (a signal), 4 (a picture) or 5 (a volume), or the named one.

    Raises:
        ModelError: if no input or more than one may be the image, no input is called ``name``, or the image's type or
            rank is not supported; the message lists the inputs.
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
            raise ModelError(
                f"expected an image input of rank 4 (NCHW or NHWC), {_OTHERS}, found inputs: {listing}. {_NAME_AXES}"
            )
    if len(inputs) > 1:
        raise ModelError(
            f"the model has several inputs: {listing}. Expected the image alone; "
            "hold the others at values: --hold NAME=VALUE (Python: held={name: value})."
        )
    image = chosen[0]
    if image.shape is None or len(image.shape) not in _RANKS:
        raise ModelError(
            f"input '{image.name}': expected rank 4 (NCHW or NHWC), {_OTHERS}, found shape {image.shape}. {_NAME_AXES}"
        )
    if image.dtype != ir.DataType.FLOAT:
        raise ModelError(f"input '{image.name}': expected float32, found {image.dtype}; export the model in float32")
    return image


def find_layout(image: ir.Value, layout: str | None) -> str:
    """Find the order of the image's axes: as the caller says, by where channels must be, or by who reads the image.

    Raises:
        ModelError: if ``layout`` is one of another rank, or neither shape nor readers tell the order.
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
    raise ModelError(
        f"input '{image.name}' {image.shape}: cannot tell {ours[0]} from {ours[1]}; give the layout: --layout"
    )


def find_scores(graph: ir.Graph, name: str | None) -> ir.Value:
    """Find the output that holds the class scores: the only one, or the named one.

    Raises:
        ModelError: if there are several outputs and ``name`` is None, no output is called ``name``, or the output
            cannot be a row of class scores.
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
        raise ModelError(
            wrong
            + "expected [1, classes]. Choose an element of it with --output-index, an index for each axis between "
            "batch and classes such as -1 (Python: output_index=-1), name another output, or export a classifier."
        )
    return scores


def find_logits(scores: ir.Value) -> ir.Value | None:
    """Find the tensor before a final Softmax or Sigmoid; None where the scores have none."""
    node = scores.producer()
    while node is not None and node.op_type in ("Reshape", "Flatten", "Squeeze", "Identity"):
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    if node is None or node.op_type not in _PROBABILITY_OPS:
        return None
    logits = node.inputs[0]
    same_size = logits is not None and math.prod(static_shape(logits)) == math.prod(static_shape(scores))
    return logits if same_size else None
