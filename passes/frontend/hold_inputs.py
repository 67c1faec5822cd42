"""Hold inputs: the inputs beside the image become constants of given values.

    model(image, age)    ->    model(image) with the initializer age = 63

Maps of the image explain such a model's answer for that age; for another one it is compiled again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from krypton_compile.errors import ModelError


def hold_inputs(model: onnx.ModelProto, values: Mapping[str, npt.ArrayLike]) -> None:
    """Holds them, in place; a number fills an input of any shape, symbolic sizes counting as 1.

    Raises:
        ModelError: no input of that name, or a value of another shape.
    """
    inputs = {value.name: value for value in model.graph.input}
    for name, value in values.items():
        if name not in inputs:
            raise ModelError(f"held input '{name}': the model's inputs are {', '.join(inputs)}")
        kind = inputs[name].type.tensor_type
        shape = tuple(dim.dim_value or 1 for dim in kind.shape.dim)
        array = np.asarray(value, helper.tensor_dtype_to_np_dtype(kind.elem_type))
        if array.ndim and array.shape != shape:
            raise ModelError(
                f"held input '{name}': expected a number or the shape {list(shape)}, found {list(array.shape)}"
            )
        model.graph.input.remove(inputs[name])
        kept = [tensor for tensor in model.graph.initializer if tensor.name != name]  # a default, overridden
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        model.graph.initializer.append(numpy_helper.from_array(np.broadcast_to(array, shape).copy(), name))
