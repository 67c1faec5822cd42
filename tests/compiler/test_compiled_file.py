"""The compiled file: report, metadata, fused nodes, each weight once, and the same file from every thread."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from krypton_compile import compile
from tests.support.graphs import compile_and_check, parse
from tests.support.small import small_model


def body_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    return list(next(attribute.g for attribute in scan.attribute if attribute.name == "body").node)


def test_the_report_of_a_network_counted_by_hand() -> None:
    # 6x6 image, 3x3 convolution without pads to 4x4, 2 maps of 1 channel; patch 2x2 at stride 2: 9 positions.
    model = parse(
        "c = Conv(x, w) g = GlobalAveragePool(c) y = Flatten(g)",
        image="float[N,1,6,6] x",
        scores="float[N,2] y",
        w=(2, 1, 3, 3),
    )
    _, report = compile(model, patch_size=(2, 2), stride=(2, 2), verify=False)
    conv = report.layers[0]
    # On one axis patches at 0, 2, 4 change the outputs [0,2), [0,4), [2,4): widths 2, 4, 2, which read the patch
    # with 3, 6 and 3 (output, tap) pairs.
    assert report.positions == 9
    assert conv.growth == (4, 4)
    assert conv.multiply_adds == 16 * 9 * 2
    assert conv.incremental_paper == pytest.approx((2 + 4 + 2) ** 2 * 9 * 2 / 9)
    assert conv.incremental_overlap == pytest.approx((3 + 6 + 3) ** 2 * 2 / 9)
    assert report.redundancy_paper == pytest.approx(9 * 16 / 64)
    assert report.redundancy_overlap == pytest.approx(9 * 16 * 9 / 144)


def test_metadata_leads_back_to_the_model() -> None:
    model = parse("c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) g = GlobalAveragePool(r) y = Flatten(g)", w=(5, 3, 3, 3))
    model.graph.node[0].name = "stem"
    compiled, _ = compile(model, verify=False)
    about = json.loads(next(entry.value for entry in compiled.metadata_props if entry.key == "krypton"))
    expected = ("x", "NCHW", [17, 19], ["17x19"])
    assert (about["image"], about["layout"], about["image_shape"], about["layer_groups"]) == expected
    conv = next(node for node in body_nodes(compiled) if node.op_type == "IncrementalConv")
    notes = {entry.key: entry.value for entry in conv.metadata_props}
    assert notes["krypton.source"] == "stem"
    assert notes["krypton.op"] == "Conv"
    assert notes["krypton.growth"] == "17x17"
    assert notes["krypton.layer_group"] == "17x19"
    defaults = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in compiled.graph.initializer}
    assert (defaults["krypton_tau"], defaults["krypton_eps"]) == ([1.0], [0.0])


def test_relu_is_fused_where_nobody_else_reads_the_convolution() -> None:
    tail = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm(f, fw)"
    fused = parse(f"c = Conv(x, w) h = Relu(c) {tail}", w=(8, 3, 3, 3), fw=(8, 5))
    shared = parse(f"c = Conv(x, w) r = Relu(c) h = Add(r, c) {tail}", w=(8, 3, 3, 3), fw=(8, 5))
    for model, clips, activated in ((fused, 0, True), (shared, 1, False)):
        compile_and_check(model)
        nodes = body_nodes(compile(model, verify=False)[0])
        assert sum(node.op_type == "IncrementalClip" for node in nodes) == clips
        assert next(node.input[4] != "" for node in nodes if node.op_type == "IncrementalConv") == activated


SUMS = {
    "a sum": ("d = Conv<pads=[1,1,1,1]>(r, w2) h = Add(r, d)", 1, 0),
    "a sum and its activation": ("d = Conv<pads=[1,1,1,1]>(r, w2) s = Add(d, r) h = Relu(s)", 1, 0),
    "of two convolutions": ("d = Conv<pads=[1,1,1,1]>(r, w2) e = Conv(r, w1) s = Add(e, d) h = Relu(s)", 1, 0),
    "one sum each": ("d = Conv(r, w1) e = Conv<pads=[1,1,1,1]>(r, w2) s = Add(d, e) h = Add(s, r)", 1, 1),
    "a difference": ("d = Conv(r, w1) h = Sub(r, d)", 0, 1),
    "twice the same": ("d = Conv(r, w1) h = Add(d, d)", 0, 1),
    "another reader": ("d = Conv(r, w1) s = Add(d, r) e = Relu(d) h = Add(e, s)", 0, 2),
    "a depthwise convolution": ("d = Conv<group=8, pads=[1,1,1,1]>(r, w3) h = Add(d, r)", 0, 1),
    "groups of two": ("d = Conv<group=4, pads=[1,1,1,1]>(r, w4) h = Add(d, r)", 1, 0),
}


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("kind", SUMS)
def test_sums_are_fused_where_nobody_else_reads_the_convolution(kind: str, target: str) -> None:
    middle, fused, left = SUMS[kind]
    weights = {"w1": (8, 8, 1, 1), "w2": (8, 8, 3, 3), "w3": (8, 1, 3, 3), "w4": (8, 2, 3, 3)}
    model = parse(
        f"c = Conv(x, w) r = Relu(c) {middle} g = GlobalAveragePool(h) f = Flatten(g) y = Gemm(f, fw)",
        w=(8, 3, 3, 3),
        fw=(8, 5),
        **{name: shape for name, shape in weights.items() if f"{name})" in middle},
    )
    compile_and_check(model, target=target)
    compiled, _ = compile(model, verify=False, target=target)
    nodes = body_nodes(compiled) if target == "cpu" else compiled.graph.node
    adding = [node for node in nodes if node.op_type == "IncrementalConv" and node.input[5:6] not in ([], [""])]
    assert len(adding) == fused
    assert sum(node.op_type == "IncrementalAdd" for node in nodes) == left
    if kind == "of two convolutions":  # the one of the larger boxes adds
        assert list(helper.get_node_attr_value(adding[0], "kernel_shape")) == [3, 3]


@pytest.mark.parametrize("transposed", [0, 1])
def test_each_weight_is_stored_once(transposed: int) -> None:
    weight = (64, 2584) if transposed else (2584, 64)
    model = parse(
        "c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) f = Flatten(r) "
        f"g = Gemm<transB={transposed}>(f, w) y = Gemm(g, v)",
        w0=(8, 3, 3, 3),
        w=weight,
        v=(64, 5),
    )
    compile_and_check(model)
    compiled, _ = compile(model, verify=False)
    large = [tensor for tensor in compiled.graph.initializer if np.prod(tensor.dims) > 1000]
    assert sorted(int(np.prod(tensor.dims)) for tensor in large) == [2584 * 64]
    assert compiled.ByteSize() < model.ByteSize() * 1.1
    contents = [
        numpy_helper.to_array(tensor).tobytes() for tensor in compiled.graph.initializer if np.prod(tensor.dims) > 50
    ]
    assert len(contents) == len(set(contents))


def test_threads_that_compile_at_once_get_the_same_file() -> None:
    def compiled(_: int) -> bytes:
        return compile(small_model(), verify=False)[0].SerializeToString()

    alone, interval = compiled(0), sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-6)  # threads change places all the time
        with ThreadPoolExecutor(4) as pool:
            together = set(pool.map(compiled, range(12)))
    finally:
        sys.setswitchinterval(interval)
    assert together == {alone}
