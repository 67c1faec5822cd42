"""Files that onnxruntime has optimised: what it fused is taken apart again, and stays incremental and exact."""

from __future__ import annotations

import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from krypton_compile.errors import ModelError
from krypton_compile.passes.simplify.unfuse import nchwc
from tests.support.graphs import became, compile_and_check, dense, floats, ints, parse

LEVELS = ["ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_LAYOUT", "ORT_ENABLE_ALL"]
TAIL = "p = GlobalAveragePool (m) q = Flatten (p) y = Gemm <transB = 1> (q, wz)"

ACTIVATIONS = [
    "Relu (a)",
    "LeakyRelu <alpha = 0.2> (a)",
    "Sigmoid (a)",
    "Tanh (a)",
    "HardSigmoid <alpha = 0.3, beta = 0.4> (a)",
    "Clip (a, low, high)",
]


def optimised(model: onnx.ModelProto, level: str, folder) -> onnx.ModelProto:
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(folder / f"{level}.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def domains(model: onnx.ModelProto) -> set[str]:
    return {node.domain for node in model.graph.node} - {""}


@pytest.mark.parametrize("level", [level for level in LEVELS if hasattr(ort.GraphOptimizationLevel, level)])
@pytest.mark.parametrize("channels", [8, 20, 32])
def test_an_optimised_file_is_as_incremental_as_its_original(level, channels, tmp_path):
    c = channels
    model = parse(
        """
        a = Conv <pads = [1, 1, 1, 1]> (x, wa, ba)
        b = Relu (a)
        c = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (b)
        d = Conv <pads = [1, 1, 1, 1]> (c, wd)
        e = Add (d, c)
        f = Relu (e)
        g = Conv <group = 4> (f, wg, ba)
        h = HardSigmoid (g)
        i = Resize <coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (h, , scales)
        j = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (i)
        k = Conv (j, wk)
        l = Sigmoid (k)
        l2 = Mul (k, l)
        m = Conv (l2, wm, ba)
        """
        + TAIL,
        image="float[1,3,17,19] x",
        scores="float[1,5] y",
        wa=(c, 3, 3, 3),
        ba=(c,),
        wd=(c, c, 3, 3),
        wg=(c, c // 4, 3, 3),
        wk=(12, c, 1, 1),
        wm=(c, 12, 1, 1),
        wz=(5, c),
        scales=floats(1, 1, 2, 2),
    )
    file = optimised(model, level, tmp_path)
    assert domains(file) or level == "ORT_ENABLE_BASIC"
    assert not dense(compile_and_check(file))


@pytest.mark.parametrize("block", [8, 16])
def test_filters_come_back_from_their_blocks(block, monkeypatch):
    import numpy as np

    monkeypatch.setattr(nchwc, "block_size", lambda: block)
    filters = np.arange(32 * 16 * 2 * 3, dtype=np.float32).reshape(32, 16, 2, 3)
    blocked = np.empty(filters.size, np.float32)
    place = iter(range(filters.size))
    for o in range(0, 32, block):  # as the format is described: blocks of outputs, blocks of inputs, taps, inside
        for i in range(0, 16, block):
            for y, x in np.ndindex(2, 3):
                for inner in range(block):
                    for outer in range(block):
                        blocked[next(place)] = filters[o + outer, i + inner, y, x]
    assert (nchwc._unblock_filters(blocked.reshape(filters.shape)) == filters).all()


def test_a_file_for_another_processor_says_so():
    node = helper.make_node("ReorderInput", ["x"], ["m"], domain=nchwc.NCHWC, name="order", channels_last=7)
    model = parse(f"{TAIL}", image="float[1,16,9,9] x", scores="float[1,5] y", wz=(5, 16))
    model.graph.node.insert(0, node)
    model.graph.node.insert(1, helper.make_node("Conv", ["m", "x"], ["n"], domain=nchwc.NCHWC))
    model.opset_import.append(helper.make_opsetid(nchwc.NCHWC, 1))
    with pytest.raises(ModelError, match=r"compile the model that it was made from"):
        compile_and_check(model)


def fused(op: str, inputs: str, opset: int, **attributes) -> onnx.ModelProto:
    """The map of a convolution, channels last, and a contrib op on it; of those that know sequences alone, on one."""
    shape = (1, 255, 6) if op.startswith("Skip") else (1, 15, 17, 6)
    model = parse(
        "a0 = Conv (x, wa) a1 = Transpose <perm = [0, 2, 3, 1]> (a0) a = Reshape (a1, sequence)"
        "b0 = Conv (x, wb) b1 = Transpose <perm = [0, 2, 3, 1]> (b0) b = Reshape (b1, sequence)"
        "f = Identity (a) n1 = Reshape (f, map) n = Transpose <perm = [0, 3, 1, 2]> (n1) m = Conv (n, wm)" + TAIL,
        sequence=ints(*shape),
        map=ints(1, 15, 17, 6),
        opset=opset,
        wa=(6, 3, 3, 3),
        wb=(6, 3, 3, 3),
        wm=(8, 6, 1, 1),
        wz=(5, 8),
        bias=(6,),
        gamma=(6,),
        beta=(6,),
    )
    place = next(index for index, node in enumerate(model.graph.node) if node.op_type == "Identity")
    domain = "" if op == "SimplifiedLayerNormalization" else "com.microsoft"
    model.graph.node[place].CopyFrom(
        helper.make_node(op, [name.strip() for name in inputs.split(",")], ["f"], domain=domain, **attributes)
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("Gelu", "a", {}),
        ("BiasGelu", "a, bias", {}),
        ("FastGelu", "a", {}),
        ("FastGelu", "a, bias", {}),
        ("QuickGelu", "a", {"alpha": 1.702}),
        ("QuickGelu", "a", {"alpha": 1.0}),
        ("SkipLayerNormalization", "a, b, gamma, beta, bias", {"epsilon": 1e-3}),
        ("SkipLayerNormalization", "a, b, gamma", {"epsilon": 1e-3}),
        ("SkipSimplifiedLayerNormalization", "a, b, gamma, bias", {"epsilon": 1e-3}),
        ("FusedMatMul", "a, square", {"alpha": 0.5, "transB": 1}),
    ],
)
def test_functions_and_norms_are_taken_apart(op, inputs, attributes, opset):
    model = fused(op, inputs, opset, **attributes)
    if "square" in inputs:
        model.graph.initializer.extend(parse("y = Identity (x)", square=(6, 6)).graph.initializer)
    report = compile_and_check(model)
    assert not became(report, op) or (op, opset) == ("Gelu", 20)
    assert not dense(report) or op.startswith("Skip")


@given(
    activation=st.sampled_from(ACTIVATIONS),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    added=st.booleans(),
    level=st.sampled_from(["ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"]),
)
@settings(max_examples=12, deadline=None)
def test_any_convolution_with_its_function(tmp_path_factory, activation, kernel, stride, added, level):
    body = f"a1 = Conv <strides = [{stride}, {stride}]> (x, wa, ba)"
    body += f"a2 = Conv <strides = [{stride}, {stride}]> (x, wb) a = Add (a1, a2)" if added else "a = Identity (a1)"
    model = parse(
        f"{body} m0 = {activation} m = Conv (m0, wm) {TAIL}",
        image="float[1,3,17,19] x",
        scores="float[1,5] y",
        wa=(16, 3, kernel, kernel),
        wb=(16, 3, kernel, kernel),
        ba=(16,),
        wm=(8, 16, 1, 1),
        wz=(5, 8),
        low=floats(-0.5).reshape(()),
        high=floats(0.7).reshape(()),
    )
    file = optimised(model, level, tmp_path_factory.mktemp("optimised"))
    assert not dense(compile_and_check(file))


def test_a_gemm_is_taken_apart(tmp_path):
    model = parse(
        "a = Conv (x, wa) f = GlobalAveragePool (a) g = Flatten (f) h = Gemm <transB = 1> (g, wh, bh)"
        "i = LeakyRelu <alpha = 0.3> (h) y = Gemm <transB = 1> (i, wz)",
        image="float[1,3,17,19] x",
        scores="float[1,5] y",
        wa=(8, 3, 3, 3),
        wh=(7, 8),
        bh=(7,),
        wz=(5, 7),
    )
    file = optimised(model, "ORT_ENABLE_EXTENDED", tmp_path)
    assert "FusedGemm" in {node.op_type for node in file.graph.node}
    report = compile_and_check(file)
    assert not became(report, "FusedGemm")
    assert became(report, "LeakyRelu")
