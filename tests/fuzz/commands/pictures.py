"""Hostile pictures: damaged, absurd, of other formats, and places that hold no file at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "tif": "TIFF", "bmp": "BMP", "webp": "WEBP", "ppm": "PPM"}
Make = Callable[[np.random.Generator, Path], None]


def encoded(rng: np.random.Generator, kind: str, mode: str = "RGB", size: tuple[int, int] = (16, 12)) -> bytes:
    """A good picture."""
    pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(data, FORMATS[kind])
    return data.getvalue()


def good(rng: np.random.Generator, path: Path) -> None:
    kind = path.suffix[1:] if path.suffix[1:] in FORMATS else "png"
    path.write_bytes(encoded(rng, kind))


def damaged(rng: np.random.Generator, path: Path) -> None:
    data = bytearray(encoded(rng, str(rng.choice(list(FORMATS)))))
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(data))) if rng.random() < 0.5 else int(rng.integers(min(64, len(data))))
        choice = int(rng.integers(4))
        if choice == 0:
            data[at] = int(rng.integers(256))
        elif choice == 1:
            data = data[: max(1, at)]
        elif choice == 2:
            data[at : at + 4] = struct.pack(">I", int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**16])))
        else:
            data[at:at] = data[: int(rng.integers(32))]
    path.write_bytes(data)


def other_mode(rng: np.random.Generator, path: Path) -> None:
    kind, mode = [("png", "RGBA"), ("png", "LA"), ("png", "I;16"), ("tif", "F"), ("png", "P"), ("tif", "CMYK")][
        int(rng.integers(6))
    ]
    if mode in ("I;16", "F"):
        pixels = rng.integers(0, 60000, (12, 16)).astype(np.uint16 if mode == "I;16" else np.float32)
        Image.fromarray(pixels).save(path, FORMATS[kind])
    else:
        path.write_bytes(encoded(rng, kind, mode))


def animated(rng: np.random.Generator, path: Path) -> None:
    frames = [Image.new("RGB", (16, 12), (at, 0, 0)) for at in (0, 99, 200)]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def absurd_png(rng: np.random.Generator, path: Path) -> None:
    """A header that promises what no machine can hold, or a strip."""
    sizes = [(80_000_000, 1), (1, 80_000_000), (30000, 30000), (2**31 - 1, 2**31 - 1), (0, 5), (65535, 3), (9000, 9000)]
    width, height = sizes[int(rng.integers(len(sizes)))]
    header = struct.pack(">IIBBBBB", width, height, int(rng.choice([1, 8, 16])), int(rng.choice([0, 2, 3, 6])), 0, 0, 0)
    body = zlib.compress(bytes(int(rng.integers(1, 200_000))))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def strip(rng: np.random.Generator, path: Path) -> None:
    """A whole picture that is far longer than wide."""
    long = int(rng.choice([2000, 60_000, 70_000]))
    size = (long, 1) if rng.random() < 0.5 else (1, long)
    Image.new("L", size, 7).save(path, "PNG")


def text_chunks(rng: np.random.Generator, path: Path) -> None:
    data = encoded(rng, "png")
    texts = [b"k\0" + b"x" * 10, b"\0", b"Comment\0\0" + zlib.compress(bytes(3_000_000)), b"k" * 200, b""]
    inserted = chunk([b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"][int(rng.integers(5))], texts[int(rng.integers(5))])
    path.write_bytes(data[:33] + inserted + data[33:])


def exif(rng: np.random.Generator, path: Path) -> None:
    data = io.BytesIO()
    raw = b"Exif\0\0" + (b"II*\0" if rng.random() < 0.7 else b"MM\0*") + rng.bytes(int(rng.integers(0, 60)))
    Image.new("RGB", (16, 12)).save(data, "JPEG", exif=raw)
    path.write_bytes(data.getvalue())


TEXTS = (
    b"",
    b"no picture",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 12\n%%EndComments\n(x) print\nshowpage\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"%PDF-1.4\n",
    b"P6\n99999999 99999999\n255\n",
    b"P6\n16 12\n65535\n",
    b"P5\n-3 4\n255\n",
    b"BM" + b"\xff" * 60,
    b"II*\0\x08\0\0\0" + b"\xff" * 40,
    b"GIF89a" + b"\xff" * 30,
    b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    b"\x89PNG\r\n\x1a\n",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\0\0\0\x20ftypavif",
)


def no_picture(rng: np.random.Generator, path: Path) -> None:
    path.write_bytes(TEXTS[int(rng.integers(len(TEXTS)))])


def no_file(rng: np.random.Generator, path: Path) -> None:
    """Something else of that name, or nothing."""
    path.unlink(missing_ok=True)
    choice = int(rng.integers(6))
    if choice == 0:
        path.mkdir()
    elif choice == 1:
        os.mkfifo(path)
    elif choice == 2:
        path.symlink_to("nowhere")
    elif choice == 3:
        path.symlink_to(path.name)
    elif choice == 4:
        device(path)


def device(path: Path) -> None:
    """A null device of the folder's own, where that may be made."""
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except OSError:
        os.mkfifo(path)


HOSTILE: tuple[Make, ...] = (
    *(damaged, damaged, damaged, other_mode, animated, absurd_png, absurd_png, strip, text_chunks, exif),
    *(no_picture, no_picture, no_file),
)


def hostile(rng: np.random.Generator, path: Path) -> None:
    """A hostile picture at ``path``."""
    HOSTILE[int(rng.integers(len(HOSTILE)))](rng, path)
