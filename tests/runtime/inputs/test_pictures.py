"""What a picture is: files, PIL images and arrays that mean the same give the same, and what is unclear is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from krypton_compile.runtime.inputs.pictures import load_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.mark.parametrize(
    ("source", "layout"),
    [
        (PIXELS, None),
        (PIXELS, "HWC"),
        (PIXELS.transpose(2, 0, 1), "CHW"),
        (np.dstack([PIXELS, np.full((30, 40), 255, np.uint8)]), None),
        (Image.fromarray(PIXELS), None),
    ],
)
def test_arrays_and_images_are_the_picture(source, layout):
    picture = load_picture(source, layout)
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), PIXELS)


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1)])
def test_grey_stays_grey(shape):
    grey = PIXELS[..., 0]
    picture = load_picture(grey.reshape(shape))
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), grey)


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_a_path_may_be_text(tmp_path, as_path):
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    np.testing.assert_array_equal(np.asarray(load_picture(as_path(tmp_path / "photo.png"))), PIXELS)


@pytest.mark.parametrize(
    ("source", "layout", "message"),
    [
        (np.zeros((3, 30, 40), np.uint8), None, "looks like .*layout='CHW'"),
        (np.zeros((3, 30, 3), np.uint8), None, "layout='HWC' or layout='CHW'"),
        (np.zeros((1, 1, 1), np.uint8), None, "layout='HWC' or layout='CHW'"),
        (np.zeros((3, 30, 40), np.uint8), "HWC", "as HWC; expected 1, 3 or 4 channels"),
        (np.zeros((30, 40, 3), np.uint8), "CHW", "as CHW; expected 1, 3 or 4 channels"),
        (np.zeros((30, 40, 2), np.uint8), None, "1, 3 or 4 channels"),
        (np.zeros((30, 40, 3), np.uint8), "NHWC", "layout 'NHWC'"),
        (np.zeros((1, 30, 40, 3), np.uint8), None, "expected one picture"),
        (np.zeros((0, 40, 3), np.uint8), None, "expected one picture"),
        (np.zeros((30, 40, 3), np.float32), None, "array of float32.*expected uint8"),
        (np.zeros((30, 40), np.uint16), None, "array of uint16.*expected uint8"),
        ([[0, 1]], None, "type list"),
    ],
)
def test_arrays_that_may_mean_something_else_are_refused(source, layout, message):
    with pytest.raises(ValueError, match=message):
        load_picture(source, layout)


def test_an_array_of_two_readings_is_read_as_told():
    array = PIXELS[:3, :, :]
    np.testing.assert_array_equal(np.asarray(load_picture(array, "HWC")), array)
    np.testing.assert_array_equal(np.asarray(load_picture(array, "CHW")), array.transpose(1, 2, 0))


@pytest.mark.parametrize("opened", [False, True])
def test_exif_orientation_is_applied(tmp_path, opened):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    if opened:
        with Image.open(path) as image:
            assert load_picture(image).size == (30, 40)
            assert image.size == (40, 30), "the user's image was turned"
    else:
        assert load_picture(path).size == (30, 40)


@pytest.mark.parametrize(
    ("pixels", "name"),
    [
        (np.full((4, 4), 40000, np.uint16), "deep.png"),
        (np.full((4, 4), 40000, np.int32), "deep.tif"),
        (np.full((4, 4), 0.5, np.float32), "deep.tif"),
    ],
)
def test_deep_pixels_are_not_guessed_into_eight_bits(tmp_path, pixels, name):
    Image.fromarray(pixels).save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}: pixels of mode [IF].*window"):
        load_picture(tmp_path / name)


def with_alpha(mode: str, alpha: int) -> Image.Image:
    """A picture whose every pixel is opaque but one."""
    image = Image.fromarray(PIXELS).convert("L" if mode == "LA" else "RGB").convert(mode)
    opacity = Image.new("L", image.size, 255)
    opacity.putpixel((3, 4), alpha)
    image.putalpha(opacity)
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_only_opaque_pictures_lose_their_alpha(tmp_path, mode):
    path = tmp_path / "alpha.png"
    with_alpha(mode, 255).save(path)
    expected = Image.fromarray(PIXELS).convert("L" if mode == "LA" else "RGB")
    np.testing.assert_array_equal(np.asarray(load_picture(path)), np.asarray(expected))
    with_alpha(mode, 254).save(path)
    with pytest.raises(ValueError, match=r"alpha.png: has transparent pixels.*254.*flatten it on the background"):
        load_picture(path)


@pytest.mark.parametrize("transparency", [7, bytes([255] * 7 + [128])])
def test_a_palette_may_be_transparent_too(tmp_path, transparency):
    colours = PIXELS.reshape(-1, 3)[:8]
    for used, refused in ((7, False), (8, True)):  # entry 7 is transparent: it shows in the second picture only
        image = Image.fromarray((np.arange(64, dtype=np.uint8) % used).reshape(8, 8), "P")
        image.putpalette(colours.tobytes())
        path = tmp_path / f"palette{used}.png"
        image.save(path, transparency=transparency)
        if refused:
            with pytest.raises(ValueError, match="transparent"):
                load_picture(path)
        else:
            found = np.asarray(load_picture(path))
            np.testing.assert_array_equal(found, colours[np.arange(64) % used].reshape(8, 8, 3))


@pytest.mark.parametrize(("mode", "colour"), [("L", 9), ("RGB", (9, 9, 9))])
def test_a_transparent_colour_counts_where_it_is_used(tmp_path, mode, colour):
    for value in (9, 10):
        path = tmp_path / f"{value}.png"
        Image.new(mode, (4, 4), value if mode == "L" else (value,) * 3).save(path, transparency=colour)
        if value == 9:
            with pytest.raises(ValueError, match="transparent"):
                load_picture(path)
        else:
            assert load_picture(path).getpixel((0, 0)) == (10 if mode == "L" else (10, 10, 10))


@pytest.mark.parametrize(("mode", "expected"), [("1", "L"), ("CMYK", "RGB"), ("P", "RGB"), ("RGBX", "RGB")])
def test_other_modes_become_grey_or_colour(mode, expected):
    assert load_picture(Image.new(mode, (4, 4))).mode == expected


@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "pages.tif"])
def test_several_frames_are_not_one_picture(tmp_path, name):
    frames = [Image.new("L", (4, 4), 20 * i) for i in range(12)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=f"{name}: 12 frames; extract one"):
        load_picture(tmp_path / name)
    frames[0].save(tmp_path / name)
    assert load_picture(tmp_path / name).size == (4, 4)


def test_a_cameras_previews_are_no_frames(tmp_path):
    picture, preview = Image.new("RGB", (40, 30)), Image.new("RGB", (8, 6))
    picture.save(tmp_path / "camera.jpg", format="MPO", save_all=True, append_images=[preview])
    assert load_picture(tmp_path / "camera.jpg").size == (40, 30)


def test_what_is_no_picture(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "cut.png").write_bytes((tmp_path / "photo.png").read_bytes()[:500])
    for name in ("text.png", "cut.png"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read as an image"):
            load_picture(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_picture(tmp_path / "none.png")
    for limit in (1000, 500):  # Pillow warns from the limit on, and refuses from twice of it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ValueError, match=r"photo.png.*bomb"):
            load_picture(tmp_path / "photo.png")
