"""Models that a library trips over, or that are valid in an unusual way: each was found by tests/fuzz."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.errors import KryptonError, ModelError, VerificationError
from krypton_compile.stages import stage
from tests.support.graphs import compile_and_check, parse

BODY = "c = Conv<strides=[1,1]>(x, w) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = Gemm(f, fw)"
WEIGHTS = {"w": (8, 3, 3, 3), "fw": (8, 5)}


def small(body: str = BODY, **options) -> onnx.ModelProto:
    return parse(body, **options, **WEIGHTS)


def test_a_transpose_without_its_permutation_reverses_the_axes() -> None:
    compile_and_check(small("c = Conv(x, w) t = Transpose(c) u = Transpose(t) g = GlobalAveragePool(u) "
                            "f = Flatten(g) y = Gemm(f, fw)"))  # fmt: skip


def test_nodes_in_any_order_compile_as_onnxruntime_runs_them() -> None:
    model = small()
    nodes = list(reversed(model.graph.node))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    compile_and_check(model)


def cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "r"


def two_definitions(model: onnx.ModelProto) -> None:
    model.graph.node.add().CopyFrom(model.graph.node[1])


def lost_weight(model: onnx.ModelProto) -> None:
    del model.graph.initializer[0]


def unknown_op(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Nonsense"


def lost_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "MaxPool"


def cut_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 9


def negative_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -8


def untyped_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 0


def other_rank(model: onnx.ModelProto) -> None:
    array = np.zeros((8, 3, 3), np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "w"))


def no_outputs(model: onnx.ModelProto) -> None:
    del model.graph.output[:]


def huge_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**31


def another_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("age", 1, [1]))
    model.graph.node.append(helper.make_node("Mul", ["g", "age"], ["aged"]))
    next(node for node in model.graph.node if node.op_type == "Flatten").input[0] = "aged"


def nan_weight(model: onnx.ModelProto) -> None:
    array = np.full((8, 3, 3, 3), np.nan, np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "w"))


REFUSED: list[tuple[Callable[[onnx.ModelProto], None], str]] = [
    (cycle, r"node 'c' \(Conv\): its inputs depend on its own outputs"),
    (two_definitions, "not valid ONNX: .*'r'"),
    (lost_weight, "not valid ONNX: .*input 'w' of node"),
    (unknown_op, "not valid ONNX: .*Nonsense"),
    (lost_attribute, "not valid ONNX: .*kernel_shape"),
    (cut_weight, r"tensor 'w' of shape \[9, 3, 3, 3\]: expected 972 bytes, found 864"),
    (negative_weight, r"tensor 'w' of shape \[-8, 3, 3, 3\]: expected sizes of 0 or more"),
    (untyped_weight, "tensor 'w': expected a data type of ONNX, found 0"),
    (other_rank, "shapes of the model contradict each other: .*Conv"),
    (no_outputs, "the model has no outputs"),
    (huge_image, r"input 'x' \[1, 3, 2147483648, 19\]: expected an image of at most"),
    (another_input, r"Python: held=\{name: value\}"),
    (nan_weight, "'y' of the original model is not finite|holds a NaN"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSED, ids=[spoil.__name__ for spoil, _ in REFUSED])
def test_what_is_wrong_is_named_in_one_line(spoil, message: str, tmp_path: Path, capfd, monkeypatch) -> None:
    model = small()
    spoil(model)
    with pytest.raises(KryptonError, match=message):
        compile(model)
    onnx.save(model, tmp_path / "m.onnx")
    # As on a command line, where nobody has set up logging; onnx-ir would show its warnings and tracebacks there.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert compile_cli.main([str(tmp_path / "m.onnx")]) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("krypton-compile: error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_scores_that_are_not_finite() -> None:
    model = small(BODY.replace("y = Gemm(f, fw)", "h = Gemm(f, fw) y = Div(h, zero)"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "zero"))
    with pytest.raises(VerificationError, match="not finite for a random image"):
        compile(model)


def test_a_stage_keeps_the_cause_and_says_what_was_done() -> None:
    for raised, expected in (
        (KeyError("perm"), "cannot do it: KeyError 'perm'. Try."),
        (RuntimeError("two\n  lines."), "cannot do it: RuntimeError two lines. Try."),
        (RuntimeError("a longer\n  message."), "cannot do it: a longer message. Try."),
        (RecursionError("maximum recursion depth exceeded"), "cannot do it: maximum recursion depth exceeded. Try."),
        (MemoryError("Unable to allocate"), "cannot do it: out of memory"),
    ):
        with pytest.raises(ModelError) as found, stage("do it", "Try."):
            raise raised
        assert found.value.__cause__ is raised
        assert str(found.value).startswith(expected)
    with pytest.raises(VerificationError), stage("do it", "Try."):
        raise VerificationError("our own errors pass")


MISFITS = {
    "weights of another rank": (
        "c = Conv<kernel_shape=[3,3]>(x, w) g = GlobalAveragePool(c) f = Flatten(g) y = Gemm(f, fw)",
        {"w": (1, 3, 8, 3, 3), "fw": (1, 5)},
        "its weights [1, 3, 8, 3, 3] are not those of a picture",
    ),
    "too few rows": (
        "c = Conv(x, w) f = Flatten(c) y = Gemm<transB=1>(f, fw, fb)",
        {"fw": (5, 8), "fb": (5,), "opset": 8},
        "its weights have 8 rows for 2040 numbers",
    ),
    "axes in a matrix": (
        "c = Conv(x, w) n = InstanceNormalization(c, s, s) g = GlobalMaxPool(n) f = Squeeze(g, axes) y = Gemm(f, fw)",
        {"s": np.ones(8, np.float32), "axes": np.array([[2, 3]])},
        "",
    ),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_shape_inference_lets_pass(misfit: str) -> None:
    """These do not run in onnxruntime: the report says what does not fit, and verifying says that they do not run."""
    text, weights, reason = MISFITS[misfit]
    model = parse(text, **{**WEIGHTS, **weights})
    with pytest.raises(VerificationError, match="the original model does not run in onnxruntime"):
        compile(model)
    _, report = compile(model, verify=False)
    assert any(reason in layer.reason for layer in report.layers)
