"""What the lowering rules share: the forms a tensor can have, and the context that emits nodes.

Every image-dependent tensor T of the base graph, T' = T0 + D for an occluded image, is in one form:

* :class:`Delta`: D as ragged rows and boxes (DESIGN section 4);
* :class:`Flat`: a Delta seen through a Flatten or Reshape to [1, C*H*W];
* :class:`Dense`: T' itself, for the B positions of a chunk.

A rule file offers ``check(node, context) -> str | None``, the reason why the node cannot be lowered, and
``lower(node, context) -> Form``; the table of rules is in :mod:`krypton_compile.passes.lower.walk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract import schemas
from krypton_compile.contract.annotations import NODE_OP, NODE_SOURCE
from krypton_compile.contract.geometry import DepthWindow, Window
from krypton_compile.contract.layouts import as_volume, axes_of, channel_axis, spatial_axes
from krypton_compile.passes.interface import static_shape

Inputs = Sequence[ir.Value | None]
Attributes = Mapping[str, int | float | str | Sequence[int]]


@dataclass(frozen=True)
class Delta:
    """A spatial delta: ``values`` [R, C] on ``boxes`` [B, 4]; ``layout`` is the base tensor's axis order.

    ``live`` [B, 4] are boxes inside of these that hold every non-zero: what follows grows from them. A volume has
    B * ``depth`` boxes, one a slice of (height, width); a signal has one row.
    """

    values: ir.Value
    boxes: ir.Value
    live: ir.Value
    layout: str
    channels: int
    height: int
    width: int
    depth: int = 1

    @property
    def map_shape(self) -> tuple[int, int]:
        """(H, W) of the map, or of a volume's slice."""
        return self.height, self.width

    @property
    def spatial(self) -> tuple[int, ...]:
        """The sizes of the base tensor's spatial axes, as many as it has."""
        return (self.depth, self.height, self.width)[3 - axes_of(self.layout) :]

    @property
    def full_shape(self) -> tuple[int, ...]:
        """[H, W] of the map, [D, H, W] of a volume: what ops take as ``input_shape``."""
        return self.spatial if axes_of(self.layout) == 3 else self.map_shape

    @property
    def channel_axis(self) -> int:
        """Where the base tensor has its channels."""
        return channel_axis(self.layout)

    @property
    def channels_first(self) -> bool:
        """Whether they come before the spatial axes."""
        return self.channel_axis == 1


@dataclass(frozen=True)
class Flat:
    """``delta`` flattened to one axis in the order of its layout; ``base`` is the tensor before."""

    delta: Delta
    base: ir.Value


@dataclass(frozen=True)
class Dense:
    """T' of B positions: [B, ...], or with ``stacked`` [B, *shape of T], the batch axis of T kept."""

    value: ir.Value
    stacked: bool = False


Form = Delta | Flat | Dense


@dataclass
class LoweringContext:
    """The base graph being read, the incremental body being written, and the form of each tensor.

    With ``frozen_gates``, which is approximate, ``frozen`` are the products whose gate keeps the base image's values.
    ``target`` is the execution provider that the body is for, one of annotations.TARGETS.
    ``supposed`` names nodes that are taken to keep changes where they are: for counting, and never to be run.
    """

    graph: ir.Graph
    body: list[ir.Node] = field(default_factory=list)
    forms: dict[ir.Value, Form] = field(default_factory=dict)
    base_maps: dict[ir.Value, ir.Value] = field(default_factory=dict)
    replaced: dict[ir.Value, ir.Value] = field(default_factory=dict)
    densified: dict[ir.Value, Dense] = field(default_factory=dict)
    source: ir.Node | None = None
    frozen_gates: bool = False
    target: str = "cpu"
    supposed: frozenset[str] = frozenset()
    frozen: list[ir.Node] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._names.update(str(value.name) for value in (*self.graph.inputs, *self.graph.initializers.values()))
        self._names.update(str(value.name) for node in self.graph for value in node.outputs)

    def delta(self, value: ir.Value | None) -> Delta:
        """The Delta form of a value that ``check`` has found to have one."""
        form = self.forms[value] if value is not None else None
        assert isinstance(form, Delta), f"{value} has no delta form"
        return form

    def constant(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The value's array where it is an initializer, else None."""
        tensor = None if value is None else value.const_value
        return None if tensor is None else tensor.numpy()

    def emit(
        self,
        op: str,
        inputs: Inputs,
        attributes: Attributes,
        *names: str,
        domain: str = schemas.DOMAIN,
    ) -> ir.Value:
        """Appends a node to the body and returns its first output; outputs are called ``names``."""
        node = self._node(op, inputs, attributes, names, domain)
        self.body.append(node)
        return node.outputs[0]

    def emit_base(
        self,
        op: str,
        inputs: Inputs,
        attributes: Attributes,
        name: str,
        domain: str = schemas.DOMAIN,
    ) -> ir.Value:
        """Appends a node to the base graph, where it runs once an image."""
        node = self._node(op, inputs, attributes, (name,), domain)
        self.graph.append(node)
        return node.outputs[0]

    def initializer(self, name: str, array: npt.NDArray[np.generic]) -> ir.Value:
        """A new initializer of the base graph."""
        name = self._unique(name)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def base_map(self, value: ir.Value, layout: str) -> ir.Value:
        """The view [H, W, C] of a base tensor, [D, H, W, C] of a volume; made once."""
        if value not in self.base_maps:
            name = str(value.name)
            attributes: Attributes = {"layout": layout, "tensor_name": name}
            view = self.emit_base("BaseMap", [value], attributes, f"{name}.base_map")
            view.type = ir.TensorType(ir.DataType.FLOAT)
            channels, *sizes = volume_shape(static_shape(value), layout)
            view.shape = ir.Shape([*(sizes if axes_of(layout) == 3 else sizes[1:]), channels])
            self.base_maps[value] = view
        return self.base_maps[value]

    def replace_base(self, node: ir.Node, new: ir.Value) -> None:
        """``new`` takes the place, and the name, of the base node's output."""
        old = node.outputs[0]
        name = str(old.name)
        new.type, new.shape = old.type, old.shape
        old.name = self._unique(f"{name}.replaced")
        new.name = name
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        self.replaced[old] = new

    def shrink(self, values: ir.Value, boxes: ir.Value, name: str) -> ir.Value:
        """Boxes cut to the values' non-zero rows, where an op makes exact zeros.

        Not for CUDA: boxes lie in the host's memory, values in the device's, and each layer would wait for both.
        """
        if self.target == "cuda":
            return boxes
        return self.emit("ShrinkBoxes", [values, boxes], {}, f"{name}.boxes.live")

    def _node(self, op: str, inputs: Inputs, attributes: Attributes, names: Sequence[str], domain: str) -> ir.Node:
        unique = [self._unique(name) for name in names]
        metadata = {}
        if self.source is not None:
            metadata = {NODE_SOURCE: str(self.source.name), NODE_OP: self.source.op_type}
        outputs = [ir.Value(name=name) for name in unique]
        return ir.node(
            op, inputs, dict(attributes), domain=domain, outputs=outputs, name=unique[0], metadata_props=metadata
        )

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}.{count}"
        self._names.add(candidate)
        return candidate


