"""The dense side of an op's claim: ordinary ONNX ops in onnxruntime, on full maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from krypton_compile.contract import geometry

OPSET = 19
"""The first whose AveragePool has dilations."""


def run_dense(op: str, inputs: list[np.ndarray], opset: int = OPSET, **attributes: Any) -> np.ndarray:
    """One standard op; the first input is fed, the others are initializers, as a classifier has them."""
    names = [f"i{index}" for index in range(len(inputs))]
    constants = [
        helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.ravel())
        for name, array in zip(names[1:], inputs[1:], strict=True)
    ]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "dense",
        [helper.make_tensor_value_info("i0", TensorProto.FLOAT, inputs[0].shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"i0": inputs[0]})[0]
    return result


def paste(values: np.ndarray, boxes: geometry.Boxes, shape: tuple[int, int]) -> np.ndarray:
    """Deltas as full maps [B, C, H, W], pixel by pixel."""
    full = np.zeros((len(boxes), values.shape[1], *shape), np.float32)
    row = 0
    for position, (y0, x0, h, w) in enumerate(boxes.tolist()):
        for y in range(y0, y0 + h):
            for x in range(x0, x0 + w):
                full[position, :, y, x] = values[row]
                row += 1
    assert row == len(values), f"{len(values)} rows for boxes of {row} pixels"
    return full


def to_base(tensor: np.ndarray) -> np.ndarray:
    """The base map [H, W, C] of a tensor whose first entry is the image's own."""
    return np.ascontiguousarray(tensor[0].transpose(1, 2, 0))
