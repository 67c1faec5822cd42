"""The names of classes come with the model, or lie beside it; whichever is used is said."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli.labels_beside import NAMES
from krypton_compile.files.loading import sha256
from krypton_compile.runtime import OcclusionSession
from tests.support.explaining import LABELS, run, written
from tests.support.small import small_model

pytestmark = pytest.mark.usefixtures("folder")
CONFIG = {"architectures": ["X"], "id2label": {str(i): name for i, name in enumerate(LABELS)}}


def put(name: str) -> str:
    content = "\n".join(LABELS)
    if name == "config.json":
        content = json.dumps(CONFIG)
    elif name == "cvexport.manifest":
        Path("names").write_text(content)
        content = json.dumps({"LabelFileName": "names"})
    elif name.endswith(".json"):
        content = json.dumps(LABELS)
    Path(name).write_text(content)
    return name


@pytest.mark.parametrize("name", [*NAMES, "small.labels.txt", "small.labels.json"])
def test_a_file_beside_the_model_names_its_classes(capsys, name):
    put(name)
    assert compile_cli.main(["small.onnx", "-o", "new.krypton.onnx", "--no-verify"]) == 0
    assert f"note: the names of the classes are those of {name}, beside the model" in capsys.readouterr().out
    assert OcclusionSession("new.krypton.onnx").labels == tuple(LABELS)


@pytest.mark.parametrize("model", ["small.onnx", "bare.krypton.onnx"])
def test_explaining_finds_it_too_and_says_so(capsys, model):
    put("config.json")
    before = sha256(model)
    assert run("--preprocess", "unit", "--target", "glioma", model=model) == 0
    assert "labels           config.json, beside the model" in capsys.readouterr().out
    assert written()[1]["label"] == "glioma"
    assert sha256(model) == before
    Path("config.json").unlink()  # found each time, so not remembered
    assert run("--target", "glioma", model=model) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("preprocessor_config.json", {"do_resize": False, "do_normalize": False}),
        ("config.json", {"pretrained_cfg": {"input_size": [3, 20, 24]}}),
    ],
)
def test_a_configuration_of_pictures_is_pointed_at(capsys, name, content):
    """But not used: it is one of several ways that a model may want its pictures."""
    Path("config.json").write_text(json.dumps(CONFIG))
    assert run(model="bare.krypton.onnx") == 2
    assert "Beside the model" not in capsys.readouterr().err
    Path(name).write_text(json.dumps(content))
    assert run(model="bare.krypton.onnx") == 2
    assert f"Beside the model there is one: --preprocess {name}" in capsys.readouterr().err
    assert run("--preprocess", name, model="bare.krypton.onnx") == (0 if name == "config.json" else 1)


def test_what_is_said_wins(capsys):
    put("labels.txt")
    other = [f"other {index}" for index in range(5)]
    Path("mine.txt").write_text("\n".join(other))
    assert compile_cli.main(["small.onnx", "-o", "new.krypton.onnx", "--labels", "mine.txt", "--no-verify"]) == 0
    assert "beside the model" not in capsys.readouterr().out
    assert OcclusionSession("new.krypton.onnx").labels == tuple(other)
    for given in (["--labels", "mine.txt"], []):  # the second time, remembered
        assert run("--preprocess", "unit", "--target", "other 2", *given, model="bare.krypton.onnx") == 0
        assert "beside the model" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        {"id2label": {str(i): name for i, name in enumerate(LABELS[:4])}},
        {"id2label": {"0": "a", "1": "b", "2": "c", "4": "e"}},
        {"id2label": {str(i): f"LABEL_{i}" for i in range(5)}},
        {"architecture": "resnet18", "num_classes": 5},
        {"unrelated": True},
        [1, 2, 3, 4, 5],
    ],
)
def test_a_file_that_does_not_name_each_class_is_not_used(capsys, content):
    Path("config.json").write_text(json.dumps(content))
    assert compile_cli.main(["small.onnx", "-o", "new.krypton.onnx", "--no-verify"]) == 0
    assert "beside the model" not in capsys.readouterr().out
    assert OcclusionSession("new.krypton.onnx").labels is None
    put("cvexport.manifest")  # the next one serves
    assert compile_cli.main(["small.onnx", "-o", "new.krypton.onnx", "--no-verify"]) == 0
    assert OcclusionSession("new.krypton.onnx").labels == tuple(LABELS)


def test_the_models_own_metadata_come_before_files(capsys):
    model = small_model()
    onnx.helper.set_model_props(model, {"names": str(dict(enumerate(LABELS))), "task": "classify", "imgsz": "[20, 24]"})
    onnx.save(model, "yolo.onnx")
    Path("labels.txt").write_text("a\nb\nc\nd\ne")
    assert compile_cli.main(["yolo.onnx", "--no-verify"]) == 0
    assert "note: the names of the classes are those of the model's metadata, 'names'" in capsys.readouterr().out
    assert OcclusionSession("yolo.krypton.onnx").labels == tuple(LABELS)
    assert run("--preprocess", "unit", "--target", "pituitary", model="yolo.onnx") == 0
    assert "beside" not in capsys.readouterr().out
