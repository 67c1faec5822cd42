"""Whatever else an exporter may put into a file: it compiles and is exact, or is refused with the remedy."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.errors import ModelError
from tests.support.graphs import became, compile_and_check, floats, ints, parse, reasons

STEM = "c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c)"
POOLED = "g = GlobalAveragePool(h) f = Flatten(g)"
HEAD = f"{POOLED} y = Gemm<transB=1>(f, fw)"
WEIGHTS = {"w0": (8, 3, 3, 3), "fw": (5, 8)}


def network(middle: str, **weights) -> onnx.ModelProto:
    return parse(f"{STEM} {middle} {HEAD}", **WEIGHTS, **weights)


def with_weights(text: str) -> onnx.ModelProto:
    """A model of text that ``parse`` cannot frame, with the weights of ``network``."""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(network("h = Identity(r)").graph.initializer)
    return model


def test_functions_are_inlined() -> None:
    model = with_weights(f"""
        <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        small (float[N,3,17,19] x) => (float[N,5] y) {{ h = local.block<around=[1,1,1,1]>(x, w0) {HEAD} }}
        <domain: "local", opset_import: ["" : 17, "local" : 1]>
        block <around> (a, w) => (b) {{ c = Conv<pads: ints = @around>(a, w) b = local.act(c) }}
        <domain: "local", opset_import: ["" : 17]>
        act (a) => (b) {{ b = Relu(a) }}
    """)
    assert [layer.op for layer in compile_and_check(model).layers][:2] == ["Conv", "Relu"]


BRANCHES = """
    h = If(q) <
        then_branch = yes () => (float[N,8,17,19] t) { t = Relu(c) },
        else_branch = no () => (float[N,8,17,19] e) { e = Neg(c) }
    >
