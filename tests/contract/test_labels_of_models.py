"""The names of classes as models come with them: Hugging Face's, timm's, ultralytics', Custom Vision's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krypton_compile.contract.labels import labels_in_metadata, read_labels

NAMES = ("tench", "great white shark, white shark", "Größe: 5", "crane", "7")
NAMED = st.lists(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1), min_size=1).map(
    lambda names: tuple(f"a{name}z" for name in names)
)


def written(folder, content, name="config.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


HUGGING_FACE = {"architectures": ["ResNetForImageClassification"], "model_type": "resnet"}
CONFIGS = {
    "id2label": {**HUGGING_FACE, "id2label": {str(i): name for i, name in enumerate(NAMES)}},
    "id2label, another order": {"id2label": {str(i): NAMES[i] for i in (3, 0, 4, 1, 2)}, "label2id": {"x": 0}},
    "label2id alone": {**HUGGING_FACE, "label2id": {name: i for i, name in enumerate(NAMES)}},
    "timm, a list": {"architecture": "resnet18", "num_classes": 5, "label_names": list(NAMES)},
    "timm, by number": {"architecture": "resnet18", "label_names": {str(i): name for i, name in enumerate(NAMES)}},
    "timm, inside": {"architecture": "resnet18", "pretrained_cfg": {"label_names": list(NAMES)}},
    "timm, synsets and what they mean": {
        "architecture": "resnet18",
        "label_names": ["n01440764", "n01484850", "Größe: 5", "n02", "n03"],
        "label_descriptions": {"n01440764": NAMES[0], "n01484850": NAMES[1], "n02": NAMES[3], "n03": NAMES[4]},
    },
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_configurations(tmp_path, kind):
    path = written(tmp_path, CONFIGS[kind])
    assert read_labels(path, 5) == NAMES
    with pytest.raises(ValueError, match=r"config\.json: 5 labels; the model has 6 classes"):
        read_labels(path, 6)


def test_custom_vision_names_its_file_of_labels(tmp_path):
    written(tmp_path, "\n".join(NAMES), "names of classes.txt")
    manifest = {"DomainType": "Classification", "Platform": "ONNX", "LabelFileName": "names of classes.txt"}
    assert read_labels(written(tmp_path, manifest, "cvexport.manifest"), 5) == NAMES
    outside = {**manifest, "LabelFileName": "../../names of classes.txt"}
    assert read_labels(written(tmp_path, outside, "cvexport.manifest"), 5) == NAMES  # the folder's own, no other
    with pytest.raises(FileNotFoundError):
        read_labels(written(tmp_path, {**manifest, "LabelFileName": "gone.txt"}, "cvexport.manifest"))


@pytest.mark.parametrize("between", [" ", "\t", ": ", ", ", ";"])
def test_numbers_before_labels_are_no_part_of_them(tmp_path, between):
    text = "\n".join(f"{i}{between}{name}" for i, name in enumerate(NAMES))
    assert read_labels(written(tmp_path, text, "labels.txt"), 5) == NAMES


@pytest.mark.parametrize("lines", [["0 a", "2 b"], ["1 a", "2 b"], ["0 a", "b"], ["0", "1"], ["3 cats", "1 cat"]])
def test_other_numbers_are_part_of_labels(tmp_path, lines):
    assert read_labels(written(tmp_path, "\n".join(lines), "labels.txt")) == tuple(lines)


def test_a_class_without_a_label_is_called_by_its_number(tmp_path):
    path = written(tmp_path, {"id2label": {"0": "a", "1": "b", "4": "e"}})
    with pytest.warns(UserWarning, match=r"no label for class 2, 3; such a class is called 'class 2'"):
        assert read_labels(path, 5) == ("a", "b", "class 2", "class 3", "e")
    with pytest.raises(ValueError, match="3 labels for the classes up to 4; expected one a class"):
        read_labels(path, 5, gaps=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"id2label": {"0": "a", "9": "b"}}, "2 labels for the classes up to 9"),
        ({"id2label": {"-1": "a"}}, "class '-1': 'a'; expected a number, once, and a label"),
        ({"id2label": {"a": "0"}}, "class 'a'"),
        ({"id2label": {"0": "a", "00": "b"}}, "class '00': 'b'"),
        ({"id2label": {"0": ["a"]}}, "expected a number, once, and a label"),
        ({"id2label": {"0": "a", "1": ""}}, "no label for class 1"),
        ({"id2label": {}}, "no label for class 0"),
        ({"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5]}}, 'no "id2label" and no "label_names"'),
        ({"LABEL_0": 0}, 'expected "id2label", "label_names" or the keys "0" to "0"'),
        ("[" * 100_000, r"config\.json: expected a list of labels, .* \(found JSON nested too deeply\)"),
    ],
)
def test_what_names_no_classes_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_labels(written(tmp_path, content), 2)


@given(NAMED)
def test_every_spelling_of_metadata_is_read(names):
    """As a literal of Python, whose keys are numbers, and as JSON, whose keys are text."""
    by_number = dict(enumerate(names))
    for text in (str(by_number), str(list(names)), str(names), json.dumps(by_number), json.dumps(list(names))):
        for key in ("names", "class_names", "id2label", "labels", "classes"):
            assert labels_in_metadata({"task": "classify", key: text}, len(names)) == (key, names)
        assert labels_in_metadata({"names": text}, len(names) + 1) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "tench",
        "{",
        "{0: 'a', 1: open('x')}",
        "{0: 'a', 2: 'b'}",
        "{'a': 0, 'b': 1}",
        "{0: 'a', 1: ['b']}",
        "{0: '', 1: 'b'}",
        "['a', None]",
        "(" * 5000,
        "[" * 100_000,
        "{0: 'a', True: 'b'}",
        "{1, 2}",
        "[[0, 'a'], [1, 'b']]",
    ],
)
def test_metadata_that_means_something_else_is_left_alone(text):
    assert labels_in_metadata({"names": text}, 2) is None
