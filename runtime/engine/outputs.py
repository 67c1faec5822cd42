"""The outputs of a compiled file's halves, as they should be: a row of scores for each window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from krypton_compile.errors import ModelError
from krypton_compile.runtime.engine.compiled_model import AGAIN


def count_classes(path: Path, incremental: ort.InferenceSession, kinds: int) -> int:
    """Count the scores of each window, of all ``kinds`` of them alike.

    Raises:
        ModelError: if the file ``path`` gives no such rows.
    """
    shapes = [value.shape for value in incremental.get_outputs()][:kinds]
    same = len(shapes) == kinds and len({tuple(shape[1:]) for shape in shapes}) == 1
    if not same or len(shapes[0]) != 2 or not isinstance(shapes[0][1], int):
        raise ModelError(f"{path}: expected rows of scores for each window, found the shapes {shapes}. {AGAIN}")
    return int(shapes[0][1])


def check_rows(path: Path, rows: Sequence[npt.NDArray[np.float32]], count: int, classes: int) -> None:
    """Check that each of ``rows`` is float32 [count, classes].

    Raises:
        ModelError: if one of them is not; ``path`` is the file's.
    """
    for row in rows:
        if row.shape != (count, classes) or row.dtype != np.float32:
            raise ModelError(
                f"{path}: expected scores of shape {[count, classes]}, found {row.dtype} {list(row.shape)}. {AGAIN}"
            )
