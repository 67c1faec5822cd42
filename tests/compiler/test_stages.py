"""Every pass of every stage: it finds what it requires, ensures what it says, and leaves a valid model.

On the small relatives of the zoo's families, exported by torch, and without any model on the order alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from krypton_compile.compiler.trace_files import body_to_proto
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.files.loading import load_proto
from krypton_compile.passes.body import BODY, COUNTING, IncrementalBody, begin_body
from krypton_compile.passes.frontend import FRONTEND, SourceModel
from krypton_compile.passes.frontend.read_graph import read_graph
from krypton_compile.passes.interface import find_interface
from krypton_compile.passes.runner import Pass, Property, run
from krypton_compile.passes.simplify import CLEAN_UP, SIMPLIFY
from krypton_compile.passes.simplify.properties import FIXED_IMAGE
from tests.support.graphs import floats, ints, parse

STAGES: dict[str, tuple[tuple[Pass[Any], ...], tuple[Property[Any], ...]]] = {
    # the passes, and what holds before the first of them
    "frontend": (FRONTEND, ()),
    "simplify": (SIMPLIFY, (FIXED_IMAGE,)),
    "body": (BODY, ()),
    "counting": (COUNTING, ()),
    "clean up": (CLEAN_UP, (FIXED_IMAGE,)),
}
RELATIVES = "preactivation,cbam,unet,unet bilinear,densenet,shufflenet,gated,convnext,signal"
HALF, DOUBLE, UINT8 = onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.UINT8
HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"


def missing(passes: Sequence[Pass[Any]], start: Sequence[Property[Any]]) -> list[str]:
    """What passes of a stage require and nothing before them has ensured."""
    held, found = set(start), []
    for each in passes:
        found += [f"{each.name} requires '{one.name}'" for one in each.requires if one not in held]
        held = (held - set(each.breaks)) | set(each.ensures)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_each_pass_stands_behind_what_ensures_what_it_requires(stage: str) -> None:
    assert not missing(*STAGES[stage])


def test_another_order_would_be_seen() -> None:
    swapped = list(BODY)
    first, second = ([each.name for each in BODY].index(name) for name in ("propagate_boxes", "fuse_epilogue"))
    swapped[first], swapped[second] = swapped[second], swapped[first]
    assert "fuse_epilogue requires 'the growth at each convolution is known'" in missing(swapped, ())
    assert missing([each for each in SIMPLIFY if each.name != "measure_shapes"], (FIXED_IMAGE,))


@pytest.mark.parametrize("stage", STAGES)
def test_a_pass_has_one_name_and_every_property_is_ensured_by_one(stage: str) -> None:
    passes, start = STAGES[stage]
    changes: dict[str, object] = {}
    for each in passes:
        assert changes.setdefault(each.name, each.change) is each.change, f"two passes are called {each.name}"
        assert each.only_after is None or each.only_after in changes
    if stage != "counting":
        ensured = {one for each in passes for one in each.ensures} | set(start)
        assert {one for each in passes for one in (*each.requires, *each.breaks)} <= ensured | {FIXED_IMAGE}


def check_valid(model: onnx.ModelProto) -> None:
    """Onnx's checker on the model, whose outputs have no shapes until they are inferred."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in copy.graph.output:
        value.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(copy)


def checked(
    passes: Sequence[Pass[Any]], start: Sequence[Property[Any]], to_proto: Callable[[Any], onnx.ModelProto]
) -> list[Pass[Any]]:
    """The same passes; each looks whether it has what it requires and keeps what it says."""
    held = set(start)

    def check(each: Pass[Any], subject: object) -> int:
        for one in each.requires:
            assert one.violation(subject) is None, f"before {each.name}: {one.name}: {one.violation(subject)}"
        before = to_proto(subject).SerializeToString(deterministic=True)
        count = each.change(subject)
        proto = to_proto(subject)
        check_valid(proto)
        held.difference_update(each.breaks)
        held.update(each.ensures)
        for one in held:
            assert one.violation(subject) is None, f"after {each.name}: {one.name}: {one.violation(subject)}"
        content = proto.SerializeToString(deterministic=True)
        assert count or content == before, f"{each.name} says that it changed nothing"
        if each.idempotent:
            each.change(subject)
            assert to_proto(subject).SerializeToString(deterministic=True) == content, f"{each.name}, a second time"
        return count

    return [replace(each, change=lambda subject, each=each: check(each, subject)) for each in passes]


