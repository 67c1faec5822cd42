"""What follows at once is fused: here a BatchNormalization, behind a pool, into the Relu behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from krypton_compile import compile
from tests.support.graphs import compile_and_check, parse
from tests.support.mutants import nodes_of

NORM = {name: np.linspace(low, 2, 8, dtype=np.float32) for name, low in (("s", -1), ("b", -1), ("m", 0), ("v", 0.5))}
NETWORK = parse(
    "c = Conv<pads=[1,1,1,1]>(x, w0) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c) "
    "n = BatchNormalization(p, s, b, m, v) r = Relu(n) d = Conv(r, w1) h = Relu(d) "
    "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)",
    w0=(8, 3, 3, 3),
    w1=(8, 8, 3, 3),
    fw=(5, 8),
    **NORM,
)


def test_a_scale_is_part_of_the_clip_behind_it_and_keeps_its_limit(tmp_path: Path) -> None:
    compile_and_check(NETWORK)
    compile(NETWORK, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    (clip,) = nodes_of(model, "IncrementalClip")
    assert not nodes_of(model, "IncrementalScale")
    assert len(clip.input) == 5
    assert all(clip.input[3:])
