"""The benchmark of norms at every window: its grid, its section of a document, and one small network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.zoo.every_window import Row, _windows, _write_section


@pytest.mark.parametrize("sizes", [(16, 24), (8, 12, 16)])
def test_windows_cover_the_picture_and_hide_it_whole(sizes: tuple[int, ...]) -> None:
    boxes = _windows(sizes)
    axes = len(sizes)
    assert boxes[-1].tolist() == [0] * axes + list(sizes)
    assert ((boxes[:, :axes] >= 0) & (boxes[:, :axes] + boxes[:, axes:] <= sizes)).all()
    covered = np.zeros(sizes, bool)
    for box in boxes[:-1]:
        covered[tuple(slice(a, a + n) for a, n in zip(box[:axes], box[axes:], strict=True))] = True
    assert covered.all()
    assert len(np.unique(boxes, axis=0)) == len(boxes)


def test_a_section_is_written_once(tmp_path: Path) -> None:
    path, row = tmp_path / "models.md", Row("net", [3, 8, 8], 5, 0.5, 0.1, 300.0)
    path.write_text("# Models\n", "utf-8")
    _write_section([row], path)
    once = path.read_text("utf-8")
    _write_section([row], path)
    assert path.read_text("utf-8") == once
    assert "| `net` | 8x8 | 5 | 0.50 | 0.10 | 300 |" in once
