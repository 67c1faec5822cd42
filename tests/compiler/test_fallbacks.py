"""What dense regions are forced by, and what they cost: counted by hand on small networks."""

from __future__ import annotations

import json

import pytest

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from tests.support.graphs import ints, parse

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
GATE = "e{0} = GlobalAveragePool({1}) s{0} = Conv(e{0}, w1) u{0} = Sigmoid(s{0}) m{0} = Mul({1}, u{0})"
GATED = f"""
    c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) {GATE.format(0, "r")}
    d = Conv<pads=[1,1,1,1]>(m0, w2) p = Relu(d) {GATE.format(1, "p")}
    q = Conv<pads=[1,1,1,1]>(m1, w2) h = Relu(q) {HEAD}
"""
WEIGHTS = {"w0": (8, 3, 3, 3), "w1": (8, 8, 1, 1), "w2": (8, 8, 3, 3), "fw": (5, 8)}


def explained(body: str, **weights):
    _, report = compile(parse(body, **weights), verify=False, explain_fallbacks=True, patch_size=2, stride=2)
    assert report.fallbacks is not None
    return report


def test_gates_are_one_entry_that_says_what_they_cost() -> None:
    report = explained(GATED, **WEIGHTS)
    (gates,) = report.fallbacks
    assert (gates.op, len(gates.names), gates.shape) == ("Mul", 2, (1, 8, 17, 19))
    assert "--frozen-gates" in gates.reason
    # Each large convolution has 3 * 3 taps of 3 or 8 channels to 8; the two of the gates 8 to 8 on one pixel.
    large = [17 * 19 * 9 * depth * 8 for depth in (3, 8, 8)]
    whole = sum(large) + 2 * 64
    assert gates.behind == pytest.approx((large[1] + large[2] + 64) / whole)
    assert gates.ratio == report.redundancy_overlap
    assert gates.ratio < 1.3  # a convolution of three is incremental
    assert gates.ratio_without > 10


def test_supposing_changes_nothing_in_the_file() -> None:
    model = parse(GATED, **WEIGHTS)
    plain, without = compile(model, verify=False)
    explained, _ = compile(model, verify=False, explain_fallbacks=True)
    assert plain.SerializeToString() == explained.SerializeToString()
    assert without.fallbacks is None


def test_what_moves_pixels_about_cannot_be_supposed_away() -> None:
    tokens = "t = Reshape(r, to) v = Softmax<axis=-1>(t) h = Reshape(v, back)"
    body = f"c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) {tokens} {HEAD}"
    report = explained(body, w0=(8, 3, 3, 3), fw=(5, 8), to=ints(1, 8, 323), back=ints(1, 8, 17, 19))
    (entry,) = report.fallbacks
    assert (entry.op, entry.names, entry.ratio_without) == ("Reshape", (report.layers[2].name,), None)
    assert "no rule could help" in "".join(entry.lines())


def test_two_kinds_are_two_entries_and_the_second_counts_without_the_first() -> None:
    middle = "i = InstanceNormalization(r, s, b) d = Conv<pads=[1,1,1,1]>(i, w2) z = LpNormalization<axis=2>(d)"
    body = f"c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) {middle} h = Conv<pads=[1,1,1,1]>(z, w2) {HEAD}"
    first, second = explained(body, s=(8,), b=(8,), **WEIGHTS).fallbacks
    assert [first.op, second.op] == ["InstanceNormalization", "LpNormalization"]
    assert first.ratio < first.ratio_without == second.ratio < second.ratio_without


def test_a_network_without_any_says_so_on_the_command_line(tmp_path, capsys) -> None:
    path, saved = tmp_path / "model.onnx", tmp_path / "report.json"
    path.write_bytes(parse(f"c = Conv(x, w0) h = Relu(c) {HEAD}", w0=(8, 3, 3, 3), fw=(5, 8)).SerializeToString())
    assert compile_cli.main([str(path), "--explain-fallbacks", "--report", str(saved)]) == 0
    assert "fallbacks: none" in capsys.readouterr().out
    assert json.loads(saved.read_text())["fallbacks"] == []
