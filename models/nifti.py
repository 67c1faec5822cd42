"""One axial slice of a NIfTI-1 volume as a square grey PNG, nose up: all of the format that the demo needs."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

_LEVEL = 90  # through the lateral ventricles of the 1 mm ICBM152 template
_DTYPES = {2: "u1", 4: "<i2", 16: "<f4"}


def write_axial_slice(volume: Path, target: Path) -> None:
    """Reads a gzipped single-file NIfTI-1 volume and writes slice :data:`_LEVEL`, padded to a square."""
    content = gzip.decompress(volume.read_bytes())
    sizes = np.frombuffer(content, "<i2", 8, 40)
    dtype = _DTYPES[int(np.frombuffer(content, "<i2", 1, 70)[0])]
    start = int(np.frombuffer(content, "<f4", 1, 108)[0])
    count = int(np.prod(sizes[1:4], dtype=np.int64))
    voxels = np.frombuffer(content, dtype, count, start).reshape(sizes[1:4], order="F")
    # Voxels run right, front, up; a picture's rows run down.
    picture = voxels[:, ::-1, _LEVEL].T.astype(np.float64)
    grey = Image.fromarray((picture / picture.max() * 255).astype(np.uint8))
    side = max(grey.size)
    square = Image.new("L", (side, side))
    square.paste(grey, ((side - grey.width) // 2, (side - grey.height) // 2))
    square.save(target, format="PNG")
