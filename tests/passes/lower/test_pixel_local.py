"""Functions of a pixel's channels that have no delta rule: computed on T' itself, incremental and exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krypton_compile import compile
from krypton_compile.contract.occlude import occlude
from tests.support.graphs import became, compile_and_check, dense, parse, reasons, run_compiled, run_naive

TAIL = "m = Conv (n, wm, bm) p = GlobalAveragePool (m) q = Flatten (p) y = Gemm <transB = 1> (q, wz)"
SIGNAL, PICTURE, VOLUME = (23,), (11, 13), (5, 7, 6)
LAYOUTS = {SIGNAL: "NCL", PICTURE: "NCHW", VOLUME: "NCDHW"}


def around(body: str, sizes: tuple[int, ...] = PICTURE, **weights):
    """Two maps ``a`` and ``b`` [1, 6, ...] that move on different boxes, the body that makes ``n``, a convolution."""
    kernel, wide = [1] * len(sizes), [3] * len(sizes)
    pads = [1] * 2 * len(sizes)
    channel = (6, *[1] * len(sizes))
    return parse(
        f"a = Conv (x, wa, ba) b = Conv <pads = {pads}> (x, wb, ba) {body} {TAIL}",
        image=f"float[1,3,{','.join(map(str, sizes))}] x",
        scores="float[1,5] y",
        **{
            "wa": (6, 3, *kernel),
            "wb": (6, 3, *wide),
            "ba": (6,),
            "wm": (8, 6, *kernel),
            "bm": np.linspace(0.5, 1, 8, dtype=np.float32),
            "wz": (5, 8),
            "k": np.float32(0.3),
            "zero": np.float32(0),
            "channel": np.linspace(-1, 1, 6, dtype=np.float32).reshape(channel),
            "map": np.random.default_rng(1).standard_normal((1, 6, *sizes)).astype(np.float32),
            "mask": np.random.default_rng(2).random((1, 1, *sizes)) < 0.5,
            **weights,
        },
    )


COMPARED = st.sampled_from(["k", "zero", "channel", "map", "b"])
CONDITION = st.builds(
    "c = {} (a, {})".format, st.sampled_from(["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"]), COMPARED
)
TRUTH = st.sampled_from(
    [
        "d = Identity (c)",
        "d = Not (c)",
        "e = Less (b, a) d = And (c, e)",
        "e = IsNaN (b) d = Or (c, e)",
        "d = Xor (c, mask)",
    ]
)
BRANCH = st.sampled_from(["a", "b", "zero", "map", "channel"])
CHOICE = st.sampled_from(
    ["n = Where (d, {0}, {1})", "f = Cast <to = 1> (d) n = Mul ({0}, f)", "f = Cast <to = 1> (d) n = Where (d, {0}, f)"]
)


@given(CONDITION, TRUTH, CHOICE, BRANCH, BRANCH, st.sampled_from([SIGNAL, PICTURE, VOLUME]))
@settings(max_examples=25, deadline=None)
def test_comparisons_and_choices(condition, truth, choice, one, other, sizes):
    if one in ("zero", "channel"):
        one = "a"  # the result must be a map
    model = around(f"{condition} {truth} {choice.format(one, other)}", sizes)
    assert not dense(compile_and_check(model, LAYOUTS[sizes], spread=False))


@pytest.mark.parametrize(
    "body",
    [
        "n = ThresholdedRelu <alpha = 0.4> (a)",
        "n = Sign (a)",
        "n = Shrink <lambd = 0.3, bias = 0.1> (a)",
        "n = Floor (a)",
        "n = Round (b)",
        "s = Tanh (a) h = Mul (s, k) n = Asin (h)",
        "s = Tanh (a) h = Mul (s, k) n = Atanh (h)",
        "n = Sinh (a)",
        "n = Asinh (b)",
        "n = Mod <fmod = 1> (a, k)",
        "n = PRelu (a, map)",
        "n = Max (a, map, b)",
        "n = CumSum (a, one)",
        "g = ArgMax <axis = 1> (a) f = Cast <to = 1> (g) n = Add (a, f)",
        "g = ReduceMax <axes = [1]> (a) c = Equal (a, g) f = Cast <to = 1> (c) n = Mul (a, f)",
        "g = ReduceProd <axes = [1]> (a) n = Add (a, g)",
        "i = Cast <to = 6> (b) n = Cast <to = 1> (i)",
        "n = Where (mask, a, zero)",
    ],
)
@pytest.mark.parametrize("sizes", [SIGNAL, PICTURE, VOLUME])
def test_functions_without_a_delta_rule(body, sizes):
    report = compile_and_check(around(body, sizes, one=np.array(1)), LAYOUTS[sizes])
    assert not dense(report)


def test_truths_that_move_on_other_boxes_are_computed_there():
    """A truth has no delta: where a node reads it on the boxes of another map, it is asked again on those."""
    model = around("c = Greater (a, k) n = Where (c, b, a)")
    assert not dense(compile_and_check(model))


def test_truths_of_transposed_maps():
    model = around(
        "t = Transpose <perm = [0, 2, 3, 1]> (a) c = Greater (t, k)"
        "u = Transpose <perm = [0, 3, 1, 2]> (c) n = Where (u, b, a)"
    )
    assert not dense(compile_and_check(model))


def test_truths_that_a_dense_node_reads():
    model = around("c = Greater (a, k) i = InstanceNormalization (a, ba, ba) n = Where (c, i, b)")
    report = compile_and_check(model)
    assert became(report, "Where") == {"dense"}
    assert reasons(report, "InstanceNormalization").startswith("its statistics are of the whole map")


@pytest.mark.parametrize(
    "chosen",
    [
        "v, i = MaxPool <kernel_shape = [2, 2], strides = [1, 1], pads = [0, 0, 1, 1]> (a)",
        "v, i = TopK <axis = 1> (a, six)",
    ],
)
def test_places_of_equal_numbers_are_those_of_the_original(chosen):
    """Inside a window of one colour all numbers are equal: the last digit would choose another place."""
    model = around(
        f"{chosen} f = Cast <to = 1> (i) n = Mul (f, k)",
        six=np.array([6]),
        k=np.float32(1e-2),
        wa=np.ones((6, 3, 1, 1), np.float32),
        ba=np.zeros(6, np.float32),
    )
    image = np.random.default_rng(4).standard_normal((1, 3, *PICTURE)).astype(np.float32)
    baseline = np.full_like(image, 0.3)
    boxes = np.array([[2, 3, 6, 7], [0, 0, 5, 5], [0, 0, *PICTURE]], np.int32)
    compiled, _ = compile(model, verify=False)
    names = [value.name for value in compiled.graph.input]
    found = run_compiled(compiled, {names[0]: image, names[1]: boxes, names[2]: baseline})[0]
    expected = run_naive(model, occlude(image, boxes, baseline, "NCHW"))
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
