"""Entries of the cache: compared with their digest, nobody else's, and there while they are opened."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krypton_compile.compiler import entries
from krypton_compile.compiler.cache import CacheError, _forget, cache_folder, cache_root, compile_cached, open_cached
from krypton_compile.compiler.remembered import Memory
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.opening import open_compiled
from krypton_compile.runtime import OcclusionSession
from tests.support.small import small_model

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "cache"))
    onnx.save(small_model(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "compiled").mkdir(mode=0o700)
    return tmp_path / "compiled"


def written(folder: Path, key: str = "key", content: bytes = CONTENT) -> Path:
    return entries.write(folder, key, lambda path: path.write_bytes(content))


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, len(CONTENT) - 1), bit=st.integers(0, 7), cut=st.booleans(), more=st.binary(max_size=3))
def test_whatever_is_damaged_is_made_anew(tmp_path_factory, at, bit, cut, more):
    folder = tmp_path_factory.mktemp("entries")
    path = written(folder)
    damaged = bytearray(CONTENT[:at] if cut else CONTENT)
    if not cut:
        damaged[at] ^= 1 << bit
    path.write_bytes(bytes(damaged) + (more if not cut else b""))
    with entries.held(folder, "key") as found:
        assert found is None
    assert not path.exists()
    with entries.held(folder, "key") as found:
        assert found is None
    assert written(folder) == path
    with entries.held(folder, "key") as found:
        assert found == path


def test_a_flipped_bit_of_a_compiled_file_is_noticed(model):
    path, _ = compile_cached(model)
    whole = path.read_bytes()
    for at in (len(whole) // 3, len(whole) - 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        _, found, new = open_cached(model, OcclusionSession)
        assert (found, new, found.read_bytes()) == (path, True, whole)


def test_weights_beside_an_entry_are_part_of_it(folder):
    def make(path):
        path.write_bytes(CONTENT)
        entries.weights_of(path).write_bytes(b"weights")

    path = entries.write(folder, "key", make)
    assert path != written(folder, "other")
    with entries.held(folder, "key") as found:
        assert found == path
    entries.weights_of(path).write_bytes(b"weightz")
    with entries.held(folder, "key") as found:
        assert found is None
    assert not entries.weights_of(path).exists()


def test_what_is_being_opened_is_not_deleted(folder):
    path = written(folder)
    with entries.held(folder, "key") as found:
        assert found == path
        with entries.held(folder, "key") as again:  # another one may open it too
            assert again == path
        assert not entries.delete(path)
        _forget(folder, 0, keep=folder)
        assert path.exists()
    assert entries.delete(path)
    assert not path.exists()
    assert entries.delete(path)


def test_threads_that_open_and_evict_never_meet(folder):
    """Whoever was given an entry finds the whole file until it is done with it."""
    stop, seen, wrong = threading.Event(), [], []

    def evict():
        while not stop.is_set():
            _forget(folder, 0, keep=folder)

    evicting = threading.Thread(target=evict)
    evicting.start()
    try:
        for number in range(300):
            written(folder, f"key{number % 3}", CONTENT + bytes([number % 3]))
            with entries.held(folder, f"key{number % 3}") as found:
                if found is not None:
                    seen.append(number)
                    if found.read_bytes() != CONTENT + bytes([number % 3]):
                        wrong.append(number)
    finally:
        stop.set()
        evicting.join()
    assert not wrong
    assert seen


def test_what_is_written_reaches_the_disk_before_it_has_its_name(folder, monkeypatch):
    calls = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("sync"), sync(file)))
    monkeypatch.setattr(Path, "replace", lambda path, to: (calls.append("rename"), rename(path, to))[1])
    written(folder)
    assert calls == ["sync", "rename", "sync"]


def test_new_folders_and_files_are_the_users_alone(model):
    before = os.umask(0o002)
    try:
        path, _ = compile_cached(model)
        Memory(path, True).remember_preprocessing(Preprocessing())
    finally:
        os.umask(before)
    for place in (cache_root(), cache_folder(), path, *(cache_root() / "remembered").iterdir()):
        assert not place.stat().st_mode & 0o022, place
    assert compile_cached(model) == (path, False)
    assert Memory(path, True).preprocessing() == Preprocessing()


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("which", ["root", "folder", "file"])
def test_what_others_may_write_to_is_refused_with_the_remedy(model, which, mode):
    path, _ = compile_cached(model)
    place = {"root": cache_root(), "folder": cache_folder(), "file": path}[which]
    place.chmod(place.stat().st_mode | mode)
    with pytest.raises(
        CacheError, match=f"others may write to {place}, .*run chmod go-w {place}, or set KRYPTON_CACHE"
    ):
        compile_cached(model)
    with pytest.warns(UserWarning, match=r"chmod go-w .* compiled for this run alone"):
        opened = open_compiled(model)
    assert (opened.session.classes, opened.cached) == (5, False)
    subprocess.run(["chmod", "go-w", str(place)], check=True)  # the remedy
    assert compile_cached(model) == (path, False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("which", ["root", "folder", "file"])
def test_what_belongs_to_others_is_refused(model, which):
    path, _ = compile_cached(model)
    place = {"root": cache_root(), "folder": cache_folder(), "file": path}[which]
    os.chown(place, 12345, -1)
    with pytest.raises(CacheError, match=rf"{place} belongs to user 12345, not to you \(0\).*set KRYPTON_CACHE"):
        compile_cached(model)


def test_what_others_remember_is_not_what_the_user_said(model):
    path, _ = compile_cached(model)
    memory = Memory(path, True)
    memory.remember_preprocessing(Preprocessing(scale=2.0))
    place = memory.place("preprocessing")
    place.chmod(0o666)
    assert memory.preprocessing() is None
    place.chmod(0o600)
    place.parent.chmod(0o777)
    assert memory.preprocessing() is None
    with pytest.raises(CacheError, match="chmod go-w"):
        memory.remember_labels(("a",) * 5)


def test_a_link_is_no_entry(folder):
    path = written(folder)
    elsewhere = folder.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with entries.held(folder, "key") as found:
        assert found is None
    assert elsewhere.exists()


@pytest.mark.parametrize("variable", ["", None, "relative/home"])
def test_without_a_home_in_the_variable_the_system_knows_it(variable, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KRYPTON_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/cache")  # to be ignored, as its specification says
    if variable is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", variable)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: type("Entry", (), {"pw_dir": "/somewhere"}))
    assert cache_root() == Path("/somewhere/.cache/krypton")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    with pytest.raises(CacheError, match="no home folder; set KRYPTON_CACHE to a folder of yours"):
        cache_root()
    monkeypatch.setenv("KRYPTON_CACHE", "here")
    assert cache_root() == tmp_path / "here"


def test_a_killed_process_holds_nothing(folder):
    path = written(folder)
    code = (
        "import sys, time; from pathlib import Path; from krypton_compile.compiler import entries\n"
        "with entries.held(Path(sys.argv[1]), 'key') as found: print(found is not None, flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline().strip() == "True"
        assert not entries.delete(path)
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert entries.delete(path)
