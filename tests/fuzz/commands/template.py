"""A network of three classes on pictures of 12 x 16 pixels, which takes no time: plain and compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (12, 16)


def tiny_model() -> onnx.ModelProto:
    """The network."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.standard_normal((4, 3, 3, 3)) / 4,
        "w2": rng.standard_normal((3, 4 * 6 * 8)) / 8,
        "b2": rng.standard_normal(3),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c"], pads=[1, 1, 1, 1], name="first\x1b[2K"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["l"], transB=1),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def make_template(folder: Path) -> None:
    """Write the files that every call finds."""
    from krypton_compile import compile
    from krypton_compile.runtime import Preprocessing

    folder.mkdir()
    onnx.save(tiny_model(), folder / "tiny.onnx")
    compile(folder / "tiny.onnx", folder / "bare.krypton.onnx")
    about = Preprocessing(scale=255.0)
    compile(folder / "tiny.onnx", folder / "tiny.krypton.onnx", preprocessing=about, labels=["cat", "dog", "a third"])
