"""Concatenations, and the norm and Relu behind them, are gathered by the 1x1 convolution that reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from krypton_compile import OcclusionSession, compile
from krypton_compile.reference import REFERENCE_OPS
from krypton_compile.runtime.engine.counted_work import WorkCounter
from krypton_compile.runtime.engine.occlusion import Occlusion
from tests.support.graphs import BOUND, compile_and_check, parse, random_boxes, run_compiled
from tests.support.mutants import nodes_of

END = "g = GlobalAveragePool(last) f = Flatten(g) y = Gemm<transB=1>(f, fw)"


def norm(number: int, channels: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    drawn = rng.uniform([[-1.5], [-1], [-0.2], [0.5]], [[1.5], [0.5], [0.2], [2]], (4, channels)).astype(np.float32)
    return {f"{name}{number}": array for name, array in zip("sbmv", drawn, strict=True)}


def layer(number: int, of: str) -> str:
    """A layer of a dense block: norm, Relu, 1x1, Relu, 3x3 (the norm between is folded into the 1x1 in exports)."""
    return (
        f"n# = BatchNormalization({of}, s#, b#, m#, v#) r# = Relu(n#) o# = Conv(r#, w#) h# = Relu(o#) "
        "x# = Conv<pads=[1,1,1,1]>(h#, k#) "
    ).replace("#", str(number))


def weights(*channels: int) -> dict[str, object]:
    return {
        name: value
        for number, each in enumerate(channels, 1)
        for name, value in {**norm(number, each), f"w{number}": (12, each, 1, 1), f"k{number}": (5, 12, 3, 3)}.items()
    }


FLAT = parse(
    "x0 = Conv<pads=[1,1,1,1]>(x, w0) "
    + layer(1, "x0")
    + "c2 = Concat<axis=1>(x0, x1) "
    + layer(2, "c2")
    + "c3 = Concat<axis=1>(x0, x1, x2) "
    + layer(3, "c3")
    + "c4 = Concat<axis=1>(x0, x1, x2, x3) n4 = BatchNormalization(c4, s4, b4, m4, v4) last = Relu(n4) "
    + END,
    w0=(7, 3, 3, 3),
    fw=(5, 22),
    **weights(7, 12, 17),
    **norm(4, 22),
)
"""A dense block as torchvision has it: each layer concatenates all that came before."""
NESTED = parse(
    "x0 = Conv<pads=[1,1,1,1]>(x, w0) "
    + layer(1, "x0")
    + "c2 = Concat<axis=1>(x0, x1) "
    + layer(2, "c2")
    + "c3 = Concat<axis=1>(c2, x2) "
    + layer(3, "c3")
    + "c4 = Concat<axis=1>(c3, x3) n4 = BatchNormalization(c4, s4, b4, m4, v4) last = Relu(n4) "
    + END,
    w0=(7, 3, 3, 3),
    fw=(5, 22),
    **weights(7, 12, 17),
    **norm(4, 22),
)
"""The same as Keras has it: each layer concatenates the one before and its own."""
FIRE = parse(
    "a = Conv<strides=[2,2]>(x, w0) s = Relu(a) l = Conv(s, w1) p = Relu(l) r = Conv<pads=[1,1,1,1]>(s, w2) "
    "q = Relu(r) c = Concat<axis=1>(p, q) t = Conv(c, w3) last = Relu(t) " + END,
    w0=(8, 3, 3, 3),
    w1=(9, 8, 1, 1),
    w2=(6, 8, 3, 3),
    w3=(10, 15, 1, 1),
    fw=(5, 10),
)
"""A fire module and the next one's squeeze."""
SHARED = parse(
    "a = Conv(x, w0) s = Relu(a) l = Conv(s, w1) r = Conv(s, w2) c = Concat<axis=1>(l, r) "
    "t = Conv(c, w3) u = Conv<pads=[1,1,1,1]>(c, w4) v = Relu(t) z = Relu(u) last = Add(v, z) " + END,
    w0=(8, 3, 3, 3),
    w1=(9, 8, 1, 1),
    w2=(6, 8, 1, 1),
    w3=(10, 15, 1, 1),
    w4=(10, 15, 3, 3),
    fw=(5, 10),
)
"""Two convolutions read one concatenation."""
STRIDED = parse(
    "a = Conv(x, w0) s = Relu(a) l = Conv(s, w1) r = Conv(s, w2) c = Concat<axis=1>(l, r) "
    "t = Conv<strides=[2,2]>(c, w3) last = Relu(t) " + END,
    w0=(8, 3, 3, 3),
    w1=(9, 8, 1, 1),
    w2=(6, 8, 1, 1),
    w3=(10, 15, 1, 1),
    fw=(5, 10),
)
VOLUME = parse(
    "x0 = Conv<pads=[1,1,1,1,1,1]>(x, w0) n = BatchNormalization(x0, s1, b1, m1, v1) r = Relu(n) o = Conv(r, w1) "
    "h = Relu(o) x1 = Conv<pads=[1,1,1,1,1,1]>(h, w2) c = Concat<axis=1>(x0, x1) t = Conv(c, w3) last = Relu(t) " + END,
    image="float[1,1,6,10,9] x",
    w0=(7, 1, 3, 3, 3),
    w1=(12, 7, 1, 1, 1),
    w2=(5, 12, 3, 3, 3),
    w3=(8, 12, 1, 1, 1),
    fw=(5, 8),
    **norm(1, 7),
)


