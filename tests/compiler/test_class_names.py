"""Names of classes in the model itself: its metadata, and nodes that answer with names."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from krypton_compile import compile
from krypton_compile.compiler.class_names import read_names
from krypton_compile.contract.annotations import LABELS_KEY, read_labels
from tests.support.small import small_model

LABELS = ("glioma", "meningioma", "no tumour", "größer", "7")
OTHERS = ("a", "b", "c", "d", "e")


def answering(*nodes: onnx.NodeProto, names: tuple[str, ...] | None = None) -> onnx.ModelProto:
    """The small network whose prediction ``winner`` the nodes turn into ``answer``."""
    model = small_model()
    model.graph.node.extend([helper.make_node("ArgMax", ["probability"], ["winner"], axis=1, keepdims=0), *nodes])
    model.graph.output.append(helper.make_tensor_value_info("answer", TensorProto.STRING, ["N"]))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    if names is not None:
        model.graph.initializer.append(helper.make_tensor("names", TensorProto.STRING, [len(names)], names))
    return model


def encoder(keys: list[int], names: tuple[str, ...]) -> onnx.NodeProto:
    return helper.make_node(
        "LabelEncoder", ["winner"], ["answer"], domain="ai.onnx.ml", keys_int64s=keys, values_strings=list(names)
    )


MODELS = {
    "a LabelEncoder": answering(encoder([0, 1, 2, 3, 4], LABELS)),
    "a LabelEncoder, in another order": answering(encoder([4, 3, 2, 1, 0], LABELS[::-1])),
    "a Gather": answering(
        helper.make_node("Gather", ["names", "winner"], ["answer"]), names=tuple(name.encode() for name in LABELS)
    ),
    "a Gather of a Constant": answering(
        helper.make_node("Constant", [], ["names"], value_strings=list(LABELS)),
        helper.make_node("Gather", ["names", "winner"], ["answer"]),
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_nodes_that_answer_with_names(kind: str) -> None:
    model, report = compile(MODELS[kind], output_name="probability", verify=False)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert read_labels(metadata[LABELS_KEY]) == LABELS
    assert any("the names of the classes are those of the model's" in note for note in report.notes)


def test_a_zip_map() -> None:
    model = small_model()
    node = helper.make_node("ZipMap", ["probability"], ["z"], domain="ai.onnx.ml", classlabels_strings=list(LABELS))
    model.graph.node.append(node)
    assert read_names(model).of_nodes == (("ZipMap", LABELS),)


@pytest.mark.parametrize(("numbers", "names"), [([0, 1, 2, 3, 4], ()), ([3, 4, 5, 8, 9], ("3", "4", "5", "8", "9"))])
def test_numbers_are_names_where_they_are_not_the_classes_own(numbers: list[int], names: tuple[str, ...]) -> None:
    model = small_model()
    node = helper.make_node("ZipMap", ["probability"], ["z"], domain="ai.onnx.ml", classlabels_int64s=numbers)
    model.graph.node.append(node)
    assert read_names(model).of_nodes == ((("ZipMap", names),) if names else ())


def test_what_the_user_says_wins_and_metadata_come_before_nodes() -> None:
    model = MODELS["a Gather"]
    assert read_names(model).of_nodes == (("Gather", LABELS),)
    named = onnx.ModelProto()
    named.CopyFrom(model)
    helper.set_model_props(named, {"names": str(dict(enumerate(OTHERS)))})
    for source, given, expected in ((named, None, OTHERS), (named, LABELS, LABELS), (model, OTHERS, OTHERS)):
        compiled, _ = compile(source, output_name="probability", verify=False, labels=given)
        metadata = {entry.key: entry.value for entry in compiled.metadata_props}
        assert read_labels(metadata[LABELS_KEY]) == expected


@pytest.mark.parametrize(
    "model",
    [
        answering(encoder([0, 1, 2, 3], LABELS[:4])),
        answering(encoder([1, 2, 3, 4, 5], LABELS)),
        answering(encoder([0, 1, 2, 3, 4], (*LABELS[:4], ""))),
        small_model(),
    ],
)
def test_names_that_are_not_one_a_class_are_no_names(model: onnx.ModelProto) -> None:
    compiled, report = compile(model, output_name="probability", verify=False)
    assert LABELS_KEY not in {entry.key for entry in compiled.metadata_props}
    assert not any("names of the classes" in note for note in report.notes)
