"""Emit nodes into the incremental body, and into the base graph, which runs once an image.

Below the emitter stand the pieces that several rules emit alike: windows, scales, ops that keep
their boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.contract import schemas
from krypton_compile.contract.annotations import NODE_OP, NODE_SOURCE
from krypton_compile.contract.geometry import DepthWindow, Window
from krypton_compile.contract.layouts import axes_of
from krypton_compile.passes.lower.forms import Delta, make_delta, volume_shape
from krypton_compile.passes.lower.journal import Journal
from krypton_compile.passes.shapes import static_shape

Inputs = Sequence[ir.Value | None]
Attributes = Mapping[str, int | float | str | Sequence[int]]


class Emitter:
    """The writer of the incremental ``body`` of ``graph``, and of what it needs in the graph itself.

    All names are unique. ``source`` is the node that is being lowered: what is emitted remembers it.
    ``base_maps`` has the views that were made of the graph's tensors, ``replaced`` what took the
    place of others.
    """

    def __init__(self, graph: ir.Graph, journal: Journal, *, shrinks: bool) -> None:
        self.graph = graph
        self.body: list[ir.Node] = []
        self.base_maps: dict[ir.Value, ir.Value] = {}
        self.replaced: dict[ir.Value, ir.Value] = {}
        self.source: ir.Node | None = None
        self._journal = journal
        self._shrinks = shrinks
        self._names = {str(value.name) for value in (*graph.inputs, *graph.initializers.values())}
        self._names.update(str(value.name) for node in graph for value in node.outputs)

    def emit(
        self, op: str, inputs: Inputs, attributes: Attributes, *names: str, domain: str = schemas.DOMAIN
    ) -> ir.Value:
        """Append a node to the body and return its first output; outputs are called ``names``."""
        return self.emit_node(op, inputs, attributes, *names, domain=domain).outputs[0]

    def emit_node(
        self, op: str, inputs: Inputs, attributes: Attributes, *names: str, domain: str = schemas.DOMAIN
    ) -> ir.Node:
        """Append a node to the body and return it."""
        node = self._node(op, inputs, attributes, names, domain)
        self.body.append(node)
        self._journal.note(partial(self._take_from_body, node))
        return node

    def emit_base(
        self, op: str, inputs: Inputs, attributes: Attributes, name: str, domain: str = schemas.DOMAIN
    ) -> ir.Value:
        """Append a node to the base graph, where it runs once an image, and return its output."""
        return self.emit_base_node(op, inputs, attributes, name, domain=domain).outputs[0]

    def emit_base_node(
        self, op: str, inputs: Inputs, attributes: Attributes, *names: str, domain: str = schemas.DOMAIN
    ) -> ir.Node:
        """Append a node to the base graph and return it; outputs are called ``names``."""
        node = self._node(op, inputs, attributes, names, domain)
        self.graph.append(node)
        self._journal.note(partial(self.graph.remove, node, safe=True))
        return node

    def initializer(self, name: str, array: npt.NDArray[np.generic]) -> ir.Value:
        """Make a new initializer of the base graph."""
        name = self._unique(name)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        self._journal.note(partial(self.graph.initializers.pop, name))
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
            self._journal.note(partial(self.base_maps.pop, value))
        return self.base_maps[value]

    def replace_base(self, node: ir.Node, new: ir.Value) -> None:
        """Let ``new`` take the place, and the name, of the base node's output."""
        old = node.outputs[0]
        name, uses = str(old.name), list(old.uses())
        places = [index for index, output in enumerate(self.graph.outputs) if output is old]
        new.type, new.shape = old.type, old.shape
        old.name = self._unique(f"{name}.replaced")
        new.name = name
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        self.replaced[old] = new

        def give_back() -> None:
            del self.replaced[old]
            for user, index in uses:
                user.replace_input_with(index, old)
            for place in places:
                self.graph.outputs[place] = old
            new.name, old.name = f"{name}.refused", name

        self._journal.note(give_back)

    def current(self, value: ir.Value) -> ir.Value:
        """The value itself, or what has taken its place in the base graph."""
        return self.replaced.get(value, value)

    def shrink(self, values: ir.Value, boxes: ir.Value, name: str) -> ir.Value:
        """Boxes cut to the values' non-zero rows, where an op makes exact zeros.

        Not for CUDA: boxes lie in the host's memory, values in the device's, and each layer would
        wait for both.
        """
        return self.emit("ShrinkBoxes", [values, boxes], {}, f"{name}.boxes.live") if self._shrinks else boxes

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
        self._journal.note(partial(self._names.discard, candidate))
        return candidate

    def _take_from_body(self, node: ir.Node) -> None:
        self.body.remove(node)
        for index in range(len(node.inputs)):  # else its inputs would still count it among their uses
            node.replace_input_with(index, None)


def emit_pixelwise(emitter: Emitter, node: ir.Node, x: Delta, op: str, inputs: Inputs, attributes: Attributes) -> Delta:
    """The node's delta by an op that keeps the boxes of ``x``; ``inputs`` follow the values of ``x``."""
    values = emitter.emit(op, [x.values, *inputs], attributes, f"{node.outputs[0].name}.delta")
    return make_delta(node, values, x.boxes, x.layout, x.live)


def emit_scaled(emitter: Emitter, node: ir.Node, x: Delta, scale: npt.NDArray[np.float64]) -> Delta:
    """The node's delta where that is ``x`` times one number a channel."""
    factor = emitter.initializer(f"{node.outputs[0].name}.scale", scale.astype(np.float32))
    return emit_pixelwise(emitter, node, x, "IncrementalScale", [factor], {})


def window_attributes(window: Window) -> dict[str, Sequence[int]]:
    """A window as attributes of the ops that take one; begin and end pads alone differ from ONNX's."""
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


def emit_window_boxes(emitter: Emitter, live: ir.Value, window: Window, name: str) -> ir.Value:
    """Emit the boxes after a window op."""
    return emitter.emit("WindowBoxes", [live], window_attributes(window), f"{name}.boxes")


def depth_attribute(window: DepthWindow, end_pad: int = 0) -> dict[str, Sequence[int]]:
    """A window along slices as the ops take it."""
    numbers = [window.kernel, window.stride, window.pad, end_pad, window.dilation]
    return {"depth": [*numbers, window.input_depth, window.output_depth]}


def emit_depth_boxes(emitter: Emitter, x: Delta, window: DepthWindow, name: str) -> ir.Value:
    """Emit the hulls of the slices that each output slice reads."""
    if window.trivial:
        return x.live
    return emitter.emit("DepthBoxes", [x.live], depth_attribute(window), f"{name}.depth_boxes")


def emit_depth_gather(
    emitter: Emitter, x: Delta, window: DepthWindow, name: str, group: int = 1
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Emit values, boxes and live boxes of those slices, side by side as channels."""
    if window.trivial:
        return x.values, x.boxes, x.live
    boxes = emit_depth_boxes(emitter, x, window, name)
    attributes: Attributes = {**depth_attribute(window), "group": group}
    return emitter.emit("DepthGather", [x.values, x.boxes, boxes], attributes, f"{name}.depth"), boxes, boxes
