"""Shorten the inputs: image and baseline of the compiled file have the shape of the user's own model.

    image [1, 1, 28, 28]  (NCHW, as all passes know it)    ->    image [1, 28, 28] - Reshape - image.full [1, 1, 28, 28]

Only where the user's layout is a short one (layouts.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.passes.shapes import static_shape


def shorten_inputs(graph: ir.Graph, values: Sequence[ir.Value], own: tuple[int, ...]) -> int:
    """Give the inputs ``values`` the shape ``own``, and what read them a Reshape; return how many had another."""
    changed = [value for value in values if static_shape(value) != own]
    for value in changed:
        name, full = str(value.name), static_shape(value)
        shape = ir.Value(name=f"{name}.full_shape", const_value=ir.tensor(np.array(full, np.int64)))
        graph.register_initializer(shape)
        node = ir.node("Reshape", [value, shape], name=f"{name}.full")
        longer = node.outputs[0]
        longer.name, longer.type, longer.shape = f"{name}.full", value.type, ir.Shape(full)
        value.shape = ir.Shape(own)
        for user, index in list(value.uses()):
            if user is not node:
                user.replace_input_with(index, longer)
        graph.insert_before(graph[0], node)
    return len(changed)
