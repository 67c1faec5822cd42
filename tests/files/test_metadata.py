"""What a compiled file knows of its source, pictures and classes: at compiling, appended later, and on the way back."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli import tune as tune_cli
from krypton_compile.cli import tune_model
from krypton_compile.contract.annotations import LABELS_KEY, MODEL_KEY, PREPROCESSING_KEY, SOURCE_KEY, write_labels
from krypton_compile.contract.preprocessing import PRESETS, Preprocessing
from krypton_compile.errors import ModelError
from krypton_compile.files.metadata import read_metadata, store
from krypton_compile.ort.library import get_library_path
from krypton_compile.runtime import OcclusionSession
from tests.support.small import SHAPE, small_model

LABELS = ("tench", "größer", "tabby, tabby cat", "crane", "crane")
SIZE = SHAPE[2:]


@pytest.fixture
def own(compiled, tmp_path):
    """A copy of the compiled file, to write to."""
    path = tmp_path / "own.krypton.onnx"
    path.write_bytes(compiled.read_bytes())
    return path


def test_two_that_store_at_once_lose_nothing(own):
    entries = [{f"note.{index}": "x" * 100 * index} for index in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: store(own, entry), entries))
    found = read_metadata(own)
    assert all(found[key] == value for entry in entries for key, value in entry.items())
    onnx.load(own)


def test_nothing_is_known_but_the_source_where_nothing_was_said(session):
    assert (session.preprocessing, session.labels) == (None, None)
    assert session.source_sha256 == hashlib.sha256(small_model().SerializeToString(deterministic=True)).hexdigest()


@pytest.mark.parametrize("as_source", [str, lambda path: path, lambda path: path.read_bytes()])
def test_the_source_is_known_by_its_bytes(tmp_path, as_source):
    path = tmp_path / "small.onnx"
    onnx.save(small_model(), path)
    made, _ = compile(as_source(path), verify=False)
    metadata = {entry.key: entry.value for entry in made.metadata_props}
    assert metadata[SOURCE_KEY] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("preprocessing", "expected"),
    [
        ("imagenet", PRESETS["imagenet"]),
        (Preprocessing(2.0, size=SIZE), Preprocessing(2.0, size=SIZE)),
    ],
)
def test_what_is_said_at_compiling_is_the_sessions(tmp_path, preprocessing, expected):
    path = tmp_path / "small.krypton.onnx"
    compile(small_model(), path, verify=False, preprocessing=preprocessing, labels=LABELS)
    session = OcclusionSession(path, threads=1)
    assert session.preprocessing == expected
    assert session.labels == LABELS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": LABELS[:4]}, "labels: 4; the model has 5 classes"),
        ({"labels": "tench"}, "labels: one text"),
        ({"preprocessing": "imagnet"}, "'imagnet'; expected none, unit, tf, caffe, imagenet or a preprocessor_config"),
        ({"preprocessing": "missing.json"}, "missing.json"),
        ({"preprocessing": Preprocessing(size=(224, 224))}, "for pictures of 224 x 224 .* takes 20 x 24"),
        ({"preprocessing": Preprocessing(mean=(1.0, 2.0))}, "mean has 2 numbers; the model's input has 3 channels"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(tmp_path, arguments, message):
    with pytest.raises(ModelError, match=message):
        compile(small_model(), tmp_path / "small.krypton.onnx", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_stores_both(tmp_path, capsys):
    onnx.save(small_model(), tmp_path / "small.onnx")
    config = {"do_resize": False, "do_normalize": True, "image_mean": [0.5], "image_std": [0.25]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS), "utf-8")
    arguments = [str(tmp_path / "small.onnx"), "--preprocess", str(tmp_path / "preprocessor_config.json")]
    assert compile_cli.main([*arguments, "--labels", str(tmp_path / "labels.txt"), "--no-verify"]) == 0
    session = OcclusionSession(tmp_path / "small.krypton.onnx", threads=1)
    assert session.preprocessing == Preprocessing(255.0, (0.5,), (0.25,), resize="none")
    assert session.labels == LABELS
    (tmp_path / "labels.txt").write_text("one\ntwo")
    assert compile_cli.main([*arguments, "--labels", str(tmp_path / "labels.txt")]) == 2
    assert "labels: 2; the model has 5 classes" in capsys.readouterr().err


def test_entries_added_later_are_everyones(own):
    before = own.read_bytes()
    added = {PREPROCESSING_KEY: PRESETS["tf"].to_json(), LABELS_KEY: write_labels(LABELS), "user": "größer"}
    store(own, added)
    assert own.read_bytes().startswith(before), "what was there was written again"
    for metadata in (
        {entry.key: entry.value for entry in onnx.load(own).metadata_props},
        of_onnxruntime(own),
        read_metadata(own),
    ):
        assert {key: metadata[key] for key in added} == added
        assert MODEL_KEY in metadata
    session = OcclusionSession(own, threads=1)
    assert (session.preprocessing, session.labels) == (PRESETS["tf"], LABELS)


def of_onnxruntime(path) -> dict[str, str]:
    options = ort.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    found = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).get_modelmeta()
    return dict(found.custom_metadata_map)


def test_scores_are_the_same_with_more_metadata(compiled, own, image):
    store(own, {"user": "x" * 100_000})
    scores = [OcclusionSession(path, threads=1).score_boxes(image, [[2, 3, 8, 8]]) for path in (compiled, own)]
    np.testing.assert_array_equal(*scores)


def test_a_key_is_stored_once(own):
    store(own, {"user": "first"})
    before = own.read_bytes()
    store(own, {"user": "first"})  # another process, that says the same
    for key in ("user", MODEL_KEY, SOURCE_KEY):
        with pytest.raises(ValueError, match=f"holds '{key}' already"):
            store(own, {"new": "x", key: "second"})
    assert own.read_bytes() == before


def test_a_full_disk_leaves_the_file_as_it_was(own):
    """The kernel lets ten more bytes be written, then fails."""
    before = own.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store(own, {"user": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert own.read_bytes() == before


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_an_error_after_writing_takes_the_bytes_away(own, monkeypatch, error):
    before = own.read_bytes()

    def fail(descriptor: int) -> None:
        assert os.fstat(descriptor).st_size > len(before)
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        store(own, {"user": "x"})
    assert own.read_bytes() == before


def test_only_whole_compiled_files_are_added_to(own, tmp_path):
    onnx.save(small_model(), tmp_path / "small.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(own.read_bytes()[:-5])
    (tmp_path / "text.onnx").write_text("no model at all")
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name, message in (
        ("small.onnx", "no compiled model"),
        ("cut.onnx", "whole ONNX model"),
        ("text.onnx", "whole ONNX model"),
        ("empty.onnx", "no compiled model"),
    ):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ModelError, match=message):
            store(tmp_path / name, {"user": "x"})
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(FileNotFoundError):
        store(tmp_path / "none.onnx", {"user": "x"})


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        (PREPROCESSING_KEY, '{"scale": 1.0}', "expected the fields"),
        (PREPROCESSING_KEY, "imagenet", "Expecting value"),
        (LABELS_KEY, '{"0": "tench"}', "stored labels: expected a list of names"),
    ],
)
def test_damaged_entries_name_the_file(own, key, text, message):
    store(own, {key: text})
    with pytest.raises(ModelError, match=f"own.krypton.onnx: .*{message}"):
        OcclusionSession(own)


@pytest.mark.parametrize("key", ["note", LABELS_KEY])
def test_entries_that_are_no_text_are_refused(own, key):
    store(own, {key: "0123456789abcdef"})
    content = own.read_bytes()
    own.write_bytes(content.replace(b"0123456789abcdef", b"0123456789abcd\xff\xfe"))
    for read in (OcclusionSession, read_metadata):
        with pytest.raises(ModelError, match=rf"own.krypton.onnx: expected text in UTF-8 as metadata '{key}'"):
            read(own)


def test_tuning_asks_how_pictures_become_the_input(own, tmp_path, monkeypatch, capsys):
    """What is given wins, else what is stored, else nothing is guessed."""
    monkeypatch.chdir(tmp_path)
    given = []
    monkeypatch.setattr(
        tune_model, "prepare", lambda path, how, *_: given.append(how) or (_ for _ in ()).throw(OSError)
    )
    (tmp_path / "a.png").write_bytes(b"")
    command = [str(own), "a.png", "--quality", "ssim>=0.9"]
    for arguments in ([], ["--resize", "crop"], ["--color", "bgr"]):
        assert tune_cli.main([*command, *arguments]) == 2
        assert "the model does not say how pictures become its input; give --preprocess" in capsys.readouterr().err
    store(own, {PREPROCESSING_KEY: Preprocessing(255.0, resize="crop", short_side=30).to_json()})
    for arguments, expected in (
        ([], Preprocessing(255.0, resize="crop", short_side=30)),
        (["--resize", "squeeze"], Preprocessing(255.0)),
        (["--short-side", "32"], Preprocessing(255.0, resize="crop", short_side=32)),
        (["--preprocess", "tf", "--interpolation", "nearest"], Preprocessing(127.5, (1.0,), interpolation="nearest")),
        (
            ["--preprocess", "imagenet", "--color", "bgr"],
            Preprocessing(**{**vars(PRESETS["imagenet"]), "channel_order": "BGR"}),
        ),
    ):
        assert tune_cli.main([*command, *arguments]) == 2
        assert given.pop() == expected
    assert given == []
