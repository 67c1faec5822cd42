"""What is remembered of a compiled file: by its content, whole, and the first that was said."""

from __future__ import annotations

import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from krypton_compile.compiler.cache import cache_root, compile_cached
from krypton_compile.compiler.remembered import LABELS, PREPROCESSING, Memory
from krypton_compile.contract.preprocessing import PRESETS, Preprocessing
from tests.support.small import small_model

LABEL_LIST = ("tench", "größer", "tabby, tabby cat", "crane", "crane")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "cache"))


def remembered() -> list[Path]:
    return sorted((cache_root() / "remembered").iterdir())


def test_a_file_is_known_by_its_content(compiled: Path, tmp_path: Path) -> None:
    memory = Memory(compiled, cached=False)
    assert (memory.preprocessing(), memory.labels(5)) == (None, None)
    memory.remember_preprocessing(PRESETS["tf"])
    memory.remember_labels(LABEL_LIST)
    copy = tmp_path / "copy.onnx"
    shutil.copy(compiled, copy)
    again = Memory(copy, cached=False)
    assert (again.preprocessing(), again.labels(5), again.labels(4)) == (PRESETS["tf"], LABEL_LIST, None)
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    other = Memory(copy, cached=False)
    assert (other.preprocessing(), other.labels(5)) == (None, None)


def test_the_caches_own_files_are_known_by_their_names() -> None:
    path, _ = compile_cached(small_model().SerializeToString())
    Memory(path, cached=True).remember_preprocessing(PRESETS["unit"])
    assert [file.name for file in remembered()] == [f"{path.name.partition('.')[0]}.preprocessing.json"]
    path.unlink()  # as the cache may; the name will be the same
    assert Memory(path, cached=True).preprocessing() == PRESETS["unit"]


def test_a_file_is_not_read_where_nothing_of_its_size_is_remembered(compiled: Path, monkeypatch) -> None:
    def refuse(*_: object) -> str:
        raise AssertionError("the file was hashed")

    monkeypatch.setattr("krypton_compile.compiler.remembered.content_key", refuse)
    assert Memory(compiled, cached=False).preprocessing() is None


def test_of_many_at_once_one_is_first(compiled: Path) -> None:
    recipes = [Preprocessing(scale=float(number)) for number in range(1, 9)]

    def tell(recipe: Preprocessing) -> None:
        Memory(compiled, cached=False).remember_preprocessing(recipe)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tell, recipes))
    first = Memory(compiled, cached=False).preprocessing()
    assert first in recipes
    tell(Preprocessing(scale=99.0))
    assert Memory(compiled, cached=False).preprocessing() == first
    assert len(remembered()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", json.dumps({"scale": 1.0, "gamma": 2.2}).encode()])
def test_what_cannot_be_read_is_replaced(compiled: Path, content: bytes) -> None:
    memory = Memory(compiled, cached=False)
    memory.remember_preprocessing(PRESETS["tf"])
    memory.remember_labels(LABEL_LIST)
    for kind in (PREPROCESSING, LABELS):
        memory.place(kind).write_bytes(content)
    assert (memory.preprocessing(), memory.labels(5)) == (None, None)
    memory.remember_preprocessing(PRESETS["unit"])
    memory.remember_labels(LABEL_LIST)
    assert (memory.preprocessing(), memory.labels(5)) == (PRESETS["unit"], LABEL_LIST)


def test_without_links_files_are_renamed(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    memory = Memory(compiled, cached=False)
    memory.remember_preprocessing(PRESETS["tf"])
    assert memory.preprocessing() == PRESETS["tf"]
    assert len(remembered()) == 1


def test_a_full_disk_leaves_nothing_and_is_named(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_: object) -> None:
        self.write_bytes(b"{")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    memory = Memory(compiled, cached=False)
    with pytest.raises(OSError, match=r"No space left on device: '.*remembered.*preprocessing\.json'"):
        memory.remember_preprocessing(PRESETS["tf"])
    assert remembered() == []
    assert memory.preprocessing() is None
