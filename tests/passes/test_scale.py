"""Networks of thousands of nodes: what each more node costs, and where that ends."""

from __future__ import annotations

import time

import pytest

from krypton_compile import compile
from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend.check_model import MOST_NODES
from tests.support.graphs import floats, parse


def chain(nodes: int, step: str, **weights):
    """A chain of ``nodes`` steps, each of which reads t and makes the next t."""
    lines = [step.format(x=f"t{at}", y=f"t{at + 1}") for at in range(nodes)]
    tail = f"r = Reciprocal(t{nodes}) g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, fc)"
    body = f"t0 = Conv(x, w0) {' '.join(lines)} {tail}"
    return parse(body, image="float[1,3,4,4] x", w0=(2, 3, 1, 1), fc=(2, 5), **weights)


def test_too_many_nodes_are_refused_at_once():
    model = chain(MOST_NODES, "{y} = Relu({x})")
    began = time.process_time()
    with pytest.raises(
        ModelError, match=rf"has {MOST_NODES + 5} nodes \({MOST_NODES} Relu, .*at most {MOST_NODES}.*fixed"
    ):
        compile(model)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "step",
    ["{y} = Add({x}, {x})", "{x}a = Abs({x}) {y} = Add({x}a, {x}a)", "{x}a = Relu({x}) {y} = Add({x}a, c)"],
)
def test_long_chains_in_front_of_what_needs_digits(step):
    """What looks back from a Reciprocal through sums goes no way twice, and not as deep as they are many."""
    model = chain(1100, step, c=floats(0.001).reshape(1, 1, 1, 1))
    compile(model, patch_size=2, stride=2, verify=False)
