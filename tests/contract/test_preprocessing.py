"""Pixels to inputs: each option against the formula written out, and the recipes of the real models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from krypton_compile.contract.preprocessing import PRESETS, Preprocessing, preset
from krypton_compile.runtime.inputs.prepare import baseline_input, prepare
from krypton_compile.runtime.inputs.resized import resized

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
    options = preset("caffe", resize="crop", short_side=26, interpolation="bilinear")
    image = Image.open(photo).resize((int(26 * 40 / 30), 26), Image.Resampling.BILINEAR)
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


def test_grey_pictures_are_repeated_for_a_colour_model(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (30, 40), np.uint8)
    found = prepare(grey, preset("unit"), (30, 40)).tensor
    np.testing.assert_allclose(found, np.broadcast_to(grey / 255, (1, 3, 30, 40)), atol=TOLERANCE)


def test_a_path_an_image_and_an_array_give_one_tensor(photo):
    options, image = preset("imagenet", resize="crop"), Image.open(photo)
    found = [prepare(source, options, (20, 20)).tensor for source in (photo, image, np.asarray(image))]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_interpolations_are_pillows(photo, name):
    found = prepare(photo, Preprocessing(interpolation=name), (24, 20), layout="NHWC").picture
    expected = Image.open(photo).resize((20, 24), Image.Resampling[name.upper()])
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_without_resizing_only_the_models_size_is_taken(photo):
    found = prepare(photo, Preprocessing(resize="none"), (30, 40), layout="NHWC")
    np.testing.assert_array_equal(found.tensor[0], np.asarray(Image.open(photo)))
    with pytest.raises(ValueError, match=r"the picture has 30 x 40 pixels .*takes 40 x 30; resize it first"):
        prepare(photo, Preprocessing(resize="none"), (40, 30))


@pytest.mark.parametrize(("resize", "box"), [("squeeze", (0, 0, 40, 30)), ("crop", (5, 0, 35, 30))])
def test_a_label_map_goes_the_pictures_way(resize, box):
    """Nearest makes no new labels, and takes them from the part of the map that the picture is taken from."""
    labels = Image.fromarray(np.repeat(np.arange(8, dtype=np.uint8), 5)[None].repeat(30, axis=0))
    found = resized(labels, Preprocessing(resize=resize), (60, 60), "nearest")
    expected = labels.resize((60, 60), Image.Resampling.NEAREST, box=box)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    smooth = resized(labels, Preprocessing(resize=resize), (60, 60))
    assert np.abs(np.asarray(found, int) - np.asarray(smooth)).max() <= 1


@pytest.mark.parametrize("size", [(7, 7), (7, 21), (21, 7), (30, 40), (299, 5)])
def test_a_crop_of_its_own_size_is_just_large_enough(photo, size):
    """One side is the model's to the pixel: floor(n l / s) is at least the other, whatever the rounding."""
    found = resized(Image.open(photo), Preprocessing(resize="crop"), size)
    assert (found.height, found.width) == size


@pytest.mark.parametrize("options", [*PRESETS.values(), Preprocessing(resize="crop", short_side=256, size=(224, 192))])
def test_json_holds_all_of_it(options):
    assert Preprocessing.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": 2.2}, "found .*gamma"),
        ({"std": None}, "std None; expected finite"),
        ({"scale": "1"}, "preprocessing"),
        ({"interpolation": "area"}, "interpolation 'area'"),
        ({"size": [224]}, "size"),
    ],
)
def test_json_of_other_fields_is_refused(changes, message):
    fields = json.loads(Preprocessing().to_json())
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_json(json.dumps({**fields, **changes}))


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"scale": 1.0}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match=r"expected the fields|Expecting value"):
        Preprocessing.from_json(text)


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
        ({"resize": "none", "short_side": 8}, "crop"),
        ({"interpolation": "area"}, "interpolation"),
        ({"size": (0, 8)}, "size"),
    ],
)
def test_options_that_give_no_input_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**options)


@pytest.mark.parametrize(
    ("options", "size", "channels", "message"),
    [
        (Preprocessing(mean=(1.0, 2.0)), (8, 8), 3, "mean has 2 numbers"),
        (Preprocessing(resize="crop", short_side=20), (24, 24), 3, "leaves 20 x 26"),
        (Preprocessing(), (8, 8), 4, "4 channels"),
        (Preprocessing(size=(224, 224)), (8, 8), 3, "for pictures of 224 x 224 pixels .* takes 8 x 8"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(photo, options, size, channels, message):
    with pytest.raises(ValueError, match=message):
        prepare(photo, options, size, channels)


def test_unknown_preset():
    with pytest.raises(ValueError, match="expected one of none, unit"):
        preset("imagnet")
