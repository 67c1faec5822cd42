"""Measure shapes: what onnx's shape inference does not know, onnxruntime says by running the model once.

Before: a canonical graph; outputs of ops that are not ONNX's (com.microsoft), of loops and of unusual shape arithmetic
may have no static shape. After: they have the type and shape that two random images gave them, if both gave the same.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from krypton_compile.errors import ModelError
from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.interface import has_static_shape, static_shape


def measure_shapes(model: ir.Model, image: ir.Value) -> int:
    """Returns how many values got a shape.

    Raises:
        ModelError: onnxruntime does not run the model.
    """
    unknown = {
        str(value.name): value
        for node in model.graph
        for value in node.outputs
        if value.name and not (has_static_shape(value) and value.dtype is not None)
    }
    if not unknown:
        return 0
    proto = ir.to_proto(model)
    listed = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in unknown if name not in listed)
    rng = np.random.default_rng(0)
    images = [rng.uniform(0, 1, static_shape(image)).astype(np.float32) for _ in range(2)]
    try:
        session = open_session(proto)
        runs = [session.run(list(unknown), {str(image.name): one}) for one in images]
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise ModelError(f"the model does not run in onnxruntime: {error}") from error
    measured = 0
    for value, *found in zip(unknown.values(), *runs, strict=True):
        arrays = [one for one in found if isinstance(one, np.ndarray)]
        if len(arrays) == 2 and arrays[0].shape == arrays[1].shape:
            value.shape, value.type = ir.Shape(arrays[0].shape), ir.TensorType(ir.DataType.from_numpy(arrays[0].dtype))
            measured += 1
    return measured
