"""Files are whole, together, over regular files alone, and nothing is left over."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from krypton_compile.disk import write
from krypton_compile.disk.write import ROOM, prove, replacing, uninterrupted, write_all
from krypton_compile.errors import FileError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("new")
    write_all({tmp_path / "link": b"one", tmp_path / "dangling": b"two"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "dangling").is_symlink()
    assert ((tmp_path / "real").read_bytes(), (tmp_path / "new").read_bytes()) == (b"one", b"two")
    assert names(tmp_path) == {"real", "link", "dangling", "new"}


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "under a file", "no folder"])
def test_what_is_no_file_is_not_replaced(tmp_path, kind):
    path = tmp_path / "it"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to("it")
    elif kind == "under a file":
        path.write_text("file")
        path = path / "inside"
    else:
        path = path / "inside"
    before = {file.name: file.lstat().st_mode for file in tmp_path.iterdir()}
    for attempt in (prove, lambda place: write_all({place: b"x"})):
        with pytest.raises(OSError, match="it"):
            attempt(path)
    assert {file.name: file.lstat().st_mode for file in tmp_path.iterdir()} == before


def test_a_device_by_any_name_is_refused(tmp_path):
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (Path(os.devnull), tmp_path / "null"):
        with pytest.raises(FileError, match="found a device, which is not replaced"):
            write_all({path: b"x"})
    assert Path(os.devnull).is_char_device()


def test_the_own_output_is_refused(tmp_path):
    script = "from krypton_compile.disk.write import prove; from pathlib import Path; prove(Path('/dev/stdout'))"
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=out, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "is the command's own standard output; choose a file" in done.stderr


def test_permissions_stay(tmp_path):
    (tmp_path / "private").write_text("old")
    (tmp_path / "private").chmod(0o600)
    write_all({tmp_path / "private": b"new", tmp_path / "other": b"new"})
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "other").stat().st_mode & 0o777 != 0o600


def test_what_was_renamed_is_taken_back(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    real, calls = Path.replace, []

    def failing(self, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(16, "Device or resource busy")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match=r"busy.*c'"):
        write_all({tmp_path / "a": b"1", tmp_path / "b": b"2", tmp_path / "c": b"3"})
    assert names(tmp_path) == {"a"}
    assert (tmp_path / "a").read_text() == "old"


def test_the_same_file_twice_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(FileError, match="would be written twice"):
        write_all({tmp_path / "real": b"1", tmp_path / "link": b"2"})
    assert names(tmp_path) == {"link"}


def test_signals_wait_until_the_files_are_there(tmp_path):
    def write_interrupted() -> None:
        with replacing(tmp_path / "a") as places:
            places[tmp_path / "a"].write_text("whole")
            signal.raise_signal(signal.SIGINT)
            assert names(tmp_path) != {"a"}

    with pytest.raises(KeyboardInterrupt):
        write_interrupted()
    assert names(tmp_path) == {"a"}


def test_an_error_beats_the_signal_that_waits_no_more(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="mine"), uninterrupted():
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_a_killed_process_left_is_swept_and_what_is_in_use_is_not(tmp_path):
    (tmp_path / f"{ROOM}dead").mkdir()
    (tmp_path / f"{ROOM}dead" / "half").write_text("x")
    (tmp_path / f"{ROOM}alive").mkdir()
    lock = os.open(tmp_path / f"{ROOM}alive", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    write._swept.discard(str(tmp_path))
    write_all({tmp_path / "new": b"x"})
    os.close(lock)
    assert names(tmp_path) == {"new", f"{ROOM}alive"}
