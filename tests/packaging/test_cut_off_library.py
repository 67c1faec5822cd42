"""An op library that is cut off is an error that says so, and never a signal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krypton_compile import get_library_path
from krypton_compile.errors import LibraryError
from krypton_compile.ort.shared_object import missing_bytes
from krypton_compile.runtime import OcclusionSession

LIBRARY = Path(get_library_path())
SIZE = LIBRARY.stat().st_size


def cut(folder: Path, size: int) -> Path:
    path = folder / f"cut{size}.so"
    shutil.copy(LIBRARY, path)
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def test_the_library_is_whole():
    assert missing_bytes(LIBRARY) == 0


@settings(max_examples=40, deadline=None)
@given(size=st.one_of(st.integers(64, SIZE - 1), st.integers(SIZE - 64, SIZE - 1)))
def test_any_part_lacks_bytes(tmp_path_factory, size):
    path = cut(tmp_path_factory.mktemp("cut"), size)
    assert missing_bytes(path) > 0
    path.unlink()


@pytest.mark.parametrize("size", [0, 3, 20, 63, 64, 4096, SIZE // 2, SIZE - 1])
def test_a_session_says_so(compiled, tmp_path, monkeypatch, size):
    path = cut(tmp_path, size)
    monkeypatch.setenv("KRYPTON_OPS_LIBRARY", str(path))
    with pytest.raises(LibraryError, match=r"is cut off: \d+ bytes are missing.*Reinstall|cannot load the custom-op"):
        OcclusionSession(compiled, threads=1)
    shutil.copy(LIBRARY, path)  # mended: another file by the same name
    assert OcclusionSession(compiled, threads=1).classes == 5


def test_what_is_no_library_is_left_to_the_loader(tmp_path):
    for content in (b"", b"text", b"\x7fELF\x09\x09", bytes(100)):
        (tmp_path / "other").write_bytes(content)
        assert missing_bytes(tmp_path / "other") == 0
