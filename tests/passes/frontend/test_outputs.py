"""The class scores among what exporters leave as outputs: maps, labels, choices, several rows, more axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.contract.annotations import LABELS_KEY, read_labels
from krypton_compile.errors import ModelError, OcclusionError, VerificationError
from krypton_compile.runtime import OcclusionSession
from tests.support.graphs import floats, ints, parse

BODY = "c = Conv(x, w) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) l = MatMul(f, fw)"
WEIGHTS = {"w": (8, 3, 3, 3), "fw": (8, 5)}
NAMES = ["ant", "bee", "cat", "dog", "elk"]


def classifier(rest: str, scores: str, **more: object) -> onnx.ModelProto:
    return parse(f"{BODY} {rest}", scores=scores, **WEIGHTS, **more)


def custom_vision(*, map_alone: bool = False) -> onnx.ModelProto:
    """As Custom Vision, ML.NET and skl2onnx leave a classifier."""
    model = classifier("p = Softmax<axis = 1>(l) i = ArgMax<axis = 1, keepdims = 0>(p)", "float[N,5] p")
    model.opset_import.add(domain="ai.onnx.ml", version=2)
    ml = "ai.onnx.ml"
    keys = {"keys_int64s": list(range(5)), "values_strings": NAMES}
    encode = helper.make_node("LabelEncoder", ["i"], ["classLabel"], domain=ml, **keys)
    zip_map = helper.make_node("ZipMap", ["p"], ["loss"], domain=ml, classlabels_strings=NAMES)
    model.graph.node.extend([encode, zip_map])
    loss = onnx.ValueInfoProto(name="loss")
    loss.type.sequence_type.elem_type.map_type.key_type = TensorProto.STRING
    loss.type.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = TensorProto.FLOAT
    del model.graph.output[:]
    label = helper.make_tensor_value_info("classLabel", TensorProto.STRING, ["N"])
    model.graph.output.extend([loss] if map_alone else [label, loss])
    return model


def stored_labels(compiled: onnx.ModelProto) -> list[str] | None:
    found = {entry.key: entry.value for entry in compiled.metadata_props}
    return list(read_labels(found[LABELS_KEY])) if LABELS_KEY in found else None


def check(model: onnx.ModelProto, tensor: str, path: Path, index: tuple[object, ...] = (), **options: object) -> None:
    """The compiled scores are the tensor's, on really occluded images; verifying by the original's file says so."""
    onnx.save(model, path / "m.onnx")
    compile(path / "m.onnx", path / "m.krypton.onnx", **options)
    session = OcclusionSession(path / "m.krypton.onnx", preprocessing="unit")
    image = np.random.default_rng(0).uniform(0, 1, session.image_shape).astype(np.float32)
    hidden = image.copy()
    hidden[:, :, 2:9, 3:8] = 0
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    wider.graph.output.append(onnx.ValueInfoProto(name=tensor))
    naive = ort.InferenceSession(wider.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = naive.run([tensor], {"x": hidden})[0][(slice(None), *index)]
    found = session.score_boxes(image, [[2, 3, 7, 5]])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    explanation = session.explain(image, 5, 4)
    assert "within" in session.verify(explanation, image, path / "m.onnx", 4).describe()


@pytest.mark.parametrize("map_alone", [False, True])
def test_a_map_is_the_tensor_that_it_was_made_of(map_alone: bool, tmp_path: Path) -> None:
    model = custom_vision(map_alone=map_alone)
    compiled, report = compile(model)
    assert any("output 'loss' is a map: its tensor 'p' is taken" in note for note in report.notes)
    assert stored_labels(compiled) == NAMES
    assert stored_labels(compile(model, labels=list("abcde"))[0]) == list("abcde")
    check(model, "p", tmp_path)


def test_a_map_that_is_named_is_its_tensor_too(tmp_path: Path) -> None:
    check(custom_vision(), "p", tmp_path, output_name="loss")


def test_names_that_a_gather_looks_up() -> None:
    model = classifier("i = ArgMax<axis = 1, keepdims = 0>(l) y = Gather(names, i)", "string[N] y, float[N,5] l")
    model.graph.initializer.append(numpy_helper.from_array(np.array(NAMES, dtype=object), "names"))
    compiled, _ = compile(model)
    assert stored_labels(compiled) == NAMES


@pytest.mark.parametrize(
    ("rest", "scores"),
    [
        ("i = ArgMax<axis = 1>(l)", "int64[N,1] i"),
        ("i = ArgMax<axis = 1>(l)", "int64[N,1] i, float[N,5] l"),
        ("i = ArgMax<axis = 1>(l)", "float[N,5] l, int64[N,1] i"),
        ("v, i = TopK(l, three)", "float[N,3] v, int64[N,3] i"),
        ("z = ArgMax<axis = 1>(l) i = Cast<to = 6>(z)", "int32[N,1] i"),
        ("z = Greater(l, zero)", "bool[N,5] z"),
    ],
)
def test_choices_of_classes_are_the_scores_they_are_made_from(rest: str, scores: str, tmp_path: Path) -> None:
    check(classifier(rest, scores, three=ints(3), zero=floats(0)), "l", tmp_path)


def test_one_row_of_scores_among_maps_is_taken(tmp_path: Path) -> None:
    check(classifier("", "float[N,8,15,17] r, float[N,5] l, float[N,8,1,1] g"), "l", tmp_path)
    check(classifier("z = Identity(k)", "float[N,5] l, float[5] z", k=floats(1, 2, 3, 4, 5)), "l", tmp_path)
    compiled, report = compile(classifier("", "float[N,8,15,17] r, float[N,5] l"))
    assert any("several outputs: 'l' is taken" in note and "'r'" in note for note in report.notes)
    assert len(compiled.graph.output) == 2


def test_probabilities_are_taken_with_their_logits(tmp_path: Path) -> None:
    model = classifier("p = Softmax<axis = 1>(l)", "float[N,5] l, float[N,5] p")
    check(model, "p", tmp_path)
    assert [value.name for value in compile(model)[0].graph.output][2:] == ["logits", "base_logits"]


def test_scores_of_64_bits_are_rounded(tmp_path: Path) -> None:
    check(classifier("y = Cast<to = 11>(l)", "double[N,5] y"), "y", tmp_path)


def test_several_rows_are_asked_for(tmp_path: Path, capsys) -> None:
    model = classifier("", "float[N,5] l, float[N,8] f")
    with pytest.raises(ModelError, match=r"several outputs.*--output-name"):
        compile(model)
    check(model, "f", tmp_path, output_name="f")


def test_any_tensor_may_be_named(tmp_path: Path) -> None:
    check(classifier("y = Relu(l)", "float[N,5] y"), "l", tmp_path, output_name="l")
    with pytest.raises(ModelError, match="no output is called 'nothing'"):
        compile(classifier("y = Relu(l)", "float[N,5] y"), output_name="nothing")


TOKENS = "q = Gemm(f, wide) y = Reshape(q, sh)"


@pytest.mark.parametrize(
    ("shape", "index", "text"),
    [
        ((-1, 4, 5), -1, "-1"),
        ((-1, 4, 5), (2,), "2"),
        ((-1, 5, 4), (None, -1), ":,-1"),
        ((-1, 2, 2, 5), (0, 1), "0,1"),
        ((-1, 2, 5, 2), (1, None, 0), "1,:,0"),
    ],
)
def test_an_element_of_the_scores(shape, index, text: str, tmp_path: Path) -> None:
    scores = f"float[{','.join(['N', *map(str, shape[1:])])}] y"
    model = classifier(TOKENS, scores, wide=(8, 20), sh=ints(*shape))
    with pytest.raises(ModelError, match=r"no row of class scores.*--output-index"):
        compile(model)
    indices = (index,) if isinstance(index, int) else index
    plain = tuple(slice(None) if at is None else at for at in indices)
    check(model, "y", tmp_path, plain, output_index=index)
    assert compile_cli.main([str(tmp_path / "m.onnx"), f"--output-index={text}"]) == 0


def test_an_index_that_does_not_fit(capsys, tmp_path: Path) -> None:
    model = classifier("", "float[N,5] l")
    with pytest.raises(ModelError, match=r"--output-index 0,1: output 'l' has 2 axes"):
        compile(model, output_index=(0, 1))
    tokens = classifier(TOKENS, "float[N,4,5] y", wide=(8, 20), sh=ints(-1, 4, 5))
    with pytest.raises(ModelError, match=r"output 'y' has 4 entries on axis 1; expected an index from -4 to 3"):
        compile(tokens, output_index=4)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(SystemExit):
        compile_cli.main([str(tmp_path / "m.onnx"), "--output-index", "last"])
    assert "expected indices with commas between" in capsys.readouterr().err


DEAD = {
    "masked": ("s = Add(l, m)", {"m": floats(0, 0, -np.inf, 0, 0)}),
    "chosen": ("s = Where(k, l, low)", {"k": np.array([True, True, False, True, True]), "low": floats(-np.inf)}),
    "not trained": ("s = Add(l, m)", {"m": floats(0, 0, np.nan, 0, 0)}),
}


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("end", ["y = Identity(s)", "y = Sigmoid(s)"])
def test_a_class_that_is_not_finite_does_not_block_the_others(dead: str, end: str, tmp_path: Path) -> None:
    text, more = DEAD[dead]
    model = classifier(f"{text} {end}", "float[N,5] y", **more)
    check(model, "y", tmp_path)
    session = OcclusionSession(tmp_path / "m.krypton.onnx", preprocessing="unit")
    picture = np.random.default_rng(0).integers(0, 256, (17, 19, 3), np.uint8)
    explanation = session.explain(picture, 5, 4)
    assert explanation.target != 2
    assert np.isfinite(explanation.values()).all()
    explanation.save(tmp_path / "map")
    everything = session.explain(picture, 5, 4, target="all")
    assert session.verify(everything, picture, tmp_path / "m.onnx", 4).largest <= everything.resolution
    if end == "y = Identity(s)" or dead == "not trained":
        with pytest.raises(OcclusionError, match="target 2: its score for this image is"):
            session.explain(picture, 5, 4, target=2)


def test_no_class_is_finite() -> None:
    with pytest.raises(VerificationError, match="not finite for a random image"):
        compile(classifier("y = Add(l, m)", "float[N,5] y", m=np.full(5, np.nan, np.float32)))
