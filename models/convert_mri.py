"""One axial slice of the ICBM 152 template as a square grey PNG, nose up.

Reads as much of NIfTI-1 as that volume needs: float32 voxels after a header, gzipped, x fastest; x runs
to the right, y to the front, z up. The licence asks that the copyright notice be in every copy, so it
is in the picture's metadata.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

_LEVEL = 90  # through the lateral ventricles; the voxels are 1 mm
_NOTICE = (
    "Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, "
    "Montreal Neurological Institute, McGill University"
)


def convert(volume: Path, target: Path) -> None:
    """Writes slice ``_LEVEL``, its brightest voxel white, padded to a square."""
    content = gzip.decompress(volume.read_bytes())
    width, height, _ = np.frombuffer(content, "<i2", 3, offset=42)
    start = int(np.frombuffer(content, "<f4", 1, offset=108)[0])
    area = int(width) * int(height)
    plane = np.frombuffer(content, "<f4", area, start + 4 * area * _LEVEL).reshape(height, width)
    picture = plane[::-1]  # rows of a picture run down
    grey = Image.fromarray((picture / picture.max() * 255).round().astype(np.uint8))
    side = max(grey.size)
    square = Image.new("L", (side, side))
    square.paste(grey, ((side - grey.width) // 2, (side - grey.height) // 2))
    notice = PngImagePlugin.PngInfo()
    notice.add_text("Copyright", _NOTICE)
    square.save(target, format="PNG", pnginfo=notice)
