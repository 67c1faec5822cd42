"""Pictures of maps that are signed, constant or full of holes, and files written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from krypton_compile.runtime.figure import figure_png, overlay, save_figure


def grey_picture(value=100, shape=(6, 8)):
    return np.full((*shape, 3), value, np.uint8)


def test_overlay_is_red_for_support_blue_against_and_leaves_nan_alone():
    heatmap = np.zeros((6, 8), np.float32)
    heatmap[0, 0], heatmap[0, 1], heatmap[0, 2] = 2.0, -2.0, np.nan
    found = overlay(grey_picture(), heatmap, alpha=1.0)
    red, blue = found[0, 0].astype(int), found[0, 1].astype(int)
    assert red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50
    assert found[0, 2].tolist() == [100, 100, 100]
    assert found[1, 1].min() > 240
    assert (overlay(grey_picture(), heatmap, alpha=0.0) == 100).all()


@pytest.mark.parametrize("constant", [0.0, 3.0, -3.0, np.nan])
def test_constant_maps_are_legal(constant):
    heatmap = np.full((6, 8), constant, np.float32)
    found = overlay(grey_picture(), heatmap)
    assert found.shape == (6, 8, 3)
    assert (found == found[0, 0]).all()
    assert figure_png(grey_picture(), heatmap, "a title with $ and _")


@pytest.mark.parametrize(
    ("picture", "options", "message"),
    [
        (grey_picture(shape=(8, 6)), {}, "heat map"),
        (grey_picture().astype(np.float32), {}, "expected uint8"),
        (grey_picture(), {"alpha": 1.5}, "alpha"),
        (grey_picture(), {"cmap": "no such map"}, "unknown colour map"),
    ],
)
def test_overlay_refuses(picture, options, message):
    with pytest.raises(ValueError, match=message):
        overlay(picture, np.zeros((6, 8), np.float32), **options)


def test_figure_is_a_png_written_whole(tmp_path):
    path = tmp_path / "map.png"
    heatmap = np.linspace(-1, 1, 48, dtype=np.float32).reshape(6, 8)
    save_figure(path, grey_picture(), heatmap, "title")
    assert Image.open(io.BytesIO(path.read_bytes())).format == "PNG"
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*_paths):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_figure(tmp_path / "map.png", grey_picture(), np.zeros((6, 8), np.float32))
    assert list(tmp_path.iterdir()) == []