def volume_shape(shape: Sequence[int], layout: str) -> tuple[int, int, int, int]:
    """(C, D, H, W) of a shape of that layout."""
    return shape[channel_axis(layout)], *as_volume([shape[axis] for axis in spatial_axes(layout)])


def make_delta(node: ir.Node, values: ir.Value, boxes: ir.Value, layout: str, live: ir.Value | None = None) -> Delta:
    """The Delta of the node's first output, whose static shape gives its sizes; ``live`` are the boxes when None."""
    channels, depth, height, width = volume_shape(static_shape(node.outputs[0]), layout)
    return Delta(values, boxes, live or boxes, layout, channels, height, width, depth)


def per_channel(array: npt.NDArray[np.generic] | None, delta: Delta) -> npt.NDArray[np.float64] | None:
    """A constant that broadcasts to the map as [C], float64; None where it is neither a number nor one a channel."""
    if array is None:
        return None
    values = array.astype(np.float64)
    if values.size == 1:
        return np.full(delta.channels, values.reshape(()))
    rank = len(delta.layout)
    shape = (1,) * (rank - values.ndim) + values.shape
    if len(shape) != rank or values.size != delta.channels or shape[delta.channel_axis] != delta.channels:
        return None
    return values.reshape(-1)


def emit_scaled(node: ir.Node, context: LoweringContext, x: Delta, scale: npt.NDArray[np.float64]) -> Delta:
    """The delta of ``x`` times one number a channel, the node's output."""
    name = str(node.outputs[0].name)
    factor = context.initializer(f"{name}.scale", scale.astype(np.float32))
    values = context.emit("IncrementalScale", [x.values, factor], {}, f"{name}.delta")
    return make_delta(node, values, x.boxes, x.layout, x.live)


def window_attributes(window: Window) -> dict[str, Sequence[int]]:
    """A window as the attributes of the ops that take one; only begin and end pads differ from ONNX's."""
    ends = [
        max(0, (window.output_shape[a] - 1) * window.strides[a] + window.dilations[a] * (window.kernel[a] - 1) + 1
            - window.pads[a] - window.input_shape[a])
        for a in (0, 1)
    ]  # fmt: skip
    return {
        "kernel_shape": window.kernel,
        "strides": window.strides,
        "pads": [*window.pads, *ends],
        "dilations": window.dilations,
        "input_shape": window.input_shape,
        "output_shape": window.output_shape,
    }


def emit_window_boxes(context: LoweringContext, live: ir.Value, window: Window, name: str) -> ir.Value:
    """Boxes after a window op."""
    return context.emit("WindowBoxes", [live], window_attributes(window), f"{name}.boxes")


def depth_attribute(window: DepthWindow, end_pad: int = 0) -> dict[str, Sequence[int]]:
    """A window along slices as the ops take it."""
    numbers = [window.kernel, window.stride, window.pad, end_pad, window.dilation]
    return {"depth": [*numbers, window.input_depth, window.output_depth]}


def emit_depth_boxes(context: LoweringContext, x: Delta, window: DepthWindow, name: str) -> ir.Value:
    """The hulls of the slices that each output slice reads."""
    if window.trivial:
        return x.live
    return context.emit("DepthBoxes", [x.live], depth_attribute(window), f"{name}.depth_boxes")


def emit_depth_gather(
    context: LoweringContext, x: Delta, window: DepthWindow, name: str, group: int = 1
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Values, boxes and live boxes of those slices, side by side as channels."""
    if window.trivial:
        return x.values, x.boxes, x.live
    boxes = emit_depth_boxes(context, x, window, name)
    attributes: Attributes = {**depth_attribute(window), "group": group}
    return context.emit("DepthGather", [x.values, x.boxes, boxes], attributes, f"{name}.depth"), boxes, boxes
