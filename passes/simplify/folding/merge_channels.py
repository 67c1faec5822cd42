"""Merge channels that were told apart, scaled each by its own numbers and put together again.

    Concat(s1 X[2:3] + t1, s2 X[0:1] + t2, ...)    ->    s (X[2, 0, ...] + t / s),    a number a channel in s and t

Preprocessing inside of models is often written so (torchvision's `transform_input`); scales then become part of the
convolution behind. Each channel of the Concat must be one of the same tensor's, no two the same, times a number that is
not 0, and a number more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.initializers import add_initializer
from krypton_compile.passes.simplify.views.choices import taken_along

Numbers = npt.NDArray[np.float64]
_AFFINE = ("Add", "Div", "Mul", "Sub")


@dataclass(frozen=True)
class _Channels:
    """Of each channel of a tensor: which one of ``root``'s it is, times ``scale``, plus ``shift``."""

    root: ir.Value
    places: npt.NDArray[np.int64]
    scale: Numbers
    shift: Numbers

    def take(self, places: npt.NDArray[np.int64]) -> _Channels:
        return _Channels(self.root, self.places[places], self.scale[places], self.shift[places])


def merge_channels(model: ir.Model) -> int:
    """Merge every such Concat; return their number."""
    graph = model.graph
    return sum(_merge(graph, node) for node in list(graph) if node.op_type == "Concat" and node.graph is not None)


def _merge(graph: ir.Graph, node: ir.Node) -> bool:
    output = node.outputs[0]
    if not has_static_shape(output) or len(static_shape(output)) < 3 or output.dtype != ir.DataType.FLOAT:
        return False
    shape = static_shape(output)
    axis = node.attributes["axis"].as_int() % len(shape)
    if axis not in (1, len(shape) - 1) or not (output.uses() or output.is_graph_output()):
        return False
    found = _joined(node, axis)
    if found is None or len(set(found.places.tolist())) < len(found.places) or not found.scale.all():
        return False
    value, name = found.root, str(output.name)
    total = static_shape(value)[axis]
    steps: list[tuple[str, npt.NDArray[np.generic], dict[str, int]]] = []
    if len(found.places) != total or (found.places != np.arange(total)).any():
        steps.append(("Gather", found.places, {"axis": axis}))
    ones = [1] * len(shape)
    ones[axis] = shape[axis]
    if found.shift.any():
        steps.append(("Add", (found.shift / found.scale).astype(np.float32).reshape(ones), {}))
    if (found.scale != 1).any():
        steps.append(("Mul", found.scale.astype(np.float32).reshape(ones), {}))
    if not steps and output.is_graph_output():
        return False
    for op, array, attributes in steps:
        constant = add_initializer(graph, f"{name}.{op.lower()}", array)
        new = ir.node(op, [value, constant], attributes, name=f"{node.name}.{op}")
        new.outputs[0].name, new.outputs[0].shape, new.outputs[0].type = new.name, ir.Shape(shape), output.type
        graph.insert_before(node, new)
        value = new.outputs[0]
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    if steps:
        output.name, value.name = f"{name}.merged", name
    graph.remove(node, safe=True)
    return True


def _joined(node: ir.Node, axis: int) -> _Channels | None:
    parts = [None if value is None else _channels(value, axis) for value in node.inputs]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts) or len({part.root for part in known}) != 1:
        return None
    places = np.concatenate([part.places for part in known])
    scale, shift = (
        np.concatenate(arrays) for arrays in zip(*((part.scale, part.shift) for part in known), strict=True)
    )
    return _Channels(known[0].root, places, scale, shift)


def _channels(value: ir.Value, axis: int) -> _Channels | None:
    """The value's channels as those of the farthest tensor behind it; None of a constant."""
    if value.const_value is not None or not has_static_shape(value):
        return None
    node, count = value.producer(), static_shape(value)[axis]
    itself = _Channels(value, np.arange(count), np.ones(count), np.zeros(count))
    if node is None or node.domain not in ("", "ai.onnx"):
        return itself
    if node.op_type == "Concat":
        same = node.attributes["axis"].as_int() % len(static_shape(value)) == axis
        return (_joined(node, axis) if same else None) or itself
    if node.op_type in _AFFINE:
        return _affine(node, axis, count) or itself
    places = _choice(node, value, axis)
    before = None if places is None or node.inputs[0] is None else _channels(node.inputs[0], axis)
    return itself if before is None or places is None else before.take(places)


def _affine(node: ir.Node, axis: int, count: int) -> _Channels | None:
    constants = [None if value is None else value.const_value for value in node.inputs]
    if sum(each is None for each in constants) != 1:
        return None
    moved = constants.index(None)
    x, constant = node.inputs[moved], constants[1 - moved]
    if x is None or constant is None or not has_static_shape(x) or static_shape(x) != static_shape(node.outputs[0]):
        return None
    array, rank = constant.numpy().astype(np.float64), len(static_shape(x))
    whole = array.reshape((1,) * (rank - array.ndim) + array.shape) if array.ndim <= rank else array
    if array.size != 1 and (whole.ndim != rank or whole.size != count or whole.shape[axis] != count):
        return None
    numbers = np.full(count, array.reshape(())) if array.size == 1 else whole.reshape(-1)
    before = _channels(x, axis)
    if before is None or (node.op_type == "Div" and (moved == 1 or not numbers.all())):
        return None
    scale, shift = before.scale, before.shift
    if node.op_type == "Add":
        shift = shift + numbers
    elif node.op_type == "Sub":
        sign = 1 if moved == 0 else -1
        scale, shift = sign * scale, sign * (shift - numbers)
    else:
        factor = numbers if node.op_type == "Mul" else 1 / numbers
        scale, shift = scale * factor, shift * factor
    return _Channels(before.root, before.places, scale, shift)


def _choice(node: ir.Node, value: ir.Value, axis: int) -> npt.NDArray[np.int64] | None:
    """Which channels a Gather, Slice or Split takes of its input; None where it does another thing."""
    source = node.inputs[0] if node.inputs else None
    if source is None or node.op_type not in ("Gather", "Slice", "Split") or not has_static_shape(source):
        return None
    shape = static_shape(source)
    if node.op_type != "Split":
        return taken_along(node, axis)
    if node.attributes.get_int("axis", 0) % len(shape) != axis:
        return None
    sizes = [static_shape(output)[axis] for output in node.outputs]
    begin = sum(sizes[: node.outputs.index(value)])
    return np.arange(begin, begin + static_shape(value)[axis])
