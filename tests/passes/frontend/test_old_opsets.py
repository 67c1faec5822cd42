"""Graphs of opset 7 and newer: as old exporters wrote them, and as torch's TorchScript exporter still does."""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import pytest

from krypton_compile import compile
from krypton_compile.errors import ModelError
from tests.support.graphs import compile_and_check, floats, ints, parse

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw, fb)"
NORM = {
    "s": np.linspace(0.5, 2, 8, dtype=np.float32),
    "b": (8,),
    "m": (8,),
    "v": np.linspace(0.1, 3, 8, dtype=np.float32),
}
OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)


def old(opset: int, middle: str, **weights) -> onnx.ModelProto:
    body = f"c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) {middle} {HEAD}"
    return parse(body, opset=opset, w0=(8, 3, 3, 3), fw=(5, 8), fb=(5,), **weights)


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset(opset: int) -> None:
    middle = "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) n = BatchNormalization(p, s, b, m, v) h = Add(n, p)"
    try:
        report = compile_and_check(old(opset, middle, **NORM))
    except Exception as error:
        if "till opset" in str(error):
            pytest.skip(f"this onnxruntime does not know opset {opset}")
        raise
    assert {layer.became for layer in report.layers if "class vector" not in layer.reason} == {"incremental"}


NODES = {
    "Dropout with a ratio": (7, "h = Dropout<ratio=0.5>(r)", {}),
    "BatchNormalization, spatial": (7, "h = BatchNormalization<spatial=1>(c, s, b, m, v)", NORM),
    "Clip by attributes": (7, "h = Clip<min=0.0, max=0.6>(c)", {}),
    "Pad by attributes": (
        7,
        'p = Pad<mode="constant", pads=[0,0,1,2,0,0,1,0], value=0.0>(r) h = Conv(p, w1)',
        {"w1": (8, 8, 3, 3)},
    ),
    "Reshape by a constant": (7, "k = Constant<value = int64[4] {1,8,17,19}>() h = Reshape(r, k)", {}),
    "Slice by attributes": (7, "a = Slice<axes=[1], starts=[2], ends=[6]>(r) h = Concat<axis=1>(a, a)", {}),
    "Slice of the first axes": (9, "a = Slice<starts=[0,2], ends=[1,6]>(r) h = Concat<axis=1>(a, a)", {}),
    "Split by attributes": (7, "a, d = Split<axis=1, split=[3,5]>(r) h = Concat<axis=1>(d, a)", {}),
    "Add that broadcasts": (7, "h = Add(k, r)", {"k": (8, 1, 1)}),
    "Sum": (8, "d = Conv<pads=[1,1,1,1]>(r, w1) h = Sum(r, d)", {"w1": (8, 8, 3, 3)}),
    "AveragePool": (7, "h = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r)", {}),
    "PRelu": (7, "h = PRelu(c, k)", {"k": (8, 1, 1)}),
}


@pytest.mark.parametrize("kind", NODES)
def test_old_nodes_are_incremental(kind: str) -> None:
    opset, middle, weights = NODES[kind]
    report = compile_and_check(old(opset, middle, **weights))
    assert {layer.became for layer in report.layers if "class vector" not in layer.reason} == {"incremental"}


RESIZED = {
    "Upsample, nearest": (7, 'h = Upsample<mode="nearest", scales=[1.0,1.0,2.0,2.0]>(r)', None),
    "Upsample, linear": (9, 'h = Upsample<mode="linear">(r, k)', (2, 3)),
    "Resize, nearest, larger": (10, 'h = Resize<mode="nearest">(r, k)', (1.5, 2)),
    "Resize, nearest, smaller": (10, 'h = Resize<mode="nearest">(r, k)', (0.6, 0.5)),
    "Resize, linear": (10, 'h = Resize<mode="linear">(r, k)', (1.5, 2)),
}


@pytest.mark.parametrize("kind", RESIZED)
def test_old_resizes_keep_their_coordinates(kind: str) -> None:
    """Opset 10 had no modes; what newer ones take when none is given is something else."""
    opset, middle, scales = RESIZED[kind]
    weights = {} if scales is None else {"k": floats(1, 1, *scales)}
    assert compile_and_check(old(opset, middle, **weights)).incremental_share == 1


OLD_HEADS = {
    "Squeeze": "q = Squeeze<axes=[2,3]>(g)",
    "shape arithmetic": (
        "e = Shape(g) z = Constant<value = int64 {0}>() n = Gather<axis=0>(e, z) u = Unsqueeze<axes=[0]>(n) "
        "o = Constant<value = int64[1] {-1}>() t = Concat<axis=0>(u, o) q = Reshape(g, t)"
    ),
    "Dropout": "e = Flatten(g) q = Dropout<ratio=0.5>(e)",
}


@pytest.mark.parametrize("kind", OLD_HEADS)
def test_old_heads(kind: str) -> None:
    body = f"c = Conv(x, w0) r = Relu(c) g = GlobalAveragePool(r) {OLD_HEADS[kind]} l = Gemm<transB=1>(q, fw, fb) "
    model = parse(f"{body} y = Softmax(l)", opset=9, w0=(8, 3, 3, 3), fw=(5, 8), fb=(5,))
    assert compile_and_check(model).incremental_share == 1


def test_opsets_that_onnxruntime_does_not_run_are_refused() -> None:
    with pytest.raises(ModelError, match=r"opset 6: expected 7 or newer.*Export it again"):
        compile(old(6, "h = Relu(r)"))


def test_old_training_mode_is_refused() -> None:
    with pytest.raises(ModelError, match=r"BatchNormalization.*training mode.*eval mode"):
        compile(old(8, "n, o1, o2, o3, o4 = BatchNormalization(c, s, b, m, v) h = Relu(n)", **NORM))


def torch_network(kind: str):
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.conv(x) + x)
            return torch.cat([y, x], 1) if kind == "concat" else y

    torch.manual_seed(0)
    width = 16 if kind == "concat" else 8
    tails = {
        "adaptive": [nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(), nn.Linear(width, 5)],
        "concat": [nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5), nn.Softmax(1)],
        "flatten": [nn.AvgPool2d(4), nn.Flatten(), nn.Linear(width * 4 * 5, 5)],
        "fully convolutional": [nn.Conv2d(width, 5, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    }
    stem = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.LeakyReLU(0.1)]
    network = nn.Sequential(*stem, Block(), *tails[kind])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as if trained
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.2, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("kind", ["adaptive", "concat", "flatten", "fully convolutional"])
@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17])
def test_exports_of_torchscript(kind: str, opset: int) -> None:
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            torch_network(kind),
            torch.zeros(1, 3, 17, 20),
            buffer,
            dynamo=False,
            opset_version=opset,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )
    report = compile_and_check(onnx.load_from_string(buffer.getvalue()))
    assert report.incremental_share == 1
    assert not [layer.op for layer in report.layers if layer.op == "BatchNormalization"]


def test_a_slice_that_takes_all_of_the_other_axes_is_one_of_channels() -> None:
    """TensorFlow's strided slices name every axis."""
    bounds = {"s": ints(0, 2, 0, 0), "e": ints(1, 6, 2**31 - 1, 19), "k": ints(0, 1, 2, 3)}
    report = compile_and_check(old(13, "a = Slice(r, s, e, k) h = Concat<axis=1>(a, a)", **bounds))
    assert {layer.became for layer in report.layers if layer.op == "Slice"} == {"incremental"}
