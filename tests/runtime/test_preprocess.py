"""Pixels to inputs: each option against the formula written out, and the recipes of the real models."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from krypton_compile.runtime.pictures import load_picture
from krypton_compile.runtime.preprocess import Preprocessing, baseline_input, prepare, preset

# float32 rounding of (p / scale - mean) / std for |x| of a few units.
TOLERANCE = 1e-6


@pytest.fixture
def photo(tmp_path):
    """A colour picture, 40 wide and 30 high, with something in every channel."""
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save(path)
    return path


def test_squeeze_to_unit_range_is_the_plain_recipe(photo):
    found = prepare(photo, preset("unit"), (24, 20), layout="NHWC")
    expected = np.asarray(Image.open(photo).convert("RGB").resize((20, 24)), np.float32)
    np.testing.assert_allclose(found.tensor, expected[None] / 255, atol=TOLERANCE)
    assert found.tensor.dtype == np.float32
    np.testing.assert_array_equal(found.picture, expected.astype(np.uint8))


def test_crop_with_bgr_means_is_the_caffe_recipe(photo):
    options = Preprocessing(
        mean=(103.939, 116.779, 123.68), channel_order="BGR", resize="crop", short_side=26, interpolation="bilinear"
    )
    image = Image.open(photo).resize((round(40 * 26 / 30), 26), Image.Resampling.BILINEAR)
    left, top = (image.width - 20) // 2, (26 - 20) // 2
    pixels = np.asarray(image.crop((left, top, left + 20, top + 20)), np.float32)
    expected = (pixels[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)).transpose(2, 0, 1)
    found = prepare(photo, options, (20, 20))
    np.testing.assert_array_equal(found.tensor, expected[None])
    assert found.tensor.flags.c_contiguous
    np.testing.assert_array_equal(found.picture, pixels.astype(np.uint8))


@pytest.mark.parametrize(("name", "low", "high"), [("none", 0, 255), ("unit", 0, 1), ("tf", -1, 1)])
def test_presets_map_black_and_white(tmp_path, name, low, high):
    for value, expected in ((0, low), (255, high)):
        Image.new("L", (4, 4), value).save(tmp_path / "flat.png")
        found = prepare(tmp_path / "flat.png", preset(name), (4, 4))
        np.testing.assert_allclose(found.tensor, expected, atol=TOLERANCE)


def test_imagenet_preset_is_per_channel(tmp_path):
    Image.new("RGB", (4, 4), (255, 0, 51)).save(tmp_path / "flat.png")
    found = prepare(tmp_path / "flat.png", preset("imagenet"), (4, 4)).tensor[0, :, 0, 0]
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_grey_model(photo):
    found = prepare(photo, preset("unit"), (30, 40), channels=1)
    expected = np.asarray(Image.open(photo).convert("L"))
    assert found.tensor.shape == (1, 1, 30, 40)
    np.testing.assert_allclose(found.tensor[0, 0], expected / 255, atol=TOLERANCE)
    np.testing.assert_array_equal(found.picture, np.repeat(expected[..., None], 3, axis=2))


def test_exif_orientation_is_applied(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert load_picture(path).size == (30, 40)


@pytest.mark.parametrize(("baseline", "pixel"), [("black", 0), ("gray", 128), ("64", 64), (255, 255)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_baseline_is_a_pixel_through_the_same_formula(baseline, pixel, layout):
    options = preset("imagenet")
    found = baseline_input(baseline, options, (5, 7), layout=layout)
    rows = found[0].transpose(1, 2, 0) if layout == "NCHW" else found[0]
    assert rows.shape == (5, 7, 3)
    expected = (pixel / 255 - np.array(options.mean)) / np.array(options.std)
    np.testing.assert_allclose(rows, np.broadcast_to(expected, rows.shape), atol=TOLERANCE)


@pytest.mark.parametrize("baseline", ["white-ish", "-1", "256", "nan", "inf"])
def test_baseline_refuses_what_is_no_pixel(baseline):
    with pytest.raises(ValueError, match="pixel value"):
        baseline_input(baseline, Preprocessing(), (4, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"std": (0.0,)}, "other than 0"),
        ({"scale": 0.0}, "other than 0"),
        ({"mean": (float("nan"),)}, "finite"),
        ({"std": ()}, "finite"),
        ({"short_side": 8}, "crop"),
        ({"resize": "stretch"}, "resize mode"),
    ],
)
def test_options_that_give_no_input_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**options)


@pytest.mark.parametrize(
    ("options", "size", "channels", "message"),
    [
        (Preprocessing(mean=(1.0, 2.0)), (8, 8), 3, "mean has 2 numbers"),
        (Preprocessing(resize="crop", short_side=20), (24, 24), 3, "leaves 20 x 27"),
        (Preprocessing(), (8, 8), 4, "4 channels"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(photo, options, size, channels, message):
    with pytest.raises(ValueError, match=message):
        prepare(photo, options, size, channels)


def test_unknown_preset():
    with pytest.raises(ValueError, match="expected one of none, unit"):
        preset("imagnet")


def test_files_that_are_no_pictures(tmp_path, photo):
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:500])
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    for name, message in (("text.png", "cannot be read"), ("cut.png", "cannot be read"), ("deep.png", "8 bits")):
        with pytest.raises(ValueError, match=message):
            load_picture(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_picture(tmp_path / "none.png")
