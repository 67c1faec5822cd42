"""Pictures of maps that are signed, constant or full of holes, and files written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from krypton_compile.disk.write import write_all
from krypton_compile.runtime.maps.figure import colourise, figure_png, overlay


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
    assert found[1, 1].tolist() == [100, 100, 100]  # nothing: the picture itself
    assert (overlay(grey_picture(), heatmap, alpha=0.0) == 100).all()


@pytest.mark.parametrize("constant", [0.0, 3.0, -3.0, np.nan])
def test_constant_maps_are_legal(constant):
    heatmap = np.full((6, 8), constant, np.float32)
    found = overlay(grey_picture(), heatmap)
    assert found.shape == (6, 8, 3)
    assert (found == found[0, 0]).all()
    assert figure_png(grey_picture(), [("", heatmap)], ["a title with $ and _", "another line"])
    assert figure_png(grey_picture(), [("", heatmap)], signed=False)


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


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_figure_has_a_panel_a_map(count):
    heatmap = np.linspace(-1, 1, 48, dtype=np.float32).reshape(6, 8)
    data = figure_png(grey_picture(), [(f"map {i}", heatmap) for i in range(count)], ["a" * 200, "b"])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 400 * min(count + 1, 3)


def test_scores_get_colours_from_their_smallest_to_their_largest():
    heatmap = np.full((6, 8), 0.5, np.float32)
    heatmap[0, 0], heatmap[0, 1] = 0.2, 0.9
    found = overlay(grey_picture(), heatmap, alpha=1.0, signed=False).astype(int)
    assert found[0, 0, 2] > found[0, 0, 1]  # viridis begins dark violet
    assert found[0, 1, 1] > 200  # and ends yellow
    assert found[0, 1, 0] > 200


def luminance(colours):
    """How bright colours [..., 3] are to an eye without red or green cones as well (its weights differ little)."""
    return colours.astype(float) @ [0.2126, 0.7152, 0.0722]


def test_both_colour_maps_can_be_told_apart_without_red_and_green():
    """Support and opposition differ in blue; the strength of either, and the sequential map, in brightness."""
    ramp = np.linspace(-1, 1, 101, dtype=np.float32)[None]
    signed = colourise(ramp).astype(int)[0]
    assert (np.diff(luminance(signed)[:50]) >= -1).all()
    assert (np.diff(luminance(signed)[51:]) <= 1).all()
    assert (signed[:40, 2] - signed[:40, 0]).min() > 20
    assert (signed[61:, 0] - signed[61:, 2]).min() > 20
    assert (np.diff(luminance(colourise(ramp, signed=False)[0])) >= -1).all()


def test_files_are_written_whole(tmp_path):
    write_all({tmp_path / "a": b"one", tmp_path / "b": b"two"})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a": b"one", "b": b"two"}


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full_disk(*_paths):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_all({tmp_path / "map.png": b"bytes", tmp_path / "map.npy": b"more"})
    assert list(tmp_path.iterdir()) == []
