"""Only regular files are read, no more of one than its kind can have, and nothing that a file says surprises."""

from __future__ import annotations

import json
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from krypton_compile.disk.picture import LONGEST_SIDE, open_picture
from krypton_compile.disk.read import open_regular, parse_json, read_array, read_bytes, read_text
from krypton_compile.errors import FileError


def test_pipes_devices_and_folders_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path, found in ((tmp_path / "pipe", "a pipe"), (tmp_path / "link", "a pipe"), (os.devnull, "a device")):
        with pytest.raises(FileError, match=f"expected a file, found {found}"):
            open_regular(path)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_no_more_is_read_than_there_may_be(tmp_path):
    (tmp_path / "long").write_bytes(bytes(100))
    assert len(read_bytes(tmp_path / "long", 100)) == 100
    with pytest.raises(FileError, match="100 bytes; expected at most 99"):
        read_bytes(tmp_path / "long", 99)
    with pytest.raises(FileError, match="at most 5 bytes, found more"):
        read_bytes("/proc/self/status", 5)


def test_a_mark_of_byte_order_is_no_text(tmp_path):
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfcat")
    assert read_text(tmp_path / "text") == "cat"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[NaN]", "found NaN"),
        ("[-Infinity]", "found -Infinity"),
        (r'["\ud800"]', "half a character"),
        (r'{"\udc00": 1}', "half a character"),
        ("9" * 5000, "found one of 5000 digits"),
        (f'{{"mean": [{"9" * 400}]}}', "found one of 400 digits"),
        ("[1e999]", "found 1e999"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_none_is_a_value_error(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists
)


@given(JSON)
def test_all_other_json_is_read(value):
    assert parse_json(json.dumps(value)) == json.loads(json.dumps(value))


def header(descr: str, shape: str) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text) + 1) + text + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        header("'<f8'", "(99999999999,)"),
        header("'|O'", "(1,)") + bytes(8),
        header("'<f8'", "(-1,)"),
        header("[", "()"),
    ],
)
def test_an_array_that_is_none_is_a_value_error(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.npy: expected an array of numbers"):
        read_array(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.arange(3.0))
    np.testing.assert_array_equal(read_array(tmp_path / "b.npy"), [0, 1, 2])


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1, 80_000_000), (80_000_000, 1), (LONGEST_SIDE + 1, 2)])
def test_a_strip_is_refused_before_it_is_decoded(tmp_path, size):
    (tmp_path / "strip.png").write_bytes(png(*size))
    expected = r"strip.png: .* pixels \(H x W\); expected at most 65536 a side"
    with pytest.raises(ValueError, match=expected), open_picture(tmp_path / "strip.png", "strip.png"):
        pass


def test_no_program_is_started_for_a_picture(tmp_path, monkeypatch):
    """An EPS would start Ghostscript, whatever its name."""
    (tmp_path / "eps.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n")
    expected = r"eps.png: cannot be read as an image; expected PNG, JPEG"
    with pytest.raises(ValueError, match=expected), open_picture(tmp_path / "eps.png", "eps.png"):
        pass
    with Image.open(tmp_path / "eps.png") as image:
        assert image.format == "EPS"
