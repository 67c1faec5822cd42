"""What a user says of pictures and classes: known the next time, and in no file of the user's unless asked for."""

from __future__ import annotations

import hashlib
import pwd
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from krypton_compile.cli import explain as explain_cli
from krypton_compile.cli import open_model
from krypton_compile.cli import tune as tune_cli
from krypton_compile.compiler import cache
from krypton_compile.files.metadata import read_metadata, store
from krypton_compile.runtime import OcclusionSession, Preprocessing
from tests.support.explaining import LABELS, UNIT, run, session, written

pytestmark = pytest.mark.usefixtures("folder")
BARE = "bare.krypton.onnx"


@pytest.fixture(autouse=True)
def _labels(folder):
    Path("labels.txt").write_text("\n".join(LABELS))


def sha256(name: str) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def remembered() -> list[str]:
    folder = cache.cache_root() / "remembered"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("name", [BARE, "small.krypton.onnx"])
@pytest.mark.parametrize("options", [["--preprocess", "unit"], ["--preprocess", "tf", "--labels", "labels.txt"]])
def test_a_compiled_file_is_evidence(folder, name, options):
    """Neither its bytes nor its times change, and no file appears beside it but the map's own."""
    before, times = sha256(name), Path(name).stat().st_mtime_ns
    files = {path.name for path in folder.iterdir()}
    Path(name).chmod(0o444)
    assert run(*options, model=name) == 0
    assert run(model=name) == 0
    assert (sha256(name), Path(name).stat().st_mtime_ns) == (before, times)
    assert {path.name for path in folder.iterdir()} - files <= {"cache", *(f"scan{end}" for end in ENDINGS)}


ENDINGS = ("_heatmap.npy", "_overlay.png", "_result.json")


def test_a_copy_is_known_by_its_content(folder):
    assert run("--preprocess", "unit", model=BARE) == 0
    expected = written()[0]
    shutil.move(BARE, "renamed.krypton.onnx")
    assert run(model="renamed.krypton.onnx") == 0
    np.testing.assert_array_equal(written()[0], expected)


def test_another_content_is_another_model(folder, capsys):
    """Of the same size, even: the last byte of a weight."""
    assert run("--preprocess", "unit", model=BARE) == 0
    content = Path(BARE).read_bytes()
    at = content.rindex(b"krypton.source_sha256") - 200
    Path(BARE).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    capsys.readouterr()
    assert run(model=BARE) == 2
    assert len(remembered()) == 1


def test_what_is_remembered_first_stays_and_is_told(folder, capsys):
    assert run("--preprocess", "unit", model=BARE) == 0
    capsys.readouterr()
    assert run("--preprocess", "tf", model=BARE) == 0
    out = capsys.readouterr().out
    assert f"another preprocessing is remembered for {BARE}; this run uses what was given. Delete " in out
    place = Path(out.partition("Delete ")[2].partition(" to have")[0])
    assert written()[1]["preprocessing"]["scale"] == 127.5
    assert run(model=BARE) == 0
    assert written()[1]["preprocessing"]["scale"] == 255
    place.unlink()
    assert run("--preprocess", "tf", model=BARE) == 0
    assert run(model=BARE) == 0
    assert written()[1]["preprocessing"]["scale"] == 127.5


def test_what_another_version_wrote_is_told_again(folder, capsys):
    assert run("--preprocess", "unit", "--labels", "labels.txt", model=BARE) == 0
    for name in remembered():
        (cache.cache_root() / "remembered" / name).write_bytes(b'{"scale": 1, "of a later version": \xff}')
    capsys.readouterr()
    assert run(model=BARE) == 2
    assert "give --preprocess" in capsys.readouterr().err
    assert run("--preprocess", "unit", model=BARE) == 0
    assert run(model=BARE) == 0


def test_it_is_stored_where_that_is_asked_for(folder, capsys):
    assert run("--preprocess", "unit", model=BARE) == 0
    capsys.readouterr()
    assert run("--labels", "labels.txt", "--store", model=BARE) == 0
    assert f"stored           preprocessing and labels in {BARE}" in capsys.readouterr().out
    opened = OcclusionSession(BARE)
    assert (opened.preprocessing, opened.labels) == (UNIT, tuple(LABELS))
    before = sha256(BARE)
    assert run("--store", model=BARE) == 0
    assert "stored" not in capsys.readouterr().out
    assert sha256(BARE) == before


