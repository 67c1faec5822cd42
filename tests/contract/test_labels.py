"""Label files in each form they come in, and names as people type them."""

from __future__ import annotations

import json

import pytest

from krypton_compile.contract.labels import find_label, read_labels

NAMES = ("tench, Tinca tinca", "goldfish", "tiger cat", "tabby, tabby cat", "Egyptian cat", "tiger, Panthera tigris")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "\n".join(NAMES)),
        ("labels.txt", "\ufeff" + "\r\n".join(NAMES) + "\r\n\r\n"),
        ("labels.json", json.dumps(NAMES)),
        ("labels.json", json.dumps({str(5 - i): NAMES[5 - i] for i in range(6)})),
        ("labels.json", json.dumps({str(i): [f"n{i:08}", label] for i, label in enumerate(NAMES)})),
    ],
)
def test_forms_of_files(tmp_path, name, text):
    (tmp_path / name).write_text(text, "utf-8", newline="")
    assert read_labels(tmp_path / name, 6) == NAMES
    assert read_labels(str(tmp_path / name)) == NAMES
    with pytest.raises(ValueError, match=f"{name}: 6 labels; the model has 1000 classes"):
        read_labels(tmp_path / name, 1000)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.txt", b"", "no label for class 0"),
        ("labels.txt", b"a\n\nb\n", "no label for class 1"),
        ("labels.txt", b"\xff\xfe", "utf-8"),
        ("labels.json", b"[", "Expecting value"),
        ("labels.json", b"3", "expected a list of labels"),
        ("labels.json", b'["a", 1]', "expected a list of labels"),
        ("labels.json", b'{"1": "a", "2": "b"}', 'keys "0" to "1"'),
        ("labels.json", b'{"a": "0"}', 'keys "0" to "0"'),
        ("labels.json", b'{"0": ["n1", "a", "b"]}', "expected a list of labels"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        read_labels(tmp_path / name)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / "none.txt", 3)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("goldfish", 1),
        ("tench, Tinca tinca", 0),
        ("EGYPTIAN CAT", 4),
        ("tabby", 3),
        (" Tinca Tinca ", 0),
        ("tiger", 5),  # a synonym before the start of "tiger cat"
        ("gold", 1),
        ("panthera", 5),
        ("fish", 1),
    ],
)
def test_a_name_finds_its_class(name, found):
    assert find_label(NAMES, name) == found


def test_case_decides_where_labels_differ_by_it_alone():
    assert find_label(("Crane", "crane"), "crane") == 1


@pytest.mark.parametrize(
    ("labels", "name", "message"),
    [
        (NAMES, "cat", "'cat' may be 2 tiger cat; 3 tabby, tabby cat; 4 Egyptian cat; give more"),
        (("crane", "crane"), "crane", "may be 0 crane; 1 crane; .*or the number"),
        (NAMES, "goldfsh", "no label of the model; the closest are goldfish"),
        (NAMES, "Tinka tinca", "the closest are tench, Tinca tinca"),
        (NAMES, "zzzzzz", "expected one such as 'tench, Tinca tinca'"),
        (NAMES, "", "no label of the model"),
        ([f"cat {i}" for i in range(20)], "cat", "7 cat 7 and 12 more"),
    ],
)
def test_other_names_are_refused_with_what_there_is(labels, name, message):
    with pytest.raises(ValueError, match=message):
        find_label(labels, name)
