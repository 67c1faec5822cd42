"""Triangles of a map: Trilu(X, k) is X times a constant map of ones and zeros."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.simplify.formulas.terms import insert, number, shape_of, take_over
from krypton_compile.passes.simplify.initializers import add_initializer


def find_triangle(graph: ir.Graph, node: ir.Node, version: int) -> bool:
    """Rewrite a Trilu of floats of known size."""
    del version
    if node.op_type != "Trilu" or node.inputs[0] is None or node.inputs[0].dtype != ir.DataType.FLOAT:
        return False
    shape, given = shape_of(node.inputs[0]), node.inputs[1] if len(node.inputs) > 1 else None
    diagonal = 0.0 if given is None else number(given)
    if len(shape) < 2 or diagonal is None:
        return False
    cut = np.triu if node.attributes.get_int("upper", 1) else np.tril
    mask = add_initializer(graph, f"{node.outputs[0].name}.mask", cut(np.ones(shape[-2:], np.float32), int(diagonal)))
    take_over(graph, node, insert(graph, node, "Mul", [node.inputs[0], mask], {}))
    return True
