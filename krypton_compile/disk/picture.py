"""Open files as pictures: of formats that Pillow decodes by itself, and of sizes that a machine can hold.

Pillow guesses a format by a file's content, whatever its name, and some of its plug-ins start other programs: that for
EPS runs Ghostscript. A picture's header says its size before anything is decoded.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from krypton_compile.disk.read import open_regular

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are read."""
LONGEST_SIDE = 1 << 16
"""Pixels of a side; a JPEG has fewer. Strips of a few pixels by millions are no pictures."""
LONGEST_FILE = 1 << 30
_LISTED = "PNG, JPEG, WebP, TIFF, BMP, GIF, PPM, JPEG 2000 or AVIF"


@contextmanager
def open_picture(source: str | os.PathLike[str] | bytes | BinaryIO, name: str) -> Iterator[Image.Image]:
    """Open a picture, not decoded yet.

    Args:
        source: a path, the bytes of a file, or a file.
        name: what messages call it.

    Raises:
        OSError: if there is no such file, or it is no regular one.
        ValueError: if it is none of :data:`FORMATS`, is damaged or is too large; whatever the decoder raises.
    """
    if isinstance(source, str | os.PathLike):
        with open_regular(source, LONGEST_FILE) as file, _opened(file, name) as image:
            yield image
        return
    stream = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    with _opened(stream, name) as image:
        yield image


@contextmanager
def _opened(file: BinaryIO, name: str) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with decoding(name):
            image = Image.open(file, formats=_known())
        with image:
            check_size(image, name)
            yield image


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Make a ValueError that names the picture of whatever Pillow's plug-ins raise inside; they raise many types."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise ValueError(f"{name}: cannot be read as an image; expected {_LISTED}") from error
    except Exception as error:
        raise ValueError(f"{name}: cannot be read as an image ({str(error) or type(error).__name__})") from error


def check_size(image: Image.Image, name: str) -> None:
    """Refuse a picture that is too long to be one; Pillow itself refuses what has too many pixels.

    Raises:
        ValueError: if it is.
    """
    if max(image.size) > LONGEST_SIDE:
        raise ValueError(
            f"{name}: {image.height} x {image.width} pixels (H x W); expected at most {LONGEST_SIDE} a side. Cut it "
            "into pictures, or make it smaller"
        )


def _known() -> tuple[str, ...]:
    """Those of the formats that this Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
