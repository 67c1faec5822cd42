"""Signals and volumes: every rule that holds for pictures holds for them, and what has none is dense and exact."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from krypton_compile import Report, compile
from krypton_compile.errors import ModelError
from tests.support import graphs
from tests.support.field_networks import c3d, ecg_resnet, resnet18_3d
from tests.support.graphs import became, compile_and_check, floats, ints, parse, reasons

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw, fb)"
SIGNAL, VOLUME = "float[N,3,41] x", "float[N,3,7,9,10] x"
KERNEL = {SIGNAL: (3,), VOLUME: (3, 3, 3)}
PADS = {SIGNAL: "[1,1]", VOLUME: "[1,1,1,1,1,1]"}


def network(image: str, middle: str, channels: int = 8, **weights) -> onnx.ModelProto:
    """Conv, Relu, the nodes under test from ``r`` to ``h``, and a head."""
    body = f"c = Conv<pads={PADS[image]}>(x, w0, b0) r = Relu(c) {middle} {HEAD}"
    first = (8, 3, *KERNEL[image])
    return parse(body, image=image, w0=first, b0=(8,), fw=(5, channels), fb=(5,), **weights)


def layout(image: str) -> str:
    return "NCL" if image == SIGNAL else "NCDHW"


CONVS = {
    "signal": (SIGNAL, "pads=[1,1]", (6, 8, 3)),
    "signal wide": (SIGNAL, "pads=[7,7]", (6, 8, 15)),
    "signal even stride": (SIGNAL, "strides=[2], pads=[1,2]", (6, 8, 4)),
    "signal stride over kernel": (SIGNAL, "strides=[3]", (6, 8, 2)),
    "signal dilated": (SIGNAL, "dilations=[3], pads=[3,3]", (6, 8, 3)),
    "signal grouped": (SIGNAL, "group=4, pads=[1,1]", (12, 2, 3)),
    "signal depthwise": (SIGNAL, "group=8, pads=[2,2]", (8, 1, 5)),
    "signal same upper": (SIGNAL, 'auto_pad="SAME_UPPER", strides=[2]', (6, 8, 4)),
    "signal 1": (SIGNAL, "strides=[1]", (6, 8, 1)),
    "volume": (VOLUME, "pads=[1,1,1,1,1,1]", (6, 8, 3, 3, 3)),
    "volume uneven": (VOLUME, "pads=[2,0,1,1,2,0]", (6, 8, 4, 3, 2)),
    "volume stride 2": (VOLUME, "strides=[2,2,2], pads=[1,1,1,1,1,1]", (6, 8, 3, 3, 3)),
    "volume downsample": (VOLUME, "strides=[2,2,2]", (6, 8, 1, 1, 1)),
    "volume of slices": (VOLUME, "pads=[0,1,1,0,1,1]", (6, 8, 1, 3, 3)),
    "volume along slices": (VOLUME, "pads=[1,0,0,1,0,0]", (6, 8, 3, 1, 1)),
    "volume pads of slices": (VOLUME, "pads=[1,0,0,2,0,0]", (6, 8, 1, 1, 1)),
    "volume stride over kernel": (VOLUME, "strides=[3,3,3]", (6, 8, 2, 2, 2)),
    "volume dilated": (VOLUME, "dilations=[2,1,3], pads=[2,1,3,2,1,3]", (6, 8, 3, 3, 3)),
    "volume grouped": (VOLUME, "group=4, pads=[1,1,1,1,1,1]", (12, 2, 3, 3, 3)),
    "volume depthwise": (VOLUME, "group=8, pads=[1,1,1,1,1,1]", (8, 1, 3, 3, 3)),
    "volume depthwise of slices": (VOLUME, "group=8, pads=[0,1,1,0,1,1]", (8, 1, 1, 3, 3)),
    "volume same lower": (VOLUME, 'auto_pad="SAME_LOWER", strides=[2,2,3]', (6, 8, 4, 3, 4)),
    "volume valid": (VOLUME, 'auto_pad="VALID"', (6, 8, 3, 3, 3)),
    "volume to one slice": (VOLUME, "pads=[0,1,1,0,1,1]", (6, 8, 7, 3, 3)),
    "volume 1": (VOLUME, "strides=[1,1,1]", (33, 8, 1, 1, 1)),
}


@pytest.mark.parametrize(
    "attributes",
    ["strides=[3], pads=[1,2], output_padding=[1]", "dilations=[2], group=4", 'strides=[2], auto_pad="SAME_UPPER"'],
)
def test_transposed_convolutions_of_signals(attributes: str) -> None:
    maps = 3 if "group" in attributes else 6
    channels = 12 if "group" in attributes else 6
    model = network(SIGNAL, f"d = ConvTranspose<{attributes}>(r, w1) h = Relu(d)", channels, w1=(8, maps, 4))
    assert became(compile_and_check(model, layout(SIGNAL)), "ConvTranspose") == {"incremental"}


@pytest.mark.parametrize("kind", CONVS)
def test_conv(kind: str) -> None:
    image, attributes, shape = CONVS[kind]
    model = network(image, f"d = Conv<{attributes}>(r, w1) h = Relu(d)", shape[0], w1=shape)
    assert became(compile_and_check(model, layout(image)), "Conv") == {"incremental"}


POOLS = {
    "signal max": (SIGNAL, "MaxPool<kernel_shape=[2], strides=[2]>"),
    "signal max padded": (SIGNAL, "MaxPool<kernel_shape=[3], strides=[2], pads=[1,1], ceil_mode=1>"),
    "signal average": (SIGNAL, "AveragePool<kernel_shape=[3], pads=[1,1]>"),
    "signal average count pads": (
        SIGNAL,
        "AveragePool<kernel_shape=[4], strides=[2], pads=[0,3], count_include_pad=1>",
    ),
    "volume max": (VOLUME, "MaxPool<kernel_shape=[2,2,2], strides=[2,2,2]>"),
    "volume max of slices": (VOLUME, "MaxPool<kernel_shape=[1,2,2], strides=[1,2,2]>"),
    "volume max along slices": (VOLUME, "MaxPool<kernel_shape=[3,1,1], strides=[2,1,1], pads=[1,0,0,0,0,0]>"),
    "volume max padded": (VOLUME, "MaxPool<kernel_shape=[3,3,3], strides=[2,2,2], pads=[1,1,1,1,1,1]>"),
    "volume max ceil": (VOLUME, "MaxPool<kernel_shape=[2,3,3], strides=[2,2,2], ceil_mode=1>"),
    "volume max dilated": (VOLUME, "MaxPool<kernel_shape=[2,2,3], dilations=[3,2,2]>"),
    "volume average": (VOLUME, "AveragePool<kernel_shape=[3,3,3], pads=[1,1,1,1,1,1]>"),
    "volume average ceil": (VOLUME, "AveragePool<kernel_shape=[2,3,3], strides=[2,2,2], ceil_mode=1>"),
    "volume average count pads": (
        VOLUME,
        "AveragePool<kernel_shape=[3,2,3], strides=[2,1,2], pads=[2,0,1,1,1,2], count_include_pad=1>",
    ),
    "volume average same": (VOLUME, 'AveragePool<kernel_shape=[2,3,3], strides=[2,2,2], auto_pad="SAME_UPPER">'),
    "signal lp": (SIGNAL, "LpPool<kernel_shape=[4], strides=[2], pads=[0,3], p=3>"),
    "volume lp": (VOLUME, "LpPool<kernel_shape=[3,2,3], strides=[2,1,2], pads=[2,0,1,1,1,2], p=3>"),
    "volume lp along slices": (VOLUME, "LpPool<kernel_shape=[3,1,1], strides=[2,1,1], p=1>"),
}


@pytest.mark.parametrize("kind", POOLS)
def test_pools(kind: str) -> None:
    image, pool = POOLS[kind]
    report = compile_and_check(network(image, f"h = {pool}(r)"), layout(image))
    assert became(report, pool.split("<", maxsplit=1)[0]) == {"incremental"}


def per_channel(image: str) -> tuple[int, ...]:
    return (1, 8, *(1,) * len(KERNEL[image]))


NORM = {"s": np.linspace(0.5, 2, 8, dtype=np.float32), "v": np.linspace(0.1, 3, 8, dtype=np.float32)}
SAME = {
    "clip": ("h = Clip(c, lo, hi)", {"lo": np.float32(0), "hi": np.float32(0.6)}),
    "norm": ("h = BatchNormalization(r, s, b, m, v)", {"b": (8,), "m": (8,), **NORM}),
    "constants": ("a = Add(r, k) d = Mul(a, j) e = Div(d, k) h = Sub(k, e)", {"k": floats(0.5), "j": per_channel}),
    "tanh": ("h = Tanh(c)", {}),
    "silu": ("s = Sigmoid(c) h = Mul(c, s)", {}),
    "leaky": ("h = LeakyRelu<alpha=0.2>(c)", {}),
    "prelu": ("h = PRelu(c, k)", {"k": lambda image: per_channel(image)[1:]}),
    "a map by a map": ("s = Sigmoid(r) h = Mul(c, s)", {}),
    "concat": ("d = Conv<pads=PADS>(r, w1) h = Concat<axis=1>(d, r, d)", {"w1": lambda image: (4, 8, *KERNEL[image])}),
    "residual": ("d = Conv<pads=PADS>(r, w1) a = Add(d, r) h = Relu(a)", {"w1": lambda image: (8, 8, *KERNEL[image])}),
    "difference": ("d = Conv<pads=PADS>(r, w1) h = Sub(r, d)", {"w1": lambda image: (8, 8, *KERNEL[image])}),
    "split": ("a, b = Split<axis=1>(r, z) h = Concat<axis=1>(b, a)", {"z": ints(3, 5)}),
    "gather": ("h = Gather<axis=1>(r, i)", {"i": ints(3, 1, 2, 0, -1, 6, 5, 4)}),
    "slice": ("a = Slice(r, s, e, k) h = Concat<axis=1>(a, a)", {"s": ints(2), "e": ints(6), "k": ints(1)}),
    "identity": ("i = Identity(r) h = Dropout(i)", {}),
    "sine": ("h = Sin(c)", {}),
    "max": ("h = Max(r, c)", {}),
    "max of channels": ("h = Max(c, k)", {"k": per_channel}),
    "softmax": ("s = Softmax<axis=1>(c) h = Mul(s, c)", {}),
    "one channel": ("a = ReduceL2<axes=[1]>(r) q = Add(a, k) h = Div(r, q)", {"k": floats(1)}),
}
"""Middles, and weights that are given or made for an image."""


def only_class_vectors_are_dense(report: Report) -> bool:
    return all("class vector" in layer.reason for layer in report.layers if layer.became == "dense")


@pytest.mark.parametrize("image", [SIGNAL, VOLUME])
@pytest.mark.parametrize("kind", SAME)
def test_what_treats_pixels_alike(kind: str, image: str) -> None:
    middle, given = SAME[kind]
    weights = {name: value(image) if callable(value) else value for name, value in given.items()}
    model = network(image, middle.replace("PADS", PADS[image]), 16 if kind == "concat" else 8, **weights)
    assert only_class_vectors_are_dense(compile_and_check(model, layout(image)))


LAST = {SIGNAL: "t = Transpose<perm=[0,2,1]>(r)", VOLUME: "t = Transpose<perm=[0,2,3,4,1]>(r)"}
FIRST = {SIGNAL: "h = Transpose<perm=[0,2,1]>(u)", VOLUME: "h = Transpose<perm=[0,4,1,2,3]>(u)"}
CHANNELS_LAST = {
    "there and back": ("u = Relu(t)", {}),
    "layer norm": ("u = LayerNormalization<epsilon=0.01>(t, s, b)", {"s": NORM["s"], "b": (8,)}),
    "products of pixels": (
        "m = MatMul(t, w1) a = Add(m, b) q = Relu(a) u = MatMul(q, w2)",
        {"w1": (8, 12), "b": (12,), "w2": (12, 8)},
    ),
    "per channel": ("a = Mul(t, s) u = Add(a, b)", {"s": NORM["s"], "b": (8,)}),
}


@pytest.mark.parametrize("image", [SIGNAL, VOLUME])
@pytest.mark.parametrize("kind", CHANNELS_LAST)
def test_channels_last(kind: str, image: str) -> None:
    middle, weights = CHANNELS_LAST[kind]
    model = network(image, f"{LAST[image]} {middle} {FIRST[image]}", **weights)
    assert only_class_vectors_are_dense(compile_and_check(model, layout(image)))


@pytest.mark.parametrize(
    ("image", "pads"),
    [
        (SIGNAL, (0, 0, 2, 0, 0, 1)),
        (SIGNAL, (0, 0, -3, 0, 0, 2)),
        (VOLUME, (0, 0, 0, 1, 2, 0, 0, 0, 1, 0)),
        (VOLUME, (0, 0, 2, 1, 0, 0, 0, 1, 0, 1)),
        (VOLUME, (0, 0, -2, 1, 0, 0, 0, 1, -1, 1)),
        (VOLUME, (0, 0, 1, 0, 0, 0, 0, -3, 0, 0)),
    ],
)
def test_pads(image: str, pads: tuple[int, ...]) -> None:
    weights = {"pads": ints(*pads), "v": np.float32(0.7), "w1": (8, 8, *KERNEL[image])}
    report = compile_and_check(network(image, "p = Pad(r, pads, v) h = Conv(p, w1)", **weights), layout(image))
    assert only_class_vectors_are_dense(report)


TAILS = {
    "signal gemm": (SIGNAL, "f = Flatten(r) y = Gemm(f, w, b)", {"w": (328, 5), "b": (5,)}),
    "signal matmul": (SIGNAL, "f = Reshape(r, s) y = MatMul(f, w)", {"s": ints(-1, 328), "w": (328, 5)}),
    "signal mean": (SIGNAL, "m = ReduceMean<axes=[2], keepdims=0>(r) y = Gemm(m, w)", {"w": (8, 5)}),
    "signal mean, channels last": (
        SIGNAL,
        f"{LAST[SIGNAL]} m = ReduceMean<axes=[-2], keepdims=0>(t) y = Gemm(m, w)",
        {"w": (8, 5)},
    ),
    "signal maximum": (SIGNAL, "m = GlobalMaxPool(r) f = Flatten(m) y = Gemm(f, w)", {"w": (8, 5)}),
    "volume maximum": (VOLUME, "m = ReduceMax<axes=[2,3,4], keepdims=0>(r) y = Gemm(m, w)", {"w": (8, 5)}),
    "volume gemm": (VOLUME, "f = Flatten(r) y = Gemm(f, w, b)", {"w": (5040, 5), "b": (5,)}),
    "volume gemm transposed": (VOLUME, "f = Flatten(r) y = Gemm<transB=1>(f, w)", {"w": (5, 5040)}),
    "volume gemm, channels last": (VOLUME, f"{LAST[VOLUME]} f = Flatten(t) y = Gemm(f, w)", {"w": (5040, 5)}),
    "volume mean": (VOLUME, "m = ReduceMean<axes=[2,3,4], keepdims=0>(r) y = Gemm(m, w)", {"w": (8, 5)}),
    "volume mean kept": (VOLUME, "m = ReduceMean<axes=[-1,-2,-3]>(r) f = Flatten(m) y = Gemm(f, w)", {"w": (8, 5)}),
    "volume softmax": (VOLUME, "m = GlobalAveragePool(r) f = Flatten(m) g = Gemm(f, w) y = Softmax(g)", {"w": (8, 5)}),
    "volume 1x1x1 before the mean": (
        VOLUME,
        "d = Conv(r, w) m = GlobalAveragePool(d) y = Flatten(m)",
        {"w": (5, 8, 1, 1, 1)},
    ),
}


@pytest.mark.parametrize("kind", TAILS)
def test_tails(kind: str) -> None:
    image, tail, weights = TAILS[kind]
    body = f"c = Conv<pads={PADS[image]}>(x, w0) r = Relu(c) {tail}"
    report = compile_and_check(parse(body, image=image, w0=(8, 3, *KERNEL[image]), **weights), layout(image))
    assert only_class_vectors_are_dense(report)


DENSE = {
    "InstanceNormalization": ("n = InstanceNormalization(r, s, b) h = Relu(n)", {"s": (8,), "b": (8,)}),
    "LpNormalization": ("h = LpNormalization<axis=2>(c)", {}),
    "Mul": ("e = GlobalAveragePool(r) h = Mul(r, e)", {}),
    "Slice": ("h = Slice(r, s, e, a)", {"s": ints(1), "e": ints(5), "a": ints(2)}),
    "CumSum": ("h = CumSum(r, a)", {"a": ints(2)}),
}
ALONG = ((SIGNAL, "Slice"), (SIGNAL, "CumSum"))
"""What a signal has a rule for, and a volume's depth has none."""


