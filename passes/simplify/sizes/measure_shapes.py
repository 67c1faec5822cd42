"""Measure the shapes that onnx's shape inference does not know, by running the model in onnxruntime.

Before: a canonical graph; outputs of ops that are not ONNX's (com.microsoft), of loops and of unusual shape arithmetic
may have no static shape. After: they have the type and shape that two random images gave them, if both gave the same.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from krypton_compile.errors import ModelError
from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.interface import find_image
from krypton_compile.passes.shapes import has_static_shape, static_shape


def measure_shapes(model: ir.Model) -> int:
    """Give values without a static shape the one that they have when the model runs; return how many got one.

    Raises:
        ModelError: if there are such values, and onnxruntime does not run the model.
    """
    image = find_image(model.graph, None)
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
        runs = [session.run(list(unknown), {str(image.name): picture}) for picture in images]
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise ModelError(f"the model does not run in onnxruntime: {error}") from error
    measured = 0
    for value, *results in zip(unknown.values(), *runs, strict=True):
        arrays = [result for result in results if isinstance(result, np.ndarray)]
        if len(arrays) == 2 and arrays[0].shape == arrays[1].shape:
            value.shape, value.type = ir.Shape(arrays[0].shape), ir.TensorType(ir.DataType.from_numpy(arrays[0].dtype))
            measured += 1
    return measured