def run_all(source: SourceModel, target: str = "cpu") -> IncrementalBody:
    """All stages, checked."""
    run(checked(FRONTEND, (), lambda source: source.proto), source)
    model = read_graph(source)
    assert FIXED_IMAGE.violation(model) is None
    run(checked(SIMPLIFY, (FIXED_IMAGE,), ir.to_proto), model)
    kinds = {value.dtype for node in model.graph for value in node.outputs}
    assert not kinds & {ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
    interface = find_interface(model.graph, layout=source.layout)
    shape = interface.image_shape
    grid = occlusion_grid(shape, [min(8, size) for size in shape], (8,) * len(shape))
    body = begin_body(model, interface, grid, target=target)
    run(checked(BODY, (), lambda body: body_to_proto(body, None)), body)
    run(checked(CLEAN_UP, (), lambda model: body_to_proto(body, None)), model)
    return body


@pytest.mark.slow
@pytest.mark.parametrize("name", RELATIVES.split(","))
def test_passes_keep_what_they_say_on_small_relatives(name: str) -> None:
    pytest.importorskip("torch")
    from models.zoo.small import SMALL, exported

    assert set(SMALL) == set(RELATIVES.split(","))
    run_all(SourceModel(load_proto(exported(name))))


SPELLINGS = {
    "pads and constants": (
        "k = Add(c2, c2) p = Pad(x, pads, k) c = Conv(p, w) s = Mul(c, half) r = Sum(s, s, s) h = Max(r, zero)",
        {"c2": floats(0), "pads": ints(0, 0, 1, 1, 0, 0, 1, 1), "half": floats(0.5), "zero": floats(0)},
    ),
    "a shuffle": (
        "c = Conv(x, w) a = Reshape(c, apart) t = Transpose<perm=[0,2,1,3,4]>(a) b = Reshape(t, together) h = Relu(b)",
        {"apart": ints(1, 2, 4, 15, 17), "together": ints(1, 8, 15, 17)},
    ),
    "blocks": (
        """c = Conv(x, w) p = Pad(c, pads) a = Reshape(p, apart) t = Transpose<perm=[0,1,3,5,2,4]>(a)
        b = Reshape(t, together) d = Identity(b) e = Conv(d, v) h = Relu(e)""",
        {
            "pads": ints(0, 0, 0, 0, 0, 0, 1, 1),
            "apart": ints(1, 8, 8, 2, 9, 2),
            "together": ints(1, 32, 8, 9),
            "v": (8, 32, 1, 1),
        },
    ),
    "maps in other axes": (
        """c = Conv(x, w) a = Reshape(c, tokens) t = Transpose<perm=[0,2,1]>(a) m = MatMul(t, v) r = Relu(m)
        b = Transpose<perm=[0,2,1]>(r) d = Reshape(b, back) e = Slice(d, first, last, rows)
        k = Concat<axis=2>(e, d) h = Transpose<perm=[0,1,3,2]>(k)""",
        {
            "tokens": ints(0, 8, -1),
            "v": (8, 8),
            "back": ints(1, 8, 15, 17),
            "first": ints(3),
            "last": ints(5),
            "rows": ints(2),
        },
    ),
    "channels apart": (
        """p = Gather<axis=1>(x, one) q = Mul(p, half) k = Unsqueeze(q, axis) l = Slice(x, axis, end, axis)
        i = Concat<axis=1>(l, k) j = ScatterND(i, where, k) c = Conv(j, w) h = Relu(c)""",
        {
            "one": np.int64(0),
            "half": np.float32(0.5),
            "axis": ints(1),
            "end": ints(3),
            "where": np.stack(np.meshgrid([0], [1], range(17), range(19), indexing="ij"), axis=-1),
            "w": (8, 3, 3, 3),
        },
    ),
    "quantized weights": (
        "q8 = DequantizeLinear(q, scale, point) c = Conv(x, q8) h = Clip(c, low)",
        {
            "q": np.arange(-108, 108, dtype=np.int8).reshape(8, 3, 3, 3),
            "scale": np.float32(0.01),
            "point": np.int8(1),
            "low": np.float32(0),
        },
    ),
    "sizes that only running tells": (
        """c = Conv(x, w) z = Abs(c) m = ReduceMax<keepdims=0>(z) n = Greater(m, less) b = Cast<to=7>(n)
        o = Unsqueeze(b, first) t = Concat<axis=0>(o, rest) h = Tile(c, t)""",
        {"less": np.float32(-1), "first": ints(0), "rest": ints(1, 1, 1)},
    ),
}


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("kind", SPELLINGS)
def test_passes_keep_what_they_say_on_what_exporters_write(kind: str, target: str) -> None:
    middle, weights = SPELLINGS[kind]
    used = {"w": (8, 3, 3, 3)} if "x, w)" in middle or "p, w)" in middle else {}
    run_all(SourceModel(parse(f"{middle} {HEAD}", image="float[1,3,17,19] x", fw=(5, 8), **used, **weights)), target)


AS_DATA_SETS_HAVE_THEM = {
    "a grey image of bytes": (
        "uint8[N,17,19] x",
        "u = Unsqueeze(x, one) n = Cast<to = 1>(u) c = Conv(n, w) h = Relu(c)",
        {"one": ints(1), "w": (8, 1, 3, 3)},
        {},
    ),
    "an open image beside an idle input": (
        "float[N,c,a,b] x, float[1] phase",
        "idle = Relu(phase) c = Conv(x, w) h = Relu(c)",
        {"w": (8, 3, 3, 3)},
        {"image_size": (17, 19)},
    ),
    "rows of quantized numbers": (
        "uint8[N,323] x",
        "d = DequantizeLinear(x, scale) n = Reshape(d, shape) c = Conv(n, w) h = Relu(c)",
        {"scale": np.float32(0.02), "shape": ints(-1, 1, 17, 19), "w": (8, 1, 3, 3)},
        {},
    ),
}


@pytest.mark.parametrize("kind", AS_DATA_SETS_HAVE_THEM)
def test_passes_keep_what_they_say_on_images_as_data_sets_have_them(kind: str) -> None:
    image, middle, weights, options = AS_DATA_SETS_HAVE_THEM[kind]
    model = parse(f"{middle} {HEAD} i = ArgMax<axis = 1>(y)", image=image, scores="int64[N,1] i", fw=(5, 8), **weights)
    model.graph.node[0].domain = "ai.onnx"
    run_all(SourceModel(model, **options))


@pytest.mark.parametrize("kind", [HALF, DOUBLE, UINT8])
def test_passes_keep_what_they_say_on_images_of_other_types(kind: int) -> None:
    cast = "i = Cast<to=1>(x)" if kind == UINT8 else "i = Identity(x)"
    model = parse(f"{cast} c = Conv(i, w) h = Relu(c) {HEAD}", image="float[N,3,17,19] x", w=(8, 3, 3, 3), fw=(5, 8))
    model.graph.input[0].type.tensor_type.elem_type = kind
    if kind != UINT8:
        model.graph.output[0].type.tensor_type.elem_type = kind
        for tensor in model.graph.initializer:
            array = onnx.numpy_helper.to_array(tensor)
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(dtype), tensor.name))
    source = SourceModel(model)
    run_all(source)
    assert len(source.notes) == 1
    assert source.pictures == (["x"] if kind == UINT8 else [])


def test_a_failing_pass_is_named_and_seen() -> None:
    def fail(subject: list[str]) -> int:
        raise KeyError("nothing")

    def add(subject: list[str]) -> int:
        subject.append("added")
        return 1

    seen = []
    passes = [
        Pass("first", add),
        Pass("after none", add, only_after="none"),
        Pass("after first", add, only_after="first"),
        Pass("fails", fail),
        Pass("never", add),
    ]
    subject: list[str] = []
    with pytest.raises(KeyError) as error:
        run(passes, subject, lambda name, subject, seconds, failure: seen.append((name, len(subject), failure)))
    assert error.value.__notes__ == ["in the pass fails"]
    assert seen == [("first", 1, None), ("after first", 2, None), ("fails", 2, error.value)]