@pytest.mark.parametrize(("image", "op"), ALONG)
def test_what_has_a_rule_along_a_signal(image: str, op: str) -> None:
    middle, weights = DENSE[op]
    assert only_class_vectors_are_dense(compile_and_check(network(image, middle, **weights), layout(image)))


@pytest.mark.parametrize(
    ("image", "op"), [(image, op) for op in DENSE for image in (SIGNAL, VOLUME) if (image, op) not in ALONG]
)
def test_what_has_no_rule_is_dense_and_exact(op: str, image: str) -> None:
    middle, weights = DENSE[op]
    report = compile_and_check(network(image, middle, **weights), layout(image))
    assert "dense" in became(report, op)
    assert reasons(report, op)


@pytest.mark.parametrize(
    ("image", "order", "perm"), [("float[N,41,3] x", "NLC", "[0,2,1]"), ("float[N,7,9,10,3] x", "NDHWC", "[0,4,1,2,3]")]
)
def test_images_whose_channels_come_last(image: str, order: str, perm: str) -> None:
    kernel, pads = ((3,), "[1,1]") if order == "NLC" else ((3, 3, 3), "[1,1,1,1,1,1]")
    body = f"t = Transpose<perm={perm}>(x) c = Conv<pads={pads}>(t, w0) h = Relu(c) {HEAD}"
    model = parse(body, image=image, w0=(8, 3, *kernel), fw=(5, 8), fb=(5,))
    assert became(compile_and_check(model, order), "Conv") == {"incremental"}


