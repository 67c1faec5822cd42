"""The count behind benchmarks/lib/limits.py against one by brute force."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.lib.limits import measure_limit, model_multiply_adds
from krypton_compile import compile
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.contract.occlude import occlude

MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (float[N, 3, 28, 24] input) => (float[N, 6] output) {
    a = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (input, wa, ba)
    b = Relu (a)
    c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 2> (b, wc, bc)
    d = Relu (c)
    mean = GlobalAveragePool (d)
    flat = Flatten (mean)
    output = Gemm (flat, wg)
}
"""
# The same layers with weights of one: they turn a mask of entries into its number of multiply-adds.
WEIGHTS = {"wa": (8, 3, 3, 3), "wc": (10, 4, 3, 3), "wg": (10, 6)}
# Not zero, or where all is black a base value and its delta cancel up to rounding, which is not zero.
BIASES = {"ba": (8,), "bc": (10,)}


@pytest.fixture
def model():
    parsed = onnx.parser.parse_model(MODEL)
    rng = np.random.default_rng(0)
    for name, shape in {**WEIGHTS, **BIASES}.items():
        parsed.graph.initializer.append(onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    return parsed


def test_the_multiply_adds_on_nonzero_entries(model, tmp_path):
    onnx.save(model, tmp_path / "tiny.onnx")
    compile(tmp_path / "tiny.onnx", tmp_path / "tiny.krypton.onnx")
    image = np.random.default_rng(1).random((1, 3, 28, 24), np.float32)
    baseline = np.zeros_like(image)
    image[..., 20:, :] = 0  # some windows change nothing, others only a part of theirs

    # An entry may cancel to zero on one side and to rounding on the other: hence a thousandth, not equality.
    limit = measure_limit(tmp_path / "tiny.krypton.onnx", tmp_path / "tiny.onnx", image, baseline, sample=1000)

    grid = occlusion_grid((28, 24), (16, 16), (4, 4))
    expected = _brute_force(model, image, occlude(image, grid, baseline, "NCHW"))
    whole = 14 * 12 * 8 * 27 + 14 * 12 * 10 * 36 + 60
    assert model_multiply_adds(tmp_path / "tiny.onnx", image.shape) == whole
    assert limit.positions == limit.windows == len(grid)
    assert limit.a_window * len(grid) == pytest.approx(expected, rel=1e-3)
    assert limit.speed_up == pytest.approx(len(grid) * whole / (whole + expected), rel=1e-3)
    assert all(layer.on_nonzeros <= layer.on_boxes for layer in limit.layers)


def _brute_force(model, image, windows):
    """Entries of each layer's input that differ from the base image's, counted through weights of one."""
    watched = ["input", "b", "flat"]
    for name in watched[1:]:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    base, changed = ([pixels, *session.run(watched[1:], {"input": pixels})] for pixels in (image, windows))
    conv_a, conv_c = (_ones(model, index) for index in (0, 2))
    of_a, of_c, of_gemm = ((there != here).astype(np.float32) for here, there in zip(base, changed, strict=True))
    products = conv_a(of_a).sum(dtype=np.float64), conv_c(of_c).sum(dtype=np.float64), of_gemm.sum() * 6
    return float(sum(products))


def _ones(model, index):
    node = model.graph.node[index]
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", node.input[:2], node.output, **attributes)],
        "ones",
        [onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None)],
        [onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.ones(WEIGHTS[node.input[1]], np.float32), node.input[1])],
    )
    one = onnx.helper.make_model(graph, ir_version=8, opset_imports=model.opset_import)
    session = onnxruntime.InferenceSession(one.SerializeToString())
    return lambda mask: session.run(None, {node.input[0]: mask})[0]
