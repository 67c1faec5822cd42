"""Models of newer opsets at opset 20, where each of their ops means the same there."""

from __future__ import annotations

import onnx
import pytest

from krypton_compile import compile
from krypton_compile.passes.frontend import SourceModel
from krypton_compile.passes.frontend.cap_opset import CAP, cap_opset
from tests.support.graphs import compile_and_check, floats, parse

HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"


def opset(model: onnx.ModelProto) -> int:
    return next(entry.version for entry in model.opset_import if entry.domain == "")


def network(middle: str, version: int, **weights) -> onnx.ModelProto:
    body = f"c = Conv<pads=[1,1,1,1]>(x, w) r = HardSwish(c) {middle} {HEAD}"
    return parse(body, opset=version, w=(8, 3, 3, 3), fw=(5, 8), **weights)


def capped(model: onnx.ModelProto) -> str:
    """Caps the model's opset; what the report says if it stays."""
    source = SourceModel(model)
    cap_opset(source)
    return "\n".join(source.notes)


@pytest.mark.parametrize("version", [21, 22, 23])
def test_a_network_of_a_newer_opset(version: int) -> None:
    model = network("p = MaxPool<kernel_shape=[2,2]>(r) h = Mish(p)", version)
    compiled, report = compile(model)
    assert opset(model) == version and opset(compiled) == CAP and not report.notes
    assert compile_and_check(model).incremental_share == 1  # against the model of the newer opset


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_what_opset_20_lacks_keeps_the_model_above_and_is_named(target: str) -> None:
    model = network("h = GroupNormalization<num_groups=2>(r, s, s)", 21, s=(8,))
    compiled, report = compile(model, target=target)
    assert opset(compiled) == 21
    assert [note for note in report.notes if "stays above opset 20 (GroupNormalization 'h')" in note]


BRANCHES = (
    "t = Constant<value=bool {1}>() "
    "h = If(t)<then_branch = a () => (float[1,8,17,19] u) { u = Swish(r) }, "
    "else_branch = b () => (float[1,8,17,19] v) { v = Relu(r) }>"
)
KEPT = {
    "an op that opset 20 lacks": ("h = Swish(r)", 24, {}, "Swish 'h'"),
    "an attribute that is not at its default": (
        'h = Cast<to=1, round_mode="down">(r)',
        24,
        {},
        "Cast 'h'",
    ),
    "a type that opset 20 does not take": (
        "z = Constant<value=uint16 {7}>() q = QuantizeLinear(r, s, z) h = DequantizeLinear(q, s, z)",
        21,
        {"s": floats(0.1)},
        "uint16",
    ),
    "in a branch": (
        BRANCHES,
        24,
        {},
        "Swish 'u'",
    ),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_keeps_a_model(kind: str) -> None:
    middle, version, weights, reason = KEPT[kind]
    model = network(middle, version, **weights)
    before = model.SerializeToString(deterministic=True)
    assert reason in capped(model)
    assert model.SerializeToString(deterministic=True) == before


def test_attributes_at_their_defaults_are_dropped() -> None:
    model = network('h = Cast<to=1, round_mode="up">(r)', 24)
    assert capped(model) == "" and opset(model) == CAP
    onnx.checker.check_model(model)
    cast = next(node for node in model.graph.node if node.op_type == "Cast")
    assert [attribute.name for attribute in cast.attribute] == ["to"]


def test_functions_of_a_model_are_capped_with_it() -> None:
    text = """
        <ir_version: 10, opset_import: ["" : 22, "local" : 1]>
        small (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = local.both(x) }
        <domain: "local", opset_import: ["" : 22]>
        both (a) => (c) { b = HardSwish(a) c = Mish(b) }
    """
    model = onnx.parser.parse_model(text)
    assert capped(model) == ""
    assert opset(model) == CAP and opset(model.functions[0]) == CAP
    onnx.checker.check_model(model)


@pytest.mark.parametrize("version", [13, CAP])
def test_older_models_keep_their_opset(version: int) -> None:
    model = network("h = Relu(r)", version) if version == CAP else parse(f"h = Relu(x) {HEAD}", opset=13, fw=(5, 3))
    assert capped(model) == "" and opset(model) == version


def test_every_op_that_changed_since_is_known() -> None:
    """Ops may look as they did at opset 20 and mean something else: of each someone has read what onnx says of it."""
    read = set(READ.split())
    newer = {
        schema.name
        for schema in onnx.defs.get_all_schemas()
        if schema.domain == "" and schema.since_version > CAP and onnx.defs.has(schema.name, CAP, "")
    }
    assert newer <= read, f"read what changed in {sorted(newer - read)}, then add them to cap_opset or here"


READ = """
    Acos Acosh Asin Asinh Atan Atanh AveragePool Bernoulli BitShift Cast CastLike Celu Compress Constant
    ConstantOfShape Conv ConvTranspose Cos Cosh DeformConv DepthToSpace DequantizeLinear Det Dropout Einsum Elu EyeLike
    Flatten GRU GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample GroupNormalization HardSigmoid HardSwish
    Identity If InstanceNormalization LSTM Loop LpNormalization LpPool MaxPool MaxRoiPool MaxUnpool Mish Mod Multinomial
    NegativeLogLikelihoodLoss OneHot Optional OptionalGetElement OptionalHasElement Pad QLinearMatMul QuantizeLinear RNN
    RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range ReduceLogSum ReduceLogSumExp Reshape
    ReverseSequence RoiAlign Round Scan Selu Shape Sin Sinh Size Softplus Softsign SpaceToDepth SplitToSequence Squeeze
    Tan ThresholdedRelu TopK Transpose Unique Unsqueeze
"""