@pytest.mark.parametrize("chunk", [1, 3, 20, 64])
@pytest.mark.parametrize("image", [SIGNAL, VOLUME])
def test_chunks_of_any_size_give_the_same(image: str, chunk: int) -> None:
    pool = f"MaxPool<kernel_shape={list(KERNEL[image])}, strides={[2] * len(KERNEL[image])}>"
    compile_and_check(network(image, f"h = {pool}(r)"), layout(image), chunk=chunk)


NETWORKS = {"resnet18": (resnet18_3d, "NCDHW"), "c3d": (c3d, "NCDHW"), "ecg": (ecg_resnet, "NCL")}


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks(name: str) -> None:
    make, order = NETWORKS[name]
    report = compile_and_check(make(), order, patch_size=8 if order == "NCDHW" else 20, stride=8)
    assert report.incremental_share == 1.0
    assert report.redundancy_overlap > 1.5


def wrong(model: onnx.ModelProto, op: str, attribute: str, at: int, number: int) -> None:
    """One number of an attribute of the first such node of the body is another one."""
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    body = next(one.g for one in scan.attribute if one.name == "body")
    node = next(one for one in body.node if one.op_type == op)
    ints_of = next(one.ints for one in node.attribute if one.name == attribute)
    assert ints_of[at] != number
    ints_of[at] = number


