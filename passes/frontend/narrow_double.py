"""Narrow double: a float64 network becomes the float32 network of its rounded weights.

onnxruntime has no convolutions of float64, and the incremental ops are of float32. Scores are exact for the float32
network; from the float64 one they differ by float32's own rounding. Where only some arithmetic is float64 and neither
the image nor a convolution is, the model stays as it is.
"""

from __future__ import annotations

import onnx

from krypton_compile.passes.frontend.widen_half import recast

_DOUBLE = onnx.TensorProto.DOUBLE


def narrow_double(model: onnx.ModelProto) -> int:
    """Narrows the model in place; returns how many tensors, values and casts were of 64 bits."""
    image = any(
        value.type.tensor_type.elem_type == _DOUBLE and len(value.type.tensor_type.shape.dim) == 4
        for value in model.graph.input
    )
    filters = any(tensor.data_type == _DOUBLE and len(tensor.dims) == 4 for tensor in model.graph.initializer)
    return recast(model, (_DOUBLE,)) if image or filters else 0
