"""Random small networks, random boxes, random chunks: the compiled file is exact. A failure prints the graph.

Such a test proves something if scores move with the boxes: of the networks drawn, few may be dead. And it must find a
small fault in one node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from krypton_compile.passes.lower.table import RULES
from tests.support.graphs import compile_and_measure, parse
from tests.support.mutants import MUTANTS
from tests.support.random_networks import networks

SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
VOCABULARY = RULES.keys() - {"GeluTanh", "Swish"}
"""Of ops: Gelu and a Mul by a Sigmoid become these two."""

MOST_DEAD = 0.04
"""Of the networks; 1 to 2 % of thousands were: chains of saturating functions flatten what moves, a global maximum may
lie outside all boxes, and windows may miss what a ConvTranspose spread."""


def check(chosen: settings, mutate: Callable[[onnx.ModelProto], object] | None = None) -> Counter[str]:
    """Draws networks until one is not exact; how many there were, how many are dead, how many have each op."""
    tally: Counter[str] = Counter()

    @chosen
    @given(networks(), st.integers(1, 7))
    def every_network_is_exact(made: tuple[onnx.ModelProto, str], chunk: int) -> None:
        model, layout = made
        note(onnx.printer.to_text(model.graph)[:6000])
        measured = compile_and_measure(model, layout, chunk=chunk, told=True, mutate=mutate)
        tally.update({"networks", *(node.op_type for node in model.graph.node)})
        tally["dead"] += measured.is_dead
        measured.require_exact()

    every_network_is_exact()
    print(f"{tally['networks']} networks, {tally['dead']} dead")
    assert tally["dead"] <= MOST_DEAD * tally["networks"], "scores do not spread"
    return tally


def test_random_networks_are_exact() -> None:
    drawn = check(SETTINGS)
    assert len(VOCABULARY - drawn.keys()) <= 0.2 * len(VOCABULARY), f"not drawn: {sorted(VOCABULARY - drawn.keys())}"


@pytest.mark.full
def test_many_random_networks_are_exact() -> None:
    assert not VOCABULARY - check(settings(SETTINGS, max_examples=5000, derandomize=False)).keys()


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_random_networks_find(mutate: Callable[[onnx.ModelProto], bool]) -> None:
    generated = settings(SETTINGS, phases=[Phase.generate], report_multiple_bugs=False, database=None)
    with pytest.raises(AssertionError, match="of the largest score"):
        check(generated, mutate)


def test_a_dead_network_is_seen() -> None:
    text = "a = Clip(x, low, high) b = GlobalMaxPool(a) c = Flatten(b) y = Gemm(c, w)"
    dead = compile_and_measure(parse(text, low=np.float32(-9), high=np.float32(-8), w=(3, 5)))
    alive = compile_and_measure(parse(text, low=np.float32(-9), high=np.float32(8), w=(3, 5)))
    assert dead.is_dead
    assert not alive.is_dead