MUTANTS = {
    "a depth pad of the boxes": ("DepthBoxes", "depth", 2, 0),
    "a depth pad of the gather": ("DepthGather", "depth", 2, 0),
    "a depth dilation": ("DepthGather", "depth", 4, 2),
    "a divisor's depth": ("IncrementalAveragePool", "depth", 3, 0),
    "the depth of a mean": ("IncrementalGlobalAveragePool", "input_shape", 1, 10),
}


@pytest.mark.parametrize("kind", MUTANTS)
def test_small_faults_along_the_depth_are_seen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = "AveragePool<kernel_shape=[3,3,3], pads=[1,1,1,1,1,1], count_include_pad=1>"
    model = network(VOLUME, f"d = Conv<pads=[1,1,1,1,1,1]>(r, w1) e = Relu(d) h = {pool}(e)", w1=(8, 8, 3, 3, 3))
    compile_and_check(model, "NCDHW")

    def mutated(*given, **options):
        compiled, report = compile(*given, **options)
        wrong(compiled, *MUTANTS[kind])
        return compiled, report

    monkeypatch.setattr(graphs, "compile", mutated)
    # Seen: another result, or an op that refuses boxes which no longer fit.
    with pytest.raises((AssertionError, ort.capi.onnxruntime_pybind11_state.InvalidArgument)):
        compile_and_check(model, "NCDHW")


