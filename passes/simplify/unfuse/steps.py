"""Nodes that take the place of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.simplify.initializers import add_initializer

Rewrite = Callable[[ir.Graph, ir.Node, int], bool]
"""Rewrites a node of a graph of an opset; False, and nothing changed, where it stays."""

_CLIP_HAS_INPUTS = 11
_FUSED = {
    "Clip": ("min", "max"),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
}
"""Functions that a convolution is fused with, and the names of their parameters in order."""


@dataclass
class Steps:
    """The nodes that take the place of ``node``, all in front of it."""

    graph: ir.Graph
    node: ir.Node
    version: int
    count: int = field(default=0, init=False)

    def add(
        self, op: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, float | int | Sequence[int]] = {}
    ) -> ir.Value:
        """Add a node of ONNX's, and return its output."""
        return self._insert(ir.node(op, inputs, dict(attributes), name=self._name()))

    def add_node(self, op: str, inputs: Sequence[ir.Value | None], attributes: Sequence[ir.Attr]) -> ir.Value:
        """Do the same with attributes as nodes have them."""
        return self._insert(ir.Node("", op, inputs, attributes, name=self._name()))

    def _insert(self, node: ir.Node) -> ir.Value:
        node.outputs[0].name, node.outputs[0].type = node.name, self.node.outputs[0].type
        self.graph.insert_before(self.node, node)
        return node.outputs[0]

    def constant(self, array: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> ir.Value:
        """Add a constant."""
        return add_initializer(self.graph, self._name(), np.asarray(array, dtype))

    def activate(self, x: ir.Value, function: str, parameters: Sequence[float]) -> ir.Value:
        """Add the function that a convolution was fused with."""
        named = dict(zip(_FUSED[function], parameters, strict=False))
        if function == "Clip" and self.version >= _CLIP_HAS_INPUTS:
            return self.add("Clip", [x, *(self.constant(value) for value in named.values())])
        return self.add(function, [x], named)

    def replace(self, *results: ir.Value | None) -> bool:
        """Let the results take the place of the node's outputs and their names; always True."""
        for output, result in zip(self.node.outputs, results, strict=False):
            if result is None or not output.name:
                continue
            name = output.name
            output.name = f"{name}.fused"
            result.type, result.shape = output.type or result.type, output.shape or result.shape
            output.replace_all_uses_with(result, replace_graph_outputs=True)
            result.name = name
        self.graph.remove(self.node, safe=True)
        return True

    def _name(self) -> str:
        self.count += 1
        return f"{self.node.outputs[0].name}.unfused{self.count}"


def knows_activation(node: ir.Node) -> bool:
    """Tell whether ``activate`` has the function that a convolution is fused with; one without any is fine."""
    return node.attributes.get_string("activation", "Relu") in _FUSED
