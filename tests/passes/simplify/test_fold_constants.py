"""Constants that onnxscript's optimizer leaves alone are folded, so what reads them is incremental and has a shape."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from krypton_compile.passes.simplify.folding.fold_constants import fold_constants
from tests.support.graphs import became, compile_and_check, floats, ints, parse

HEAD = "g = GlobalAveragePool(r) f = Flatten(g) y = Gemm(f, w2)"


def test_pads_as_the_older_exporter_computes_them():
    body = f"""
        c = Conv(x, w)
        zeros = ConstantOfShape<value = int64[1] {{0}}>(four)
        all = Concat<axis = 0>(ends, zeros)
        pairs = Reshape(all, two)
        turned = Slice(pairs, start, stop, axis, back)
        t = Transpose<perm = [1, 0]>(turned)
        pads = Reshape(t, minus)
        p = Pad<mode = "constant">(c, pads, low)
        m = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(p)
        r = Relu(m)
        {HEAD}
    """
    constants = {"four": ints(4), "ends": ints(1, 2, 2, 1), "two": ints(-1, 2), "start": ints(-1)}
    constants |= {"stop": ints(-9), "axis": ints(0), "back": ints(-1), "minus": ints(-1)}
    model = parse(body, w=(6, 3, 3, 3), w2=(6, 5), low=np.float32(0), **constants)
    report = compile_and_check(model)
    assert became(report, "Pad") == {"incremental"}


def test_pads_that_follow_from_the_shape_after_a_pad():
    # Each needs the shape after the one before: one pass over all constants would see no more than the first.
    step = """
        s{0} = Shape(p{0}) h{0} = Gather<axis = 0>(s{0}, two) odd{0} = Mod(h{0}, even)
        n{0} = Add(odd{0}, two) more{0} = ConstantOfShape<value = int64[1] {{1}}>(n{0})
        last{0} = Slice(more{0}, none, two)
        pads{0} = Concat<axis = 0>(front, last{0}) p{1} = Pad(p{0}, pads{0})
    """
    body = "p0 = Conv(x, w)" + "".join(step.format(i, i + 1) for i in range(3)) + f"r = Relu(p3) {HEAD}"
    front = ints(0, 0, 1, 1, 0, 0)
    model = parse(body, w=(6, 3, 3, 3), w2=(6, 5), two=ints(2), even=ints(2), none=ints(0), front=front)
    assert became(compile_and_check(model), "Pad") == {"incremental"}


def test_weights_that_are_standardized_in_the_graph():
    body = f"""
        a = Conv(x, w)
        mean = ReduceMean<axes = [0, 2], keepdims = 0>(v)
        square = Mul(v, v)
        variance = ReduceMean<axes = [0, 2], keepdims = 0>(square)
        s, m, n = BatchNormalization<training_mode = 1>(v, ones, zeros, mean, variance)
        w1 = Reshape(s, shape)
        c = Conv(a, w1)
        r = Relu(c)
        {HEAD}
    """
    large = {"v": (1, 96, 3 * 3 * 80), "shape": ints(96, 80, 3, 3)}  # beyond the size that the optimizer folds
    model = parse(
        body, w=(80, 3, 3, 3), w2=(96, 5), ones=np.ones(96, np.float32), zeros=np.zeros(96, np.float32), **large
    )
    report = compile_and_check(model)
    assert became(report, "Conv") == {"incremental"}


def test_weights_that_are_dequantized_in_the_graph():
    body = f"w1 = DequantizeLinear(q, scale, zero) c = Conv(x, w1) r = Relu(c) {HEAD}"
    q = np.random.default_rng(0).integers(-127, 128, (6, 3, 3, 3)).astype(np.int8)
    model = parse(body, q=q, scale=np.float32(0.004), zero=np.int8(3), w2=(6, 5))
    assert became(compile_and_check(model), "Conv") == {"incremental"}


def folded(body: str, **constants) -> ir.Model:
    model = ir.from_proto(parse(body, scores="float[5] y", **constants))
    fold_constants(model)
    return model


def test_the_values_are_those_of_onnxruntime():
    model = folded("a = Mul(k, k) b = Sqrt(a) c = Add(x, a) d = Add(c, b) y = ReduceSum(d)", k=floats(2, -3, 5))
    assert [node.op_type for node in model.graph] == ["Add", "Add", "ReduceSum"]
    arrays = {name: value.const_value.numpy().tolist() for name, value in model.graph.initializers.items()}
    assert arrays["a"] == [4, 9, 25]
    assert arrays["b"] == [2, 3, 5]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("y = Mul(k, k)", ["Mul"]),  # an output of the model
        ("a = RandomNormalLike(k) b = Add(a, x) y = ReduceSum(b)", ["RandomNormalLike", "Add", "ReduceSum"]),
        ("a = Shape(x) b = Cast<to = 1>(a) c = Add(b, k) y = ReduceSum(c)", ["Shape", "Cast", "Add", "ReduceSum"]),
        # onnxruntime refuses it; so will the check of the whole model, in words of its own.
        ("a = Reshape(k, two) b = Add(x, a) y = ReduceSum(b)", ["Reshape", "Add", "ReduceSum"]),
    ],
)
def test_what_stays(body, kept):
    assert [node.op_type for node in folded(body, k=floats(1, 2, 3, 4, 5), two=ints(2, 2)).graph] == kept
