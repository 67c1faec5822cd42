"""Exactness tests that cannot fail prove nothing: small faults in a compiled network must be seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from krypton_compile import compile, get_library_path
from tests.support.exactness import naive_model, sample_boxes, texture, worst_error
from tests.support.mutants import attribute_of, nodes_of

pytestmark = [pytest.mark.slow]


def unchanged(model: onnx.ModelProto) -> None:
    """The control: nothing is wrong."""


def halo_off_by_one(model: onnx.ModelProto) -> None:
    """One box rule, in the middle of the network, forgets a row of its halo."""
    rules = nodes_of(model, "WindowBoxes")
    rule = next(node for node in rules[3:] if list(attribute_of(node, "kernel_shape").ints) == [3, 3])
    attribute_of(rule, "kernel_shape").ints[0] -= 1


def dropped_tap(model: onnx.ModelProto) -> None:
    """One convolution of the body loses one of its nine taps."""
    conv = next(
        node
        for node in nodes_of(model, "IncrementalConv")[3:]
        if list(attribute_of(node, "kernel_shape").ints) == [3, 3]
    )
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == conv.input[3])
    array = numpy_helper.to_array(weight).copy()
    array[:, :, 2, 1] = 0
    model.graph.initializer.append(numpy_helper.from_array(array, "mutant"))
    conv.input[3] = "mutant"


def wrong_divisor(model: onnx.ModelProto) -> None:
    """Average pools divide by the taps inside the image where the network counts the pads as well."""
    for node in nodes_of(model, "IncrementalAveragePool"):
        attribute_of(node, "count_include_pad").i ^= 1


def wrong_branch(model: onnx.ModelProto) -> None:
    """One activation clips at a small negative number."""
    attribute_of(next(node for node in nodes_of(model, "IncrementalConv") if len(node.input) > 4), "min").f = -0.01


MUTANTS = [halo_off_by_one, dropped_tap, wrong_divisor, wrong_branch]


@pytest.fixture(scope="module")
def network():
    from models.export import exported

    path = exported("inception_v3")
    compiled, _ = compile(path, verify=False)
    image = texture(299, 3)
    boxes = sample_boxes((299, 299), np.random.default_rng(2))[1::6]
    naive = naive_model(path, image, "NCHW")
    base = naive.session.run(None, {"input": image})[0]
    return compiled, image, boxes, naive.rows(boxes, np.zeros_like(image)), base


@pytest.mark.parametrize("mutate", [unchanged, *MUTANTS], ids=lambda mutate: mutate.__name__)
def test_every_mutant_is_caught(network, mutate: Callable[[onnx.ModelProto], None]) -> None:
    compiled, image, boxes, expected, base = network
    model = onnx.ModelProto()
    model.CopyFrom(compiled)
    mutate(model)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(get_library_path())
    session = ort.InferenceSession(model.SerializeToString(), options)
    found = session.run(["scores"], {"input": image, "boxes": boxes, "baseline": np.zeros_like(image)})[0]
    exact = worst_error(found, expected, base) <= 1
    assert exact == (mutate is unchanged)