"""
CONTROL = {
    # The condition is a constant of the image's size, so only one branch is left.
    "If of a size": (
        "s = Shape(c) n = Slice(s, one, two) q1 = Equal(n, eight) q = Squeeze(q1)" + BRANCHES,
        {"one": ints(1), "two": ints(2), "eight": ints(8)},
        None,
    ),
    "If": (  # about half of the boxes take either branch
        "s = ReduceMean<keepdims=0>(c) q = Greater(s, k)" + BRANCHES.replace("Neg(c)", "Mul(c, k2)"),
        {"k": np.float32(0.0115), "k2": np.float32(-0.5)},
        "If",
    ),
    "Loop over what it is given": (
        (
            "h = Loop(n, yes, c) <body = b (int64 i, bool go, float[N,8,17,19] a) => (bool on, float[N,8,17,19] z) "
            "{ on = Identity(go) d = Relu(a) z = Mul(d, k) }>"
        ),
        {"n": np.int64(3), "yes": np.bool_(True), "k": np.float32(0.7)},
        "Loop",
    ),
    "Loop over what lies outside": (
        (
            "z0 = Mul(c, k) h = Loop(n, yes, one) <body = b (int64 i, bool go, float[1,8,17,19] a) => "
            "(bool on, float[1,8,17,19] z) { on = Identity(go) d = Relu(c) z = Add(a, d) }>"
        ),
        {"n": np.int64(2), "yes": np.bool_(True), "k": np.float32(0.7), "one": np.ones((1, 8, 17, 19), np.float32)},
        "Loop",
    ),
}


@pytest.mark.parametrize("kind", CONTROL)
def test_control_flow(kind: str) -> None:
    middle, weights, op = CONTROL[kind]
    report = compile_and_check(network(middle.replace("r = Relu(c)", ""), **weights))
    assert "incremental" in became(report, "Conv")
    if op is None:
        assert not became(report, "If")
    else:
        assert became(report, op) == {"dense"}


CONSTANTS = {
    "numbers": "k = Constant<value_float = 0.5>() h = Mul(r, k)",
    "lists": (
        "k = Constant<value_ints = [3,1,2,0,7,6,5,4]>() i = Gather<axis=1>(r, k) "
        "j = Constant<value_floats = [0.5]>() h = Add(i, j)"
    ),
    "a whole number": "k = Constant<value_int = 2>() i = Cast<to=1>(k) h = Mul(r, i)",
}


@pytest.mark.parametrize("kind", CONSTANTS)
def test_constants_of_every_form(kind: str) -> None:
    report = compile_and_check(network(CONSTANTS[kind]))
    assert {layer.became for layer in report.layers if "class vector" not in layer.reason} == {"incremental"}


@pytest.mark.parametrize("where", ["initializer", "node", "node of coordinates"])
def test_sparse_constants(where: str) -> None:
    model = network("k = Reshape(sparse, to) h = Add(r, k)", to=ints(1, 8, 1, 1))
    if where == "node of coordinates":
        model = network("h = Mul(r, sparse)")
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [2], [0.5, 2.0])
    flat = helper.make_tensor("i", TensorProto.INT64, [2], [1, 5])
    pairs = helper.make_tensor("i", TensorProto.INT64, [2, 3], [1, 0, 0, 5, 0, 0])
    if where == "node of coordinates":
        constant = helper.make_sparse_tensor(values, pairs, [8, 1, 1])
    else:
        constant = helper.make_sparse_tensor(values, flat, [8])
    if where == "initializer":
        model.graph.sparse_initializer.append(constant)
    else:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["sparse"], sparse_value=constant))
    assert compile_and_check(model).incremental_share == 1


def test_initializers_that_are_inputs_too() -> None:
    model = network("h = Identity(r)")
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    assert compile_and_check(model).incremental_share == 1


def test_weights_in_another_folder_and_weights_that_are_missing(tmp_path: Path, capsys) -> None:
    (tmp_path / "weights").mkdir()
    model = network("h = Identity(r)")
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="weights/all.bin", size_threshold=0
    )  # fmt: skip
    assert compile_cli.main([str(tmp_path / "m.onnx")]) == 0
    (tmp_path / "weights" / "all.bin").unlink()
    capsys.readouterr()
    assert compile_cli.main([str(tmp_path / "m.onnx")]) == 2
    assert "all.bin" in capsys.readouterr().err


def test_a_batch_of_four_becomes_one() -> None:
    body = f"{STEM} g = GlobalAveragePool(r) f = Reshape(g, to) y = Gemm<transB=1>(f, fw)"
    model = parse(body, image="float[4,3,17,19] x", scores="float[4,5] y", to=ints(4, 8), **WEIGHTS)
    one = parse(body, to=ints(1, 8), **WEIGHTS)
    (compiled, report), (expected, _) = compile(model), compile(one)
    assert report.incremental_share == 1
    assert "4 images" in "\n".join(report.lines())
    assert [node.op_type for node in compiled.graph.node] == [node.op_type for node in expected.graph.node]


def test_a_batch_whose_images_meet_is_refused() -> None:
    body = f"{STEM} m = ReduceMean<axes=[0], keepdims=1>(r) d = Sub(r, m) s = Relu(d) {HEAD.replace('(h)', '(s)')}"
    model = parse(
        body, image="float[4,3,17,19] x", scores="float[4,5] y", **WEIGHTS
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"batch of 4.*dynamic batch"):
        compile(model)


def test_symbolic_sizes_and_shape_arithmetic() -> None:
    middle = (
        "s = Shape(r) n = Slice(s, o, p) k = Slice(s, p, q) m = Mul(k, two) z = Concat<axis=0>(n, m) "
        'u = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(r, , , z) '
        "h = MaxPool<kernel_shape=[2,2], strides=[2,2]>(u)"
    )
    constants = {"o": ints(0), "p": ints(2), "q": ints(4), "two": ints(2, 2)}
    model = parse(f"{STEM} {middle} {HEAD}", image="float[N,3,H,W] x", **WEIGHTS, **constants)
    assert compile_and_check(model, image_size=(17, 19)).incremental_share == 1


def doubled(image: str, body: str) -> onnx.ModelProto:
    model = parse(body, image=f"{image}[N,3,17,19] x", scores=f"{image}[N,5] y", **WEIGHTS)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    return model


@pytest.mark.parametrize("inside", [False, True])
def test_double_models_are_those_of_float32(inside: bool) -> None:
    plain = f"{STEM} h = Identity(r) {HEAD}"
    cast = f"d = Cast<to=11>(x) {plain.replace('(x,', '(d,').replace('y =', 'e =')} y = Cast<to=1>(e)"
    compiled, report = compile(doubled("float", cast) if inside else doubled("double", plain))
    assert report.incremental_share == 1
    assert "64 bits" in "\n".join(report.lines())
    assert compiled.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize("dtype", ["int64", "bool", "int8"])
def test_images_of_other_types_are_taken_as_floats(dtype: str) -> None:
    body = f"z = Cast<to=1>(x) {STEM.replace('(x,', '(z,')} h = Identity(r) {HEAD}"
    _, report = compile(parse(body, image=f"{dtype}[N,3,17,19] x", **WEIGHTS))
    assert report.incremental_share == 1


def test_dropout_in_training_mode_is_what_onnxruntime_makes_of_it() -> None:
    """Nothing."""
    report = compile_and_check(network("h = Dropout(r, k, yes)", k=np.float32(0.5), yes=np.bool_(True)))
    assert became(report, "Dropout") == {"incremental"}


def test_a_norm_without_running_statistics_is_one_of_the_image() -> None:
    """As PyTorch's older exporter writes track_running_stats=False, with statistics that are the image's own."""
    norm = {"s": (8,), "b": (8,)}
    statistics = (
        "m = ReduceMean<axes = [0, 2, 3], keepdims = 0>(c) m4 = ReduceMean<axes = [0, 2, 3], keepdims = 1>(c)"
        "d = Sub(c, m4) e = Mul(d, d) v = ReduceMean<axes = [0, 2, 3], keepdims = 0>(e)"
    )
    report = compile_and_check(
        network(f"{statistics} n, m2, v2 = BatchNormalization<training_mode=1>(c, s, b, m, v) h = Relu(n)", **norm)
    )
    assert reasons(report, "InstanceNormalization").startswith("its statistics are of the whole map")


def test_normalization_in_training_mode_is_refused() -> None:
    norm = {"s": (8,), "b": (8,), "m": (8,), "v": np.ones(8, np.float32)}
    with pytest.raises(ModelError, match=r"BatchNormalization.*training mode.*eval mode"):
        compile(network("h, m2, v2 = BatchNormalization<training_mode=1>(c, s, b, m, v)", **norm))


def test_random_numbers_are_refused() -> None:
    with pytest.raises(ModelError, match=r"RandomNormalLike.*random numbers.*eval mode"):
        compile(network("n = RandomNormalLike(r) h = Add(r, n)"))


def test_a_size_on_which_onnx_and_onnxruntime_disagree_is_refused() -> None:
    with pytest.raises(ModelError, match=r"Conv.*pads as numbers.*SAME_UPPER with dilations \[2, 3\].*explicit pads"):
        compile(network('h = Conv<auto_pad="SAME_UPPER", dilations=[2,3]>(r, w1)', w1=(8, 8, 3, 3)))
    with pytest.raises(ModelError, match=r"LpPool.*pads as numbers.*SAME_LOWER with dilations \[2, 2\].*explicit pads"):
        compile(network('h = LpPool<auto_pad="SAME_LOWER", kernel_shape=[3,3], dilations=[2,2]>(r)', opset=18))


ONE_CLASS = {"one": (1, 8), "axis": ints(1)}
OUTPUTS = {
    "one class": ("y = Gemm<transB=1>(f, one)", "float[N,1] y", {"one": (1, 8)}),
    "without its class axis": ("q = Gemm<transB=1>(f, one) y = Squeeze(q, axis)", "float[N] y", ONE_CLASS),
    "without its batch axis": ("q = Gemm<transB=1>(f, fw) y = Squeeze(q, axis)", "float[5] y", {"axis": ints(0)}),
    "a scalar": ("y = ReduceMean<keepdims=0>(f)", "float y", {}),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_scores_of_any_rank(kind: str) -> None:
    tail, scores, weights = OUTPUTS[kind]
    compile_and_check(parse(f"{STEM} h = Identity(r) {POOLED} {tail}", scores=scores, **{**WEIGHTS, **weights}))


def sequence_of(kind: str) -> onnx.ModelProto:
    end = "y = SequenceConstruct(p)" if kind == "sequence" else ""
    model = parse(f"{STEM} h = Identity(r) {POOLED} p = Gemm<transB=1>(f, fw) {end}", **WEIGHTS)
    row = helper.make_tensor_type_proto(TensorProto.FLOAT, [] if kind == "ZipMap" else [1, 5])
    if kind == "ZipMap":
        row = helper.make_map_type_proto(TensorProto.INT64, row)
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
        model.graph.node.append(
            helper.make_node("ZipMap", ["p"], ["y"], domain="ai.onnx.ml", classlabels_int64s=list(range(5)))
        )
    model.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(row))
    return model


@pytest.mark.parametrize("kind", ["sequence", "ZipMap"])
def test_scores_that_are_no_tensor(kind: str) -> None:
    model = sequence_of(kind)
    if kind == "ZipMap":  # what it was given are the scores
        _, report = compile(model)
        assert report.incremental_share == 1
        return
    with pytest.raises(ModelError, match=r"output 'y' is a sequence: expected a tensor.*zipmap"):
        compile(model)
    model.graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 5]))
    with pytest.raises(ModelError, match=r"'y' is a sequence.*--output-name \('p'\)"):
        compile(model, output_name="y")
    _, report = compile(model, output_name="p")
    assert report.incremental_share == 1


def test_scores_of_no_class_are_refused() -> None:
    body = f"{STEM} h = Identity(r) {POOLED} q = Gemm<transB=1>(f, fw) y = Slice(q, z, z, o)"
    with pytest.raises(ModelError, match="a class at least"):
        compile(parse(body, scores="float[N,0] y", z=ints(0), o=ints(1), **WEIGHTS))


INDICES = "v, i = MaxPool<kernel_shape=[2,2]>(r) j = Cast<to=1>(i) l = Mul(j, k) h = Add(v, l)"
NOT_ZERO = "i = NonZero(r) j = Cast<to=1>(i) k = ReduceMean<keepdims=0>(j) h = Add(r, k)"
SEQUENCE = "q = SplitToSequence<axis=1>(r) a = ConcatFromSequence<axis=1>(q) h = Relu(a)"
ODD = {
    "several outputs": ("v, i = TopK<axis=1>(r, k) j = Cast<to=1>(i) h = Add(v, j)", {"k": ints(8)}, "TopK"),
    "indices of a pool": (INDICES, {"k": floats(1e-3)}, "MaxPool"),
    "optional inputs": ("k = ReduceMax<keepdims=0>(r) l = Mul(k, j) h = Clip(c, , l)", {"j": np.float32(0.4)}, "Clip"),
    "a sequence": (SEQUENCE, {}, "SplitToSequence"),
    "sums and shuffles of such a size": (
        """
        i = NonZero(r) j = Cast<to=1>(i) s0 = Sum(j, j, j) s1 = Reshape(s0, to) s2 = Transpose<perm=[0,2,1]>(s1)
        s3 = Reshape(s2, back) k = ReduceMean<keepdims=0>(s3) l = Mul(k, t) h = Add(r, l)
        """,
        {"to": ints(2, 2, -1), "back": ints(2, -1), "t": np.float32(0.1)},
        "NonZero",
    ),
    "a size that depends on the image": (NOT_ZERO, {}, "NonZero"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_ops_are_dense_and_exact(kind: str) -> None:
    middle, weights, op = ODD[kind]
    report = compile_and_check(network(middle, **weights))
    assert "dense" in became(report, op)
    assert became(report, "Conv") == {"incremental"}


def test_onnxruntimes_own_ops() -> None:
    """Of theirs onnx knows no shape."""
    model = network("h = Relu(q)")
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node.insert(2, helper.make_node("Trilu", ["r"], ["q"], domain="com.microsoft"))
    report = compile_and_check(model)
    assert reasons(report, "Trilu") == "no incremental rule for Trilu"


def test_ops_that_nobody_knows_are_refused() -> None:
    model = network("h = Relu(q)")
    model.opset_import.append(helper.make_opsetid("nobody", 1))
    model.graph.node.insert(2, helper.make_node("Magic", ["r"], ["q"], domain="nobody"))
    with pytest.raises(ModelError, match=r"does not run in onnxruntime.*Magic"):
        compile(model)


def quantized(kind: str, folder: Path) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.images = iter([rng.standard_normal((1, 3, 17, 19)).astype(np.float32) for _ in range(4)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {"x": image}

    middle = (
        "d = Conv<pads=[1,1,1,1]>(r, w1) e = Add(d, r) k = Relu(e) h = MaxPool<kernel_shape=[2,2], strides=[2,2]>(k)"
    )
    onnx.save(network(middle, w1=(8, 8, 3, 3)), folder / "m.onnx")
    logging.disable(logging.WARNING)  # advice on preprocessing
    try:
        if kind == "dynamic":
            quantize_dynamic(folder / "m.onnx", folder / "q.onnx")
        else:
            quant_format = QuantFormat.QDQ if kind == "QDQ" else QuantFormat.QOperator
            quantize_static(folder / "m.onnx", folder / "q.onnx", Images(), quant_format=quant_format)
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(folder / "q.onnx")


@pytest.mark.parametrize("kind", ["QDQ", "QOperator", "dynamic"])
def test_quantized_networks_are_dense_and_exact(kind: str, tmp_path: Path) -> None:
    report = compile_and_check(quantized(kind, tmp_path))
    first = "DynamicQuantizeLinear" if kind == "dynamic" else "QuantizeLinear"
    assert "rounded after every layer" in reasons(report, first)
    assert report.incremental_share == 0


def test_weights_alone_may_be_quantized() -> None:
    model = parse(f"w = DequantizeLinear(q, s, z) {STEM.replace('w0', 'w')} h = Identity(r) {HEAD}", fw=(5, 8))
    values = np.random.default_rng(0).integers(-90, 90, (8, 3, 3, 3)).astype(np.int8)
    for name, array in (("q", values), ("s", np.float32(0.01)), ("z", np.int8(3))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    report = compile_and_check(model)
    assert report.incremental_share == 1
