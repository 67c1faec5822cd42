"""Keep numbers that are nearly 0 or 1 from onnxscript's optimizer, which takes them for 0 and 1.

Its rules for x + 0, x - 0, x * 1 and x / 1 match within 1e-8 and 1e-5. But the 1e-8 of ``x / (s + 1e-8)`` is what
stands between a black pixel and 0 / 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir

_NEUTRAL = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}
_CLOSE = 2e-5
"""Farther away than any rule still matches."""


@contextmanager
def near_neutral_held(model: ir.Model) -> Iterator[None]:
    """Within the block, such numbers are inputs of the graph, of which nothing is known."""
    graph = model.graph
    held: list[tuple[ir.Value, ir.TensorProtocol]] = []
    for node in graph:
        for index, value in enumerate(node.inputs):
            tensor = None if value is None else ir.convenience.get_const_tensor(value)
            if value is None or tensor is None or not _is_near_neutral(node.op_type, tensor):
                continue
            stand_in = ir.Value(
                name=f"{value.name}.held.{len(held)}",
                type=ir.TensorType(tensor.dtype),
                shape=ir.Shape(tensor.numpy().shape),
            )
            graph.inputs.append(stand_in)
            node.replace_input_with(index, stand_in)
            held.append((stand_in, tensor))
    try:
        yield
    finally:
        for stand_in, _ in reversed(held):
            if graph.inputs[-1] is stand_in:  # they are the last ones: none is looked for
                graph.inputs.pop()
            else:
                graph.inputs.remove(stand_in)
        for stand_in, tensor in held:
            if stand_in.uses():
                stand_in.const_value = ir.tensor(tensor.numpy(), name=stand_in.name)
                graph.register_initializer(stand_in)


def _is_near_neutral(op: str, tensor: ir.TensorProtocol) -> bool:
    if op not in _NEUTRAL or tensor.size != 1 or not tensor.dtype.is_floating_point():
        return False
    number = float(tensor.numpy().reshape(()))
    return 0 < abs(number - _NEUTRAL[op]) <= _CLOSE
