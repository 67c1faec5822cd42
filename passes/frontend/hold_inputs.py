"""Hold the inputs beside the image: they become constants of the values that the caller gives.

    model(image, age)    ->    model(image) with the initializer age = 63

Maps of the image explain such a model's answer for that age; for another one it is compiled again.
"""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend.source_model import SourceModel


def hold_inputs(source: SourceModel) -> int:
    """Hold the inputs that ``held`` names; return their number.

    A single number fills an input of any shape; symbolic sizes count as 1.

    Raises:
        ModelError: if the model has no input of a name in ``held``, or its input has another shape than the value.
    """
    graph = source.proto.graph
    inputs = {value.name: value for value in graph.input}
    for name, value in source.held.items():
        if name in source.dropped:
            continue
        if name not in inputs:
            raise ModelError(f"held input '{name}': the model's inputs are {', '.join(inputs)}")
        kind = inputs[name].type.tensor_type
        shape = tuple(dim.dim_value or 1 for dim in kind.shape.dim)
        array = np.asarray(value, helper.tensor_dtype_to_np_dtype(kind.elem_type))
        if array.ndim and array.shape != shape:
            raise ModelError(
                f"held input '{name}': expected a number or the shape {list(shape)}, found {list(array.shape)}"
            )
        graph.input.remove(inputs[name])
        others = [tensor for tensor in graph.initializer if tensor.name != name]  # without the default of this one
        del graph.initializer[:]
        graph.initializer.extend(others)
        graph.initializer.append(numpy_helper.from_array(np.broadcast_to(array, shape).copy(), name))
    return len(source.held)
