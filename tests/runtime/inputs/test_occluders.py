"""What shows in a window: each kind of occluder against what it says it is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.contract.preprocessing import Preprocessing, preset
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.inputs.occluders import Canvas, make_occluder
from krypton_compile.runtime.inputs.pda import ConditionalSampler

H, W = 12, 15
IMAGENET = preset("imagenet")
BGR = Preprocessing(mean=(1.0, 2.0, 3.0), channel_order="BGR")
# float32 rounding of (p / scale - mean) / std for |x| of a few units.
TOLERANCE = 1e-6


def canvas(layout="NCHW", preprocessing=IMAGENET, channels=3):
    pixels = np.random.default_rng(0).standard_normal((H, W, channels)).astype(np.float32)
    image = np.moveaxis(pixels, 2, 0) if layout == "NCHW" else pixels
    return Canvas(np.ascontiguousarray(image[None]), layout, preprocessing)


def colour_of(occluder, layout="NCHW"):
    """The one colour that shows everywhere."""
    pixels = Canvas(occluder.image, layout, None).pixels.reshape(H * W, -1)
    assert (pixels == pixels[0]).all()
    return pixels[0]


@pytest.mark.parametrize(
    ("baseline", "pixel"),
    [
        ("black", (0, 0, 0)),
        ("white", (255, 255, 255)),
        ("gray", (128, 128, 128)),
        ("64", (64, 64, 64)),
        (64, (64, 64, 64)),
        (12.5, (12.5, 12.5, 12.5)),
        ("255,0,127.5", (255, 0, 127.5)),
        ((255, 0, 127.5), (255, 0, 127.5)),
    ],
)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_colours_go_through_the_preprocessing(baseline, pixel, layout):
    found = colour_of(make_occluder(baseline, canvas(layout)), layout)
    expected = (np.array(pixel) / 255 - IMAGENET.mean) / IMAGENET.std
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_a_colour_is_red_green_blue_whatever_the_model_takes():
    found = colour_of(make_occluder("10,20,30", canvas(preprocessing=BGR)))
    np.testing.assert_allclose(found, [30 - 1, 20 - 2, 10 - 3])


def test_numbers_of_the_models_own_input_stay_as_they_are():
    np.testing.assert_array_equal(colour_of(make_occluder("-2,0.5,7", canvas(), "input")), [-2, 0.5, 7])
    np.testing.assert_array_equal(colour_of(make_occluder(-3, canvas(preprocessing=None), "input")), [-3, -3, -3])


def test_black_is_black_even_among_the_models_own_numbers():
    expected = colour_of(make_occluder("black", canvas()))
    np.testing.assert_array_equal(colour_of(make_occluder("black", canvas(), "input")), expected)


@pytest.mark.parametrize("baseline", ["black", "64", (1, 2, 3), "photo.png"])
def test_pictures_need_a_preprocessing(baseline):
    with pytest.raises(OcclusionError, match="does not say how pictures become its input"):
        make_occluder(baseline, canvas(preprocessing=None))


def test_the_mean_is_the_images_own():
    image = canvas()
    np.testing.assert_allclose(colour_of(make_occluder("mean", image)), image.pixels.mean(axis=(0, 1)), atol=TOLERANCE)


def test_each_window_its_own_mean():
    image = canvas()
    boxes = occlusion_grid((H, W), (5, 4), (3, 3))
    rows = make_occluder("patch-mean", image).rows(boxes, None, 0)
    start = 0
    for y0, x0, h, w in boxes.tolist():
        expected = image.pixels[y0 : y0 + h, x0 : x0 + w].mean(axis=(0, 1))
        np.testing.assert_allclose(rows[start : start + h * w], np.tile(expected, (h * w, 1)), atol=TOLERANCE)
        start += h * w
    assert start == len(rows)


def test_of_a_region_the_mean_is_of_its_own_pixels():
    image = canvas()
    mask = np.array([True, False, False, True])
    rows = make_occluder("patch-mean", image).rows(np.array([[2, 3, 2, 2]], np.int32), mask, 0)
    np.testing.assert_allclose(rows[0], (image.pixels[2, 3] + image.pixels[3, 4]) / 2, atol=TOLERANCE)


def test_a_blur_keeps_the_mean_and_flattens():
    image = canvas()
    some, more = (make_occluder(f"blur:{sigma}", image).image for sigma in (1, 4))
    assert image.image.std() > 2 * some.std() > 2 * more.std() > 0
    flat = Canvas(np.full_like(image.image, 3.0), "NCHW", None)
    np.testing.assert_allclose(make_occluder("blur", flat).image, flat.image, atol=TOLERANCE)


def test_noise_is_repeatable_and_within_the_images_range():
    image = canvas()
    first, again, other = (make_occluder(name, image).image for name in ("noise", "noise:0", "noise:1"))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    assert first.min() >= image.image.min()
    assert first.max() <= image.image.max()


def test_a_picture_shows_where_it_lies(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (H, W, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "other.png")
    expected = (pixels.astype(np.float32) / 255 - np.float32(IMAGENET.mean)) / np.float32(IMAGENET.std)
    for baseline in (str(tmp_path / "other.png"), tmp_path / "other.png", Image.fromarray(pixels), pixels):
        found = make_occluder(baseline, canvas("NHWC")).image
        np.testing.assert_allclose(found[0], expected, atol=TOLERANCE)


def test_an_array_is_the_models_own_input():
    image = canvas()
    np.testing.assert_array_equal(make_occluder(image.image * 2, image).image, image.image * 2)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ("purple", "expected black, white, gray"),
        ("300", "0 to 255"),
        ("-1", "0 to 255"),
        ("1,2", "2 numbers for a model of 3 channels"),
        ("nan", "finite"),
        ("blur:0", "more than 0 pixels"),
        ("noise:x", "expected black"),
        (np.zeros((3, 3), np.float32), "shape"),
        (None, "expected black"),
    ],
)
def test_what_is_no_occluder_is_refused(baseline, message):
    with pytest.raises(OcclusionError, match=message):
        make_occluder(baseline, canvas())


def test_a_missing_picture_is_named():
    with pytest.raises(OSError, match=r"nowhere\.png"):
        make_occluder("nowhere.png", canvas())


def field(seed):
    """A smooth random field [64, 64, 2], the second channel on another scale."""
    from scipy.ndimage import gaussian_filter

    drawn = np.random.default_rng(seed).standard_normal((64, 64, 2))
    smooth = gaussian_filter(drawn, (2, 2, 0))
    return smooth / smooth.std(axis=(0, 1)) * [1, 20] + [0, 100]


def test_samples_follow_their_surroundings():
    """In a smooth field, a window's samples are much closer to what is there than the field's spread, at its rim."""
    image = field(0)
    sampler = ConditionalSampler(image, image.min(axis=(0, 1)), image.max(axis=(0, 1)))
    boxes = occlusion_grid((64, 64), (3, 3), (7, 7), "valid")
    truth = np.concatenate([image[y : y + h, x : x + w].reshape(-1, 2) for y, x, h, w in boxes.tolist()])
    off = sampler.sample(boxes, 0) - truth
    assert (off.std(axis=0) < 0.25 * image.std(axis=(0, 1))).all()
    # A window far larger than the field's structures: samples spread like the field itself.
    large = occlusion_grid((64, 64), (24, 24), (10, 10), "valid")
    inner = sampler.sample(large, 0).reshape(-1, 24, 24, 2)[:, 10:14, 10:14]
    assert (inner.std(axis=(0, 1, 2)) > 0.5 * image.std(axis=(0, 1))).all()


def test_a_sample_depends_on_its_number_and_place_alone():
    image = field(1)
    sampler = ConditionalSampler(image, image.min(axis=(0, 1)), image.max(axis=(0, 1)))
    boxes = occlusion_grid((64, 64), (9, 8), (8, 8))
    whole = sampler.sample(boxes, 3)
    rows = np.cumsum([0, *(boxes[:, 2] * boxes[:, 3])])
    for index in (0, 17, len(boxes) - 9):
        alone = sampler.sample(boxes[[index]], 3)
        np.testing.assert_allclose(alone, whole[rows[index] : rows[index + 1]], atol=1e-4)
    assert (whole != sampler.sample(boxes, 4)).any(axis=1).mean() > 0.9
    assert (whole >= image.min(axis=(0, 1)) - 1e-4).all()
    assert (whole <= image.max(axis=(0, 1)) + 1e-4).all()


@pytest.mark.parametrize("corner", [(0, 0), (0, 20), (30, 0), (55, 55), (30, 30)])
def test_samples_know_nothing_of_what_is_hidden(corner):
    """Whatever stands in the window, the rim of the image included: the covariance's tiny part of it aside."""
    image = field(2)
    y, x = corner
    boxes = np.array([[y, x, 9, 9]], np.int32)
    other = image.copy()
    other[y : y + 9, x : x + 9] = other[y : y + 9, x : x + 9][::-1, ::-1]  # the same colours elsewhere
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    samplers = [ConditionalSampler(one, low, high) for one in (image, other)]
    samplers[1]._fields = samplers[0]._fields
    first, second = (sampler.sample(boxes, 0) for sampler in samplers)
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_a_flat_image_has_but_one_sample():
    image = np.full((20, 20, 1), 5.0)
    sampler = ConditionalSampler(image, np.zeros(1), np.full(1, 255.0))
    np.testing.assert_allclose(sampler.sample(occlusion_grid((20, 20), (6, 6), (7, 7)), 0), 5.0, atol=1e-4)


def test_windows_too_large_for_their_covariance_are_refused():
    sampler = ConditionalSampler(np.zeros((80, 80, 1)), np.zeros(1), np.ones(1))
    with pytest.raises(OcclusionError, match="at most 1024 pixels"):
        sampler.sample(np.array([[0, 0, 65, 65]], np.int32), 0)
