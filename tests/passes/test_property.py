"""Random small networks, random boxes, random chunks: the compiled file is exact. A failure prints the graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.passes.graphs import compile_and_check, parse

SETTINGS = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass
class Network:
    """Text and weights, grown layer by layer; ``size`` follows the smaller side, so that no map vanishes."""

    text: list[str] = field(default_factory=list)
    weights: dict[str, object] = field(default_factory=dict)
    channels: int = 3
    size: int = 0
    last: str = "x"

    def add(self, op: str, inputs: str = "", channels: int | None = None) -> str:
        name = f"t{len(self.text)}"
        self.text.append(f"{name} = {op}({inputs or self.last})")
        self.last, self.channels = name, channels or self.channels
        return name

    def weight(self, value: object) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = value
        return name


def add_conv(draw: st.DrawFn, net: Network) -> None:
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = draw(st.integers(1, 2))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    pads = [draw(st.integers(0, 2)) for _ in range(4)]
    if net.size + min(pads) < dilation * (max(kernel) - 1) + 3:
        return
    group = draw(st.sampled_from([1, net.channels]))
    maps = group * draw(st.integers(1, 3)) if group > 1 else draw(st.sampled_from([4, 6, 17]))
    attributes = f"strides={list(stride)}, pads={pads}, dilations=[{dilation},{dilation}], group={group}"
    weight = net.weight((maps, net.channels // group, *kernel))
    bias = net.weight((maps,))
    net.add(f"Conv<{attributes}>", f"{net.last}, {weight}, {bias}", maps)
    net.size = (net.size - dilation * (max(kernel) - 1) - 1) // max(stride) + 1


def add_pool(draw: st.DrawFn, net: Network) -> None:
    if net.size < 4:
        return
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    pads = [draw(st.integers(0, 1)) for _ in range(4)]
    extra = f", ceil_mode={draw(st.integers(0, 1))}"
    if op == "AveragePool":
        extra += f", count_include_pad={draw(st.integers(0, 1))}"
    net.add(f"{op}<kernel_shape=[2,3], strides=[2,2], pads={pads}{extra}>")
    net.size = (net.size - 3) // 2 + 1


def add_pointwise(draw: st.DrawFn, net: Network) -> None:
    kind = draw(
        st.sampled_from(
            ["Relu", "Clip", "norm", "LRN", "scale", "shift", "LeakyRelu", "SiLU", "Tanh", "HardSwish", "PRelu"]
        )
    )
    if kind == "Clip":
        low, high = net.weight(np.float32(-0.3)), net.weight(np.float32(0.8))
        net.add("Clip", f"{net.last}, {low}, {high}")
    elif kind == "norm":
        positive = net.weight(np.linspace(0.5, 2, net.channels, dtype=np.float32))
        parts = [positive, net.weight((net.channels,)), net.weight((net.channels,)), positive]
        net.add("BatchNormalization", ", ".join([net.last, *parts]))
    elif kind == "SiLU":
        start = net.last
        net.add("Sigmoid")
        net.add("Mul", f"{start}, {net.last}")
    elif kind == "PRelu":
        net.add("PRelu", f"{net.last}, {net.weight((net.channels, 1, 1))}")
    elif kind == "LRN":
        net.add("LRN<size=3, alpha=0.2>")
    elif kind in ("scale", "shift"):
        net.add("Mul" if kind == "scale" else "Add", f"{net.last}, {net.weight((1, net.channels, 1, 1))}")
    else:
        net.add(kind)


def add_branch(draw: st.DrawFn, net: Network) -> None:
    start, channels = net.last, net.channels
    other = net.add("Conv<pads=[1,1,1,1]>", f"{start}, {net.weight((channels, channels, 3, 3))}")
    if draw(st.booleans()):
        net.add("Relu")
        other = net.last
    if draw(st.booleans()):
        net.add("Add", f"{other}, {start}")
    else:
        net.add("Concat<axis=1>", f"{start}, {other}", 2 * channels)


@st.composite
def networks(draw: st.DrawFn) -> tuple[onnx.ModelProto, str]:
    height, width = draw(st.integers(9, 18)), draw(st.integers(9, 18))
    layout = draw(st.sampled_from(["NCHW", "NHWC"]))
    net = Network(size=min(height, width))
    if layout == "NHWC":
        net.add("Transpose<perm=[0,3,1,2]>")
    add_conv(draw, net)
    for _ in range(draw(st.integers(1, 4))):
        draw(st.sampled_from([add_conv, add_pool, add_pointwise, add_pointwise, add_branch]))(draw, net)
    pooled = net.add("GlobalAveragePool")
    flat = net.add("Flatten", pooled)
    net.text.append(f"y = Gemm({flat}, {net.weight((net.channels, 5))})")
    image = f"float[N,3,{height},{width}] x" if layout == "NCHW" else f"float[N,{height},{width},3] x"
    return parse(" ".join(net.text), image=image, **net.weights), layout


@SETTINGS
@given(networks(), st.integers(1, 7))
def test_random_networks_are_exact(made: tuple[onnx.ModelProto, str], chunk: int) -> None:
    model, layout = made
    note(onnx.printer.to_text(model.graph)[:4000])
    compile_and_check(model, layout, spread=False, chunk=chunk)
