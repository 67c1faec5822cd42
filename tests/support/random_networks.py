"""Random small networks of the whole vocabulary, for hypothesis: of pictures, signals and volumes.

Numbers stay tame, so that the bound of exactness means something: weights keep the signal's size and biases are small
beside it, what clips leaves most of it, a denominator stays away from 0, a power's base is positive.

More than 400 lines, because the vocabulary is one table, a function an op, and its parts draw from each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import strategies as st

from krypton_compile.contract.layouts import channels_first, channels_last
from tests.support.graphs import ints, parse

OPSET = 20
MOST = 3000
"""Numbers of a map, at most: what grows it further is left out."""


@dataclass
class Network:
    """Text and weights, grown layer by layer from ``last``, a map of ``channels`` and ``sizes``, channels first."""

    sizes: list[int]
    text: list[str] = field(default_factory=list)
    weights: dict[str, object] = field(default_factory=dict)
    channels: int = 3
    last: str = "x"

    @property
    def axes(self) -> int:
        return len(self.sizes)

    def add(self, op: str, inputs: str = "", channels: int | None = None) -> str:
        name = f"t{len(self.text)}"
        self.text.append(f"{name} = {op}({inputs or self.last})")
        self.last, self.channels = name, channels or self.channels
        return name

    def weight(self, value: object) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = value
        return name

    def filters(self, shape: tuple[int, ...]) -> str:
        """Sums of as many terms as one filter has keep the variance of their inputs."""
        rng = np.random.default_rng([len(self.weights), *shape])
        return self.weight((rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))

    def between(self, low: float, high: float, shape: tuple[int, ...]) -> str:
        rng = np.random.default_rng(len(self.weights))
        return self.weight(rng.uniform(low, high, shape).astype(np.float32))

    def bias(self, count: int) -> str:
        return self.between(-0.3, 0.3, (count,))

    def positive(self, value: str = "") -> str:
        """A map in (0.5, 2.5) that moves with ``value``, the last one by default."""
        return self.add("Add", f"{self.add('Tanh', value)}, {self.between(1.5, 1.5, ())}")

    def per_channel(self) -> tuple[int, ...]:
        return (self.channels, *(1,) * self.axes)


Draw = st.DrawFn


def numbers(draw: Draw, count: int, low: int, high: int) -> list[int]:
    return [draw(st.integers(low, high)) for _ in range(count)]


def add_conv(draw: Draw, net: Network) -> None:
    kernel, stride = numbers(draw, net.axes, 1, 4), numbers(draw, net.axes, 1, 2)
    dilation, pads = numbers(draw, net.axes, 1, 2), numbers(draw, 2 * net.axes, 0, 2)
    after = [
        (size + pads[i] + pads[net.axes + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i, size in enumerate(net.sizes)
    ]
    if min(after) < 3:
        return
    group = draw(st.sampled_from([g for g in (1, 1, 2, 3, net.channels) if net.channels % g == 0]))
    maps = group * draw(st.integers(1, 3)) if group > 1 else draw(st.sampled_from([4, 6, 17]))
    attributes = f"strides={stride}, pads={pads}, dilations={dilation}, group={group}"
    weight = net.filters((maps, net.channels // group, *kernel))
    net.add(f"Conv<{attributes}>", f"{net.last}, {weight}, {net.bias(maps)}", maps)
    net.sizes = after
    if draw(st.booleans()):
        add_function(draw, net)


def add_transposed(draw: Draw, net: Network) -> None:
    kernel, stride = numbers(draw, net.axes, 1, 4), numbers(draw, net.axes, 1, 3)
    dilation, pads = numbers(draw, net.axes, 1, 2), numbers(draw, 2 * net.axes, 0, 1)
    extra = [draw(st.integers(0, step - 1)) for step in stride]
    after = [
        stride[i] * (size - 1) + extra[i] + dilation[i] * (kernel[i] - 1) + 1 - pads[i] - pads[net.axes + i]
        for i, size in enumerate(net.sizes)
    ]
    group = draw(st.sampled_from([g for g in (1, 2, net.channels) if net.channels % g == 0]))
    each = draw(st.integers(1, 2)) if group > 1 else draw(st.integers(1, 5))
    if min(after) < 3 or np.prod(after) * group * each > MOST:
        return
    attributes = f"strides={stride}, pads={pads}, dilations={dilation}, output_padding={extra}, group={group}"
    weight = net.filters((net.channels, each, *kernel))
    net.add(f"ConvTranspose<{attributes}>", f"{net.last}, {weight}, {net.bias(group * each)}", group * each)
    net.sizes = after


def add_pool(draw: Draw, net: Network) -> None:
    op = draw(st.sampled_from(["MaxPool", "AveragePool", "LpPool"]))
    kernel, stride = numbers(draw, net.axes, 1, 3), numbers(draw, net.axes, 1, 2)
    pads = [draw(st.integers(0, min(1, k - 1))) for k in kernel * 2]
    ceil = draw(st.integers(0, 1)) if op != "LpPool" else 0
    spare = [size + pads[i] + pads[net.axes + i] - kernel[i] for i, size in enumerate(net.sizes)]
    if min(spare) < 2 * max(stride):
        return
    # A window that would start in the padding behind is one that onnx counts and onnxruntime does not.
    after = [(-(-rest // step) if ceil else rest // step) + 1 for rest, step in zip(spare, stride, strict=True)]
    if ceil and any((n - 1) * stride[i] >= net.sizes[i] + pads[i] for i, n in enumerate(after)):
        return
    extra = f", count_include_pad={draw(st.integers(0, 1))}" if op == "AveragePool" else ""
    if op == "LpPool":
        extra = f", p={draw(st.integers(1, 3))}"
    elif ceil:
        extra += ", ceil_mode=1"
    net.add(f"{op}<kernel_shape={kernel}, strides={stride}, pads={pads}{extra}>")
    net.sizes = after


PLAIN = (
    "Relu LeakyRelu Tanh HardSwish Sigmoid HardSigmoid Elu Selu Celu Softplus Softsign Mish Gelu "
    "Abs Neg Sin Cos Atan Erf"
).split()
POSITIVE = ("Log", "Sqrt", "Reciprocal", "Exp")


def add_pointwise(draw: Draw, net: Network) -> None:
    for _ in range(draw(st.integers(1, 2))):
        add_function(draw, net)


def add_function(draw: Draw, net: Network) -> None:
    kind = draw(st.sampled_from([*PLAIN, *POSITIVE, "Clip", "norm", "LRN", "SiLU", "PRelu"]))
    if kind == "Clip":
        low, high = net.weight(np.float32(draw(st.sampled_from([0, -0.5])))), net.weight(np.float32(3))
        net.add("Clip", f"{net.last}, {low}, {high}")
    elif kind == "norm":
        positive = net.weight(np.linspace(0.5, 2, net.channels, dtype=np.float32))
        parts = [positive, net.bias(net.channels), net.bias(net.channels), positive]
        net.add("BatchNormalization", ", ".join([net.last, *parts]))
    elif kind == "SiLU":
        start = net.last
        net.add("Mul", f"{start}, {net.add('Sigmoid')}")
    elif kind == "PRelu":
        net.add("PRelu", f"{net.last}, {net.between(-0.5, 0.5, net.per_channel())}")
    elif kind == "LRN":
        if net.axes == 2:  # onnxruntime has it for pictures alone
            net.add("LRN<size=3, alpha=0.2>")
    elif kind in POSITIVE:
        net.add("Tanh") if kind == "Exp" else net.positive()
        net.add(kind)
    else:
        net.add(kind)


def add_constant(draw: Draw, net: Network) -> None:
    """A function of the map and of a constant of any shape that broadcasts to it, on either side."""
    op = draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"]))
    full = [1, net.channels, *net.sizes]
    shape = tuple(size if draw(st.booleans()) else 1 for size in full)
    shape = shape[draw(st.integers(0, len(shape))) :]
    constant = net.between(-0.5, 0.5, shape) if op == "Max" else net.between(0.5, 2, shape)
    swapped = draw(st.booleans())
    if op == "Pow" or (op == "Div" and swapped):
        net.positive()
    net.add(op, f"{constant}, {net.last}" if swapped else f"{net.last}, {constant}")


def add_branch(draw: Draw, net: Network) -> None:
    """Two maps, or a map and one of a single channel, joined."""
    start, channels = net.last, net.channels
    joint = draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Concat", "Sum", "Mean"]))
    maps = channels if joint == "Concat" or draw(st.booleans()) else 1
    pads = [1] * 2 * net.axes
    other = net.add(f"Conv<pads={pads}>", f"{start}, {net.filters((maps, channels, *(3,) * net.axes))}")
    if draw(st.booleans()):
        other = net.add(draw(st.sampled_from(["Relu", "Tanh"])))
    if joint == "Concat":
        net.add("Concat<axis=1>", f"{start}, {other}, {start}", 3 * channels)
        return
    first, second = start, other
    if joint == "Mul":
        first = net.add("Tanh", start)
    if joint in ("Div", "Pow"):
        second = net.positive(other)
    if joint == "Pow":
        first = net.positive(first)
    elif joint != "Div" and draw(st.booleans()):
        first, second = second, first
    net.add(joint, f"{first}, {second}" + (f", {start}" if joint in ("Sum", "Mean") else ""), channels)


def add_residual(draw: Draw, net: Network) -> None:
    """A residual block: what one or two convolutions make of the map, and the map or a projection of it."""
    start, channels, pads = net.last, net.channels, [1] * 2 * net.axes
    kernel, point = (3,) * net.axes, (1,) * net.axes
    group = channels if draw(st.booleans()) else 1
    if draw(st.booleans()):
        net.add(f"Conv<pads={pads}>", f"{start}, {net.filters((channels, channels, *kernel))}")
        net.add("Relu")
    main = net.add(
        f"Conv<pads={pads}, group={group}>", f"{net.last}, {net.filters((channels, channels // group, *kernel))}"
    )
    skip = start if draw(st.booleans()) else net.add("Conv", f"{start}, {net.filters((channels, channels, *point))}")
    net.add("Add", f"{main}, {skip}" if draw(st.booleans()) else f"{skip}, {main}", channels)
    if draw(st.booleans()):
        net.add("Relu")


def add_one_channel(draw: Draw, net: Network) -> None:
    """A reduction over channels, and the map divided or multiplied by it."""
    kind = draw(st.sampled_from(["L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Sum", "SumSquare"]))
    start, channels = net.last, net.channels
    net.add(f"Reduce{kind}", f"{net.add('Tanh')}, {net.weight(ints(1))}", 1)
    gate = net.add("Sigmoid")
    if draw(st.booleans()):
        gate = net.add("Expand", f"{gate}, {net.weight(ints(1, channels, *(1,) * net.axes))}")
    if draw(st.booleans()):
        net.add("Mul", f"{start}, {gate}", channels)
    else:
        net.add("Div", f"{start}, {net.add('Add', f'{gate}, {net.between(0.5, 0.5, ())}')}", channels)


def add_softmax(draw: Draw, net: Network) -> None:
    start = net.last
    net.add("Softmax<axis=1>" if draw(st.booleans()) else "LogSoftmax<axis=1>")
    net.add("Add", f"{net.last}, {start}")


def add_channels(draw: Draw, net: Network) -> None:
    kind, last = draw(st.sampled_from(["Slice", "Split", "Gather"])), net.channels - 1
    if last < 2:
        return
    if kind == "Split":
        cut = draw(st.integers(1, last))
        name = f"t{len(net.text)}"
        net.text.append(f"{name}a, {name} = Split<axis=1>({net.last}, {net.weight(ints(cut, last + 1 - cut))})")
        net.last = name
        net.add("Concat<axis=1>", f"{name}, {name}a")
    elif kind == "Gather":
        index = numbers(draw, draw(st.integers(2, 6)), -net.channels, last)
        net.add("Gather<axis=1>", f"{net.last}, {net.weight(ints(*index))}", len(index))
    else:
        start, step = draw(st.integers(0, last - 1)), draw(st.integers(1, 2))
        bounds = [net.weight(ints(value)) for value in (start, 10**6, 1, step)]
        net.add("Slice", ", ".join([net.last, *bounds]), len(range(start, last + 1, step)))


def add_shuffle(draw: Draw, net: Network) -> None:
    """Channels in another order, by Reshapes; and what does nothing."""
    groups = [count for count in range(2, net.channels) if net.channels % count == 0]
    if not groups:
        net.add(draw(st.sampled_from(["Identity", "Dropout"])))
        return
    group = draw(st.sampled_from(groups))
    net.add("Reshape", f"{net.last}, {net.weight(ints(0, group, net.channels // group, *net.sizes))}")
    net.add(f"Transpose<perm={[0, 2, 1, *range(3, 3 + net.axes)]}>")
    net.add("Reshape", f"{net.last}, {net.weight(ints(0, net.channels, *net.sizes))}")
    net.add(draw(st.sampled_from(["Identity", "Dropout"])))


def add_pixels(draw: Draw, net: Network) -> None:
    """Rows, columns or slices chosen."""
    at = draw(st.integers(0, net.axes - 1))
    size = net.sizes[at]
    if draw(st.booleans()):
        index = numbers(draw, draw(st.integers(3, 8)), -size, size - 1)
        net.add(f"Gather<axis={at + 2}>", f"{net.last}, {net.weight(ints(*index))}")
        net.sizes = [*net.sizes[:at], len(index), *net.sizes[at + 1 :]]
        return
    step = draw(st.sampled_from([1, 2, -1, -2]))
    start, end = (draw(st.integers(0, 1)), size) if step > 0 else (size - 1 - draw(st.integers(0, 1)), -(10**6))
    left = len(range(size)[start : None if step < 0 else end : step])
    if left >= 3:
        bounds = [net.weight(ints(value)) for value in (start, end, at + 2, step)]
        net.add("Slice", ", ".join([net.last, *bounds]))
        net.sizes = [*net.sizes[:at], left, *net.sizes[at + 1 :]]


def add_pad(draw: Draw, net: Network) -> None:
    mode = draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    pads = numbers(draw, 2 * net.axes, -1 if mode == "constant" else 0, 2)
    after = [size + pads[i] + pads[net.axes + i] for i, size in enumerate(net.sizes)]
    if min(after) < 3 or min(net.sizes) < 3:
        return
    if draw(st.booleans()):
        chosen = draw(st.sampled_from([0, -2 - net.axes])) + np.arange(2, 2 + net.axes)
        inputs = [net.weight(ints(*pads)), net.between(-1, 1, ()), net.weight(ints(*chosen))]
    else:
        whole = [0, 0, *pads[: net.axes], 0, 0, *pads[net.axes :]]
        inputs = [net.weight(ints(*whole)), net.between(-1, 1, ())]
    net.add(f'Pad<mode="{mode}">', ", ".join([net.last, *inputs]))
    net.sizes = after


def add_blocks(draw: Draw, net: Network) -> None:
    if net.axes != 2:
        return
    if draw(st.booleans()) and net.channels % 4 == 0:
        mode = draw(st.sampled_from(["DCR", "CRD"]))
        net.add(f'DepthToSpace<blocksize=2, mode="{mode}">', channels=net.channels // 4)
        net.sizes = [2 * size for size in net.sizes]
    elif all(size % 2 == 0 and size >= 6 for size in net.sizes):
        net.add("SpaceToDepth<blocksize=2>", channels=4 * net.channels)
        net.sizes = [size // 2 for size in net.sizes]


def add_resize(draw: Draw, net: Network) -> None:
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"] if net.axes == 2 else ["nearest", "linear"]))
    where = draw(st.sampled_from(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]))
    after = [max(3, size + draw(st.integers(-3, 5))) for size in net.sizes]
    if net.channels * np.prod(after) > MOST:
        return
    how = f', nearest_mode="{draw(st.sampled_from(["floor", "round_prefer_floor"]))}"' if mode == "nearest" else ""
    attributes = f'mode="{mode}", coordinate_transformation_mode="{where}"{how}'
    net.add(
        f"Resize<{attributes}>", f'{net.last}, "", "", {net.weight(ints(1, net.channels, *after))}'.replace('""', "")
    )
    net.sizes = after


def add_channels_last(draw: Draw, net: Network) -> None:
    """A stretch between Transposes: a norm of each pixel, a product of matrices, a softmax, a bias."""
    axes = list(range(2, 2 + net.axes))
    net.add(f"Transpose<perm={[0, *axes, 1]}>")
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["norm", "MatMul", "Softmax", "Add", "Relu"]))
        if kind == "norm":
            scale = net.between(0.5, 2, (net.channels,))
            net.add("LayerNormalization<epsilon=0.1>", f"{net.last}, {scale}, {net.bias(net.channels)}")
        elif kind == "MatMul":
            maps = draw(st.integers(2, 6))
            net.add("MatMul", f"{net.last}, {net.between(-1, 1, (net.channels, maps))}", maps)
        elif kind == "Softmax":
            net.add("Softmax<axis=-1>")
        elif kind == "Add":
            net.add("Add", f"{net.last}, {net.between(-1, 1, (net.channels,))}")
        else:
            net.add("Relu")
    net.add(f"Transpose<perm={[0, net.axes + 1, *range(1, net.axes + 1)]}>")


def add_tail(draw: Draw, net: Network) -> None:
    kinds = ["GlobalAveragePool", "GlobalMaxPool", "ReduceSum", "ReduceMax", "ReduceMean", "Flatten"]
    kind, count = draw(st.sampled_from(kinds)), net.channels
    if kind == "Flatten":
        count *= int(np.prod(net.sizes))
    elif kind.startswith("Reduce"):
        kept = draw(st.integers(0, 1))
        net.add(f"{kind}<keepdims={kept}>", f"{net.last}, {net.weight(ints(*range(2, 2 + net.axes)))}")
    else:
        net.add(kind)
    flat = net.add("Flatten")
    weight = np.random.default_rng(count).standard_normal((count, 5)).astype(np.float32) / np.sqrt(count)
    net.text.append(f"y = Gemm({flat}, {net.weight(weight.astype(np.float32))}, {net.bias(5)})")


LAYERS: list[Callable[[Draw, Network], None]] = [
    add_conv,
    add_conv,
    add_transposed,
    add_pool,
    add_pointwise,
    add_pointwise,
    add_constant,
    add_branch,
    add_residual,
    add_one_channel,
    add_softmax,
    add_channels,
    add_shuffle,
    add_pixels,
    add_pad,
    add_pad,
    add_blocks,
    add_resize,
    add_channels_last,
]


@st.composite
def networks(draw: Draw) -> tuple[onnx.ModelProto, str]:
    """A convolution, some layers, a tail; and the layout of the image."""
    axes = draw(st.sampled_from([2, 2, 2, 1, 3]))
    sizes = numbers(draw, axes, 9, 18) if axes < 3 else numbers(draw, 3, 4, 7)
    last = draw(st.booleans())
    net = Network(list(sizes))
    if last:
        net.add(f"Transpose<perm={[0, axes + 1, *range(1, axes + 1)]}>")
    add_conv(draw, net)
    for _ in range(draw(st.integers(1, 7))):
        draw(st.sampled_from(LAYERS))(draw, net)
        if net.channels * np.prod(net.sizes) > MOST:
            break
    add_tail(draw, net)
    shape = ",".join(map(str, [*sizes, 3] if last else [3, *sizes]))
    model = parse(" ".join(net.text), image=f"float[N,{shape}] x", opset=OPSET, **net.weights)
    return model, channels_last(axes) if last else channels_first(axes)
