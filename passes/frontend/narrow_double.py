"""Narrow a float64 network to the float32 network of its rounded weights.

onnxruntime has no convolutions of float64, and the incremental ops are of float32. Scores are exact for the float32
network; from the float64 one they differ by float32's own rounding. Where only some arithmetic is float64 and neither
the image nor scores nor a convolution are, the model stays as it is.
"""

from __future__ import annotations

import onnx

from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.widen_half import recast

_DOUBLE = onnx.TensorProto.DOUBLE


def narrow_double(source: SourceModel) -> int:
    """Narrow the model and note it; return how many tensors, values and casts were of 64 bits."""
    count = recast(source.proto, (_DOUBLE,)) if computes_in_double(source.proto.graph) else 0
    if count:
        source.notes.append(
            "a model of 64 bits: its weights are rounded to float32, in which it is computed; so is its image"
        )
    return count


def computes_in_double(graph: onnx.GraphProto) -> bool:
    """Tell whether the image, the only output or the weights of a convolution are of 64 bits."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    ranks = (3, 4, 5) if len(inputs) > 1 else range(9)
    image = any(
        value.type.tensor_type.elem_type == _DOUBLE and len(value.type.tensor_type.shape.dim) in ranks
        for value in inputs
    )
    scores = len(graph.output) == 1 and graph.output[0].type.tensor_type.elem_type == _DOUBLE
    return image or scores or any(tensor.data_type == _DOUBLE and len(tensor.dims) == 4 for tensor in graph.initializer)
