"""Random ways of taking a map apart, working on it and putting it together again: exact, and all of it incremental."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from tests.support.graphs import compile_and_check, ints, parse

HEAD = "z9 = Conv<strides=[2,2]>(h0, w9) h = Relu(z9) g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
FACTORS = ((), (2, 2, 3), (2, 5), (2, 2, 3))
"""Of a map [1, 12, 10, 12]."""

FUNCTIONS = ("Sigmoid", "Neg", "Tanh", "Abs")
"""Of which no chain is constant."""


class Chain:
    """Nodes from ``r``, and the factors of the map's axes that each axis of the last tensor has.

    ``axes`` are lists of (axis of the map, factor of it, size).
    """

    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.constants: dict[str, np.ndarray] = {}
        self.axes = [[(axis, place, size) for place, size in enumerate(sizes)] for axis, sizes in enumerate(FACTORS)]
        self.value = "r"

    @property
    def shape(self) -> list[int]:
        return [math.prod(size for *_, size in axis) for axis in self.axes]

    def add(self, op: str, *constants: np.ndarray) -> None:
        names = [f"k{len(self.constants) + index}" for index in range(len(constants))]
        self.constants.update(zip(names, constants, strict=True))
        new = f"v{len(self.nodes)}"
        self.nodes.append(f"{new} = {op}({', '.join([self.value, *names])})")
        self.value = new

    def reshape(self, axes: list) -> None:
        self.axes = axes
        self.add("Reshape", ints(*self.shape))

    def transpose(self, order: list[int]) -> None:
        self.axes = [self.axes[axis] for axis in order]
        self.add(f"Transpose<perm=[{','.join(map(str, order))}]>")

    def finish(self) -> None:
        """Apart into single factors, those in order, and together again."""
        self.reshape([[factor] for axis in self.axes for factor in axis])
        self.transpose(sorted(range(len(self.axes)), key=lambda index: self.axes[index][0][:2]))
        self.reshape([[factor for (factor,) in self.axes if factor[0] == axis] for axis in range(4)])


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    chain = Chain()
    for index in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(("reshape", "transpose", "unsqueeze", "function", "constant", "itself")))
        if kind == "reshape":
            flat = [factor for axis in chain.axes for factor in axis]
            cuts = sorted(draw(st.sets(st.integers(1, len(flat) - 1), max_size=5)))
            parts = [flat[a:b] for a, b in itertools.pairwise([0, *cuts, len(flat)])]
            chain.reshape([[] for _ in range(draw(st.integers(0, 1)))] + parts)
        elif kind == "transpose":
            chain.transpose(draw(st.permutations(range(len(chain.axes)))))
        elif kind == "unsqueeze":
            place = draw(st.integers(0, len(chain.axes)))
            chain.axes = [*chain.axes[:place], [], *chain.axes[place:]]
            chain.add("Unsqueeze", ints(place))
        elif kind == "function":
            chain.add(draw(st.sampled_from(FUNCTIONS)))
        elif kind == "constant":
            shape = [size if draw(st.booleans()) else 1 for size in chain.shape]
            array = np.random.default_rng(index).uniform(0.5, 1.5, shape).astype(np.float32)
            chain.add(draw(st.sampled_from(("Add", "Sub", "Mul", "Div"))), array)
        else:
            chain.nodes.append(f"u{index} = Add({chain.value}, {chain.value})")
            chain.value = f"u{index}"
    chain.finish()
    return chain


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(chain=chains())
def test_a_map_taken_apart_and_put_together(chain: Chain) -> None:
    nodes = " ".join(chain.nodes)
    note(nodes)
    note(
        str(
            {
                name: array.tolist() if array.dtype == np.int64 else array.shape
                for name, array in chain.constants.items()
            }
        )
    )
    weights = {"w0": (12, 3, 3, 3), "w9": (6, 12, 2, 2), "fw": (5, 6)}
    body = f"c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c) {nodes} h0 = Identity({chain.value}) {HEAD}"
    model = parse(body, image="float[N,3,10,12] x", **weights)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in chain.constants.items())
    report = compile_and_check(model)
    assert report.incremental_share == 1, [(layer.op, layer.reason) for layer in report.layers]
