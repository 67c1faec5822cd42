"""Random small networks, random boxes, random chunks: the compiled file is exact. A failure prints the graph."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.passes.graphs import compile_and_check
from tests.passes.random_networks import networks

SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check(made: tuple[onnx.ModelProto, str], chunk: int) -> None:
    model, layout = made
    note(onnx.printer.to_text(model.graph)[:6000])
    compile_and_check(model, layout, spread=False, chunk=chunk, told=True)


@SETTINGS
@given(networks(), st.integers(1, 7))
def test_random_networks_are_exact(made: tuple[onnx.ModelProto, str], chunk: int) -> None:
    check(made, chunk)


@pytest.mark.full
@settings(SETTINGS, max_examples=5000, derandomize=False)
@given(networks(), st.integers(1, 7))
def test_many_random_networks_are_exact(made: tuple[onnx.ModelProto, str], chunk: int) -> None:
    check(made, chunk)