def test_a_model_without_a_compiled_file_has_none_to_store_in(folder, capsys):
    assert run("--preprocess", "unit", "--store", model="small.onnx") == 2
    err = capsys.readouterr().err
    assert "--store: small.onnx is not compiled" in err
    assert "krypton-compile small.onnx --preprocess" in err


def test_a_file_that_cannot_be_written_to_is_said_to_be(folder, capsys, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = sha256(BARE)

    def full(*given):
        resource.setrlimit(resource.RLIMIT_FSIZE, (Path(BARE).stat().st_size + 5, hard))
        store(*given)

    monkeypatch.setattr(open_model, "store", full)
    try:
        assert run("--preprocess", "unit", "--store", model=BARE) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in capsys.readouterr().err
    assert sha256(BARE) == before


@pytest.mark.parametrize("place", ["/proc/krypton", "/dev/null/krypton"])
def test_without_a_folder_to_remember_in_the_map_is_made(folder, capsys, monkeypatch, place):
    monkeypatch.setenv("KRYPTON_CACHE", place)
    before = sha256(BARE)
    assert run("--preprocess", "unit", model=BARE) == 0
    out = capsys.readouterr().out
    assert "note             not remembered for the next time" in out
    assert f"{place} cannot be made" in out
    assert "set KRYPTON_CACHE to a folder of yours" in out
    assert written()[0].shape == (20, 24)
    assert sha256(BARE) == before


def nobody(user):
    raise KeyError(f"getpwuid(): uid not found: {user}")


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_a_user_without_a_home_explains(folder, capsys, monkeypatch, home):
    """Neither by HOME nor by the system's list of users, as in a container under a number of its own."""
    for name in ("KRYPTON_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for model in (BARE, "small.onnx"):
        assert run("--preprocess", "unit", model=model) == 0
        assert "there is no home folder; set KRYPTON_CACHE to a folder of yours" in capsys.readouterr().out
        assert written()[0].shape == (20, 24)
    assert not Path("relative").exists()


def test_without_home_the_system_tells_it(folder, capsys, monkeypatch):
    for name in ("KRYPTON_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    user = pwd.struct_passwd(("me", "x", 1000, 1000, "", str(folder / "home"), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    assert run("--preprocess", "unit", model=BARE) == 0
    assert f"remembered       preprocessing for {BARE}, in {folder}/home/.cache/krypton" in capsys.readouterr().out
    assert run(model=BARE) == 0


@pytest.mark.parametrize("place", ["/proc/krypton", "/dev/null/krypton"])
def test_without_a_cache_a_model_is_compiled_for_the_run_alone(folder, capsys, monkeypatch, place):
    monkeypatch.setenv("KRYPTON_CACHE", place)
    monkeypatch.setenv("TMPDIR", str(folder / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (folder / "temporary").mkdir()
    assert run("--preprocess", "unit", "--precision", "float32", model="small.onnx") == 0
    out = capsys.readouterr().out
    assert "set KRYPTON_CACHE to a folder of yours. The model is compiled for this run alone" in out
    np.testing.assert_array_equal(written()[0], session().explain("scan.png", 6, 3).heatmap())
    assert list((folder / "temporary").iterdir()) == []


@pytest.mark.usefixtures("worth_tuning")
def test_the_tuned_file_knows_what_it_was_tuned_for(folder, capsys):
    before = sha256(BARE)
    shutil.copy("scan.png", "other.png")
    line = [BARE, "scan.png", "other.png", "--quality", "ssim>=0.1", "--patch-size", "6", "--stride", "6"]
    assert explain_cli.main([BARE, "scan.png", "--labels", "labels.txt", "--preprocess", "tf", "--stride", "9"]) == 0
    assert tune_cli.main(line) == 0
    assert "stored           preprocessing and labels in bare.krypton.tuned.onnx" in capsys.readouterr().out
    assert sha256(BARE) == before
    opened = OcclusionSession("bare.krypton.tuned.onnx")
    assert opened.preprocessing == Preprocessing(scale=127.5, mean=(1.0,))
    assert opened.labels == tuple(LABELS)
    assert "krypton.tuning" in read_metadata("bare.krypton.tuned.onnx")