@pytest.mark.parametrize(
    ("model", "fused", "concats", "clips", "given"),
    [
        (FLAT, 3, 1, 1, (3, 4, 5, 6, 7)),
        (NESTED, 3, 1, 1, (3, 4, 5, 6, 7)),
        (FIRE, 1, 0, 0, (6, 7)),
        (SHARED, 0, 1, 0, ()),
        (STRIDED, 0, 1, 0, ()),
    ],
    ids=["flat", "nested", "fire", "shared", "strided"],
)
def test_it_is_exact_and_nothing_is_written_twice(model, fused: int, concats: int, clips: int, given) -> None:
    compile_and_check(model)
    compiled, _ = compile(model)
    nodes = nodes_of(compiled, "IncrementalConcatConv")
    assert len(nodes) == fused
    assert len(nodes_of(compiled, "IncrementalConcat")) == concats
    assert len(nodes_of(compiled, "IncrementalClip")) == clips
    assert all(node.input[index] for node in nodes for index in given)


@pytest.mark.parametrize(("tau", "eps"), [(0.5, 0.0), (1.0, 0.05), (0.6, 0.02)])
def test_thresholds_mean_what_they_mean_in_the_reference(tau: float, eps: float) -> None:
    compiled, _ = compile(FLAT)
    rng = np.random.default_rng(1)
    image = rng.standard_normal((1, 3, 17, 19)).astype(np.float32)
    feeds = {"x": image, "boxes": random_boxes((17, 19), rng), "baseline": np.zeros_like(image)}
    exact = run_compiled(compiled, feeds, ["scores"])[0]
    feeds |= {"krypton_tau": np.array([tau], np.float32), "krypton_eps": np.array([eps], np.float32)}
    found = run_compiled(compiled, feeds, ["scores"])[0]
    reference = ReferenceEvaluator(compiled, new_ops=list(REFERENCE_OPS)).run(["scores"], feeds)[0]
    np.testing.assert_allclose(found, reference, atol=BOUND * np.abs(reference).max())
    assert np.abs(found - exact).max() > 100 * BOUND * np.abs(exact).max()


def test_what_lies_in_concatenations_of_concatenations_is_read_where_it_is() -> None:
    compiled, _ = compile(NESTED)
    parts = [len(node.input) - 8 for node in nodes_of(compiled, "IncrementalConcatConv")]
    assert parts == [1, 2, 3]
    assert len(nodes_of(compiled, "IncrementalConcat")[0].input) == 2 + 4


def test_volumes() -> None:
    compile_and_check(VOLUME, layout="NCDHW", told=True)


def test_files_for_cuda_keep_them_apart() -> None:
    compile_and_check(FLAT, target="cuda")
    compiled, _ = compile(FLAT, target="cuda")
    ops = {node.op_type for node in compiled.graph.node}
    assert "IncrementalConcat" in ops
    assert "IncrementalConcatConv" not in ops


def test_its_work_is_counted(tmp_path: Path) -> None:
    """On non-zero entries behind the Relu, no more than on whole boxes."""
    compile(FLAT, tmp_path / "model.onnx")
    scorer = OcclusionSession(tmp_path / "model.onnx").scorer
    image = np.random.default_rng(0).standard_normal((1, 3, 17, 19)).astype(np.float32)
    layers = WorkCounter(scorer).count(
        scorer.prepare(image), Occlusion(random_boxes((17, 19), np.random.default_rng(0)))
    )
    counted = [layer for layer in layers if layer.op == "IncrementalConcatConv"]
    assert len(counted) == 3
    assert all(0 < layer.on_nonzeros < layer.on_boxes for layer in counted)