def test_the_report_of_a_volume_counted_by_hand() -> None:
    # 6x6x6 volume, 3x3x3 convolution without pads to 4x4x4, 2 maps of 1 channel; patch 2 at stride 2: 27 positions.
    model = parse(
        "c = Conv(x, w) g = GlobalAveragePool(c) y = Flatten(g)",
        image="float[N,1,6,6,6] x",
        scores="float[N,2] y",
        w=(2, 1, 3, 3, 3),
    )
    compiled, report = compile(model, patch_size=2, stride=2, verify=False)
    conv = report.layers[0]
    assert (report.patch_size, report.positions, conv.growth) == ((2, 2, 2), 27, (4, 4, 4))
    # As in the plane: along an axis widths of 2, 4 and 2, with 3, 6 and 3 pairs.
    assert conv.multiply_adds == 64 * 27 * 2
    assert conv.incremental_paper == pytest.approx((2 + 4 + 2) ** 3 * 27 * 2 / 27)
    assert conv.incremental_overlap == pytest.approx((3 + 6 + 3) ** 3 * 2 / 27)
    boxes = next(value for value in compiled.graph.input if value.name == "boxes")
    assert boxes.type.tensor_type.shape.dim[1].dim_value == 6


def test_each_weight_is_stored_once() -> None:
    for make, _ in NETWORKS.values():
        model = make(width=16)
        compiled, _ = compile(model, verify=False)
        assert compiled.ByteSize() < model.ByteSize() * 1.1 + 100_000


def test_layouts_and_sizes_of_another_rank_are_refused() -> None:
    with pytest.raises(ModelError, match=r"layout NCHW: .* has 5 axes; expected NCDHW, NDHWC"):
        compile(network(VOLUME, "h = Relu(r)"), layout="NCHW")
    with pytest.raises(ModelError, match="expected one number, or 3 for this volume"):
        compile(network(VOLUME, "h = Relu(r)"), patch_size=(4, 4))
    with pytest.raises(ModelError, match="rank 4"):
        compile(parse("y = Relu(x)", image="float[N,3,4,5,6,7] x", scores="float[N,3,4,5,6,7] y"))


@st.composite
def random_networks(draw: st.DrawFn) -> tuple[onnx.ModelProto, str]:
    """Windows of all kinds, one after another, on signals and volumes."""
    axes = draw(st.sampled_from([1, 3]))
    sizes = [draw(st.integers(5, 9)) if axes == 3 else draw(st.integers(9, 30)) for _ in range(axes)]
    image, channels, text, weights, last, left = f"float[N,3,{','.join(map(str, sizes))}] x", 3, [], {}, "x", sizes
    for index in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["Conv", "Conv", "MaxPool", "AveragePool"]))
        kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
        stride = [draw(st.integers(1, 2)) for _ in range(axes)]
        dilation = [draw(st.integers(1, 2)) if kind != "AveragePool" else 1 for _ in range(axes)]
        pads = [draw(st.integers(0, 2 if kind == "Conv" else min(1, k - 1))) for k in kernel * 2]
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
        after = [(n + pads[i] + pads[axes + i] - reach[i]) // stride[i] + 1 for i, n in enumerate(left)]
        if min(after) < 1:
            continue
        attributes = f"strides={stride}, pads={pads}"
        attributes += "" if kind == "AveragePool" else f", dilations={dilation}"
        if kind == "Conv":
            group = draw(st.sampled_from([1, channels]))
            maps = group * draw(st.integers(1, 2)) if group > 1 else draw(st.sampled_from([4, 6]))
            weights[f"w{index}"] = (maps, channels // group, *kernel)
            text.append(f"c{index} = Conv<{attributes}, group={group}>({last}, w{index})")
            channels = maps
        else:
            include = f", count_include_pad={draw(st.integers(0, 1))}" if kind == "AveragePool" else ""
            text.append(f"c{index} = {kind}<{attributes}, kernel_shape={kernel}{include}>({last})")
        last, left = f"c{index}", after
        if draw(st.booleans()):
            text.append(f"r{index} = {draw(st.sampled_from(['Relu', 'Tanh']))}({last})")
            last = f"r{index}"
    if draw(st.booleans()):
        text.append(f"f = Flatten({last})")
        weights["fw"] = (channels * int(np.prod(left)), 5)
    else:
        text.append(f"g = GlobalAveragePool({last}) f = Flatten(g)")
        weights["fw"] = (channels, 5)
    weights["fb"] = (5,)  # a network may be dead but for it
    return parse(f"{' '.join(text)} y = Gemm(f, fw, fb)", image=image, **weights), "NCL" if axes == 1 else "NCDHW"


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(random_networks(), st.integers(1, 9))
def test_random_networks_are_exact(made: tuple[onnx.ModelProto, str], chunk: int) -> None:
    model, order = made
    note(onnx.printer.to_text(model.graph)[:4000])
    compile_and_check(model, order, spread=False, chunk=chunk)
