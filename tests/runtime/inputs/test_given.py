"""Images as people have them: tensors, lists, batches, encoded bytes, any axis order; and what is not guessed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from krypton_compile import compile
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.inputs.given import own_input, several
from krypton_compile.runtime.maps.several_images import Explanations
from tests.support.field_networks import resnet18_3d
from tests.support.small import SHAPE, small_model

SHAPES = {"NCHW": (1, 3, 5, 7), "NHWC": (1, 5, 7, 3), "NCL": (1, 2, 9), "NCDHW": (1, 2, 4, 5, 6)}
IMAGENET = Preprocessing(scale=255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("layout", SHAPES)
@pytest.mark.parametrize("kind", [np.float64, np.float16, np.float32, list, "torch", "grad", "bfloat16", "array"])
def test_numbers_of_every_kind_are_the_input(layout, kind):
    array = numbers(*SHAPES[layout])
    if isinstance(kind, str) and kind != "array":
        torch = pytest.importorskip("torch")
        given = torch.from_numpy(array)
        given = given.requires_grad_() if kind == "grad" else given.bfloat16() if kind == "bfloat16" else given
        array = array if kind != "bfloat16" else given.float().numpy()
    elif kind == "array":

        class Foreign:
            """A tensor of another library."""

            def __array__(self, dtype=None, copy=None):
                return array

        given = Foreign()
    elif kind is list:
        given = array.tolist()
    else:
        given = array.astype(kind)
        array = given.astype(np.float32)
    found = own_input(given, "image", array.shape, layout)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("layout", SHAPES)
@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("turned", [True, False])
def test_axes_may_come_in_either_order(layout, batch, turned):
    array = numbers(*SHAPES[layout])
    channel = layout.index("C")
    given = np.moveaxis(array, channel, -1 if channel == 1 else 1) if turned else array
    np.testing.assert_array_equal(own_input(given if batch else given[0], "image", array.shape, layout), array)


def test_grey_needs_no_channel():
    for layout, shape in (("NCHW", (1, 1, 5, 7)), ("NHWC", (1, 5, 7, 1))):
        array = numbers(*shape)
        np.testing.assert_array_equal(own_input(array.reshape(5, 7), "image", shape, layout), array)


def test_the_models_own_order_comes_first():
    array = numbers(3, 3, 3)
    np.testing.assert_array_equal(own_input(array, "image", (1, 3, 3, 3), "NCHW")[0], array)


REFUSED = {
    "another size": (
        numbers(3, 5, 6),
        r"\(1, 3, 5, 7\), or \[3, 5, 7\] or \[5, 7, 3\] of one image, found \(3, 5, 6\)",
    ),
    "16 bits": (np.zeros((5, 7), np.uint16), r"uint16 \[5, 7\] is a picture deeper than 8 bits; choose the window"),
    "counts": (np.zeros((3, 5, 7), np.int64), r"int64 .* is neither a picture.*\.astype\('float32'\)"),
    "flags": (np.zeros((3, 5, 7), bool), "bool .* is neither a picture"),
    "infinite": (np.full((3, 5, 7), 1e300), "expected finite numbers"),
    "texts": (np.array(["a"]), "found an array of <U1; expected a picture"),
    "an object": (object(), r"found object; expected a picture \(a path, bytes, a file.*floats \[1, 3, 5, 7\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_input_says_what_is(name):
    given, message = REFUSED[name]
    with pytest.raises(OcclusionError, match=message):
        own_input(given, "image", SHAPES["NCHW"], "NCHW")


def test_floats_that_may_be_a_picture_are_not_guessed():
    picture = np.random.default_rng(0).random((5, 7, 3)).astype(np.float32)
    shape = SHAPES["NCHW"]
    for preprocessing in (None, Preprocessing(scale=255)):  # nothing is known of pictures; both mean the same
        np.testing.assert_array_equal(own_input(picture, "image", shape, "NCHW", preprocessing)[0, 1], picture[..., 1])
    for preprocessing in (IMAGENET, Preprocessing(), Preprocessing(scale=255, channel_order="BGR")):
        with pytest.raises(OcclusionError, match=r"floats \[5, 7, 3\] from 0 to 1 may be a picture, or the model's in"):
            own_input(picture, "image", shape, "NCHW", preprocessing)
    own_input(picture - 0.5, "image", shape, "NCHW", IMAGENET)
    own_input(picture.transpose(2, 0, 1), "image", shape, "NCHW", IMAGENET)


def test_several_images_are_told_from_one():
    shape = SHAPES["NCHW"]
    picture = np.zeros((5, 7, 3), np.uint8)
    for one in (numbers(*shape), numbers(*shape[1:]), numbers(*shape).tolist(), "a.png", b"", picture, picture[None]):
        assert several(one, shape) is None
    assert several(["a.png", "b.png"], shape) == ["a.png", "b.png"]
    assert several(("a.png",), shape) == ["a.png"]
    batch = numbers(3, *shape[1:])
    for given in (batch, list(batch)):
        found = several(given, shape)
        assert found is not None
        np.testing.assert_array_equal(np.stack(found).reshape(batch.shape), batch)
    assert len(several(np.stack([picture] * 2), shape) or ()) == 2
    for nothing in ([], batch[:0]):
        with pytest.raises(OcclusionError, match=r"an empty list|at least one image"):
            several(nothing, shape)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "small.krypton.onnx"
    compile(small_model(), path, preprocessing=IMAGENET)
    return OcclusionSession(path, threads=1)


OPTIONS = {"patch_size": 8, "stride": 8}


def test_pictures_of_every_kind_give_one_map(pictured, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (*SHAPE[2:], 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    encoded = (tmp_path / "a.png").read_bytes()
    expected = pictured.explain(image, **OPTIONS).scores
    with (tmp_path / "a.png").open("rb") as file:
        streams = [file, io.BytesIO(encoded), encoded, bytearray(encoded), memoryview(encoded)]
        for given in (*streams, pixels, pixels[None], str(tmp_path / "a.png"), tmp_path / "a.png"):
            np.testing.assert_array_equal(pictured.explain(given, **OPTIONS).scores, expected)
        # A file is read from its beginning each time, and stays open.
        np.testing.assert_array_equal(pictured.explain(file, **OPTIONS).scores, expected)
        assert not file.closed
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(pictured.explain(torch.from_numpy(pixels), **OPTIONS).scores, expected)


def test_what_is_no_picture_is_named(pictured):
    with pytest.raises(ValueError, match="picture of 4 bytes: cannot be read as an image"):
        pictured.explain(b"text", **OPTIONS)
    with pytest.raises(ValueError, match="picture in a file: cannot be read as an image"):
        pictured.explain(io.BytesIO(b"text"), **OPTIONS)


def test_lists_and_batches_give_lists(pictured):
    batch = numbers(2, *SHAPE[1:])
    calls: list[tuple[int, int]] = []
    found = pictured.explain(batch, **OPTIONS, progress=lambda *call: calls.append(call))
    assert isinstance(found, Explanations)
    assert isinstance(found, list)
    for image, explanation in zip(batch, found, strict=True):
        np.testing.assert_array_equal(explanation.scores, pictured.explain(image[None], **OPTIONS).scores)
    assert found.heatmap().shape == (2, *SHAPE[2:])
    np.testing.assert_array_equal(found.heatmap(1)[0], found[0].heatmap(1))
    assert calls[-1] == (2 * len(found[0].boxes),) * 2
    assert sorted(calls) == calls
    pictures = [Image.new("RGB", (30, 30), colour) for colour in ("red", "green")]
    assert [each.picture[0, 0].tolist() for each in pictured.explain(pictures, **OPTIONS)] == [[255, 0, 0], [0, 128, 0]]
    assert len(pictured.explain(pictures[:1], **OPTIONS)) == 1


def test_an_error_says_of_which_image(pictured):
    with pytest.raises(FileNotFoundError) as error:
        pictured.explain([Image.new("RGB", (30, 30)), Path("none.png")], **OPTIONS)
    assert error.value.__notes__ == ["image 1 of 2, counted from 0"]


def test_where_one_image_is_asked_for(pictured):
    batch = numbers(2, *SHAPE[1:])
    for ask in (pictured.iter_explain, pictured.explain_progressively, pictured.estimate):
        with pytest.raises(OcclusionError, match=r"expected one, found 2.*explain\(\) takes several"):
            ask(batch, **OPTIONS)


def test_baselines_are_read_like_images(pictured, image):
    other = numbers(*SHAPE)
    expected = pictured.explain(image, **OPTIONS, baseline=other).scores
    for given in (other.astype(np.float64), other[0], other.tolist()):
        np.testing.assert_array_equal(pictured.explain(image, **OPTIONS, baseline=given).scores, expected)


def test_volumes_are_read_likewise(tmp_path):
    compile(resnet18_3d((8, 9, 10), 2), tmp_path / "volume.krypton.onnx", patch_size=3)
    session = OcclusionSession(tmp_path / "volume.krypton.onnx", threads=1)
    volume = numbers(*session.image_shape)
    expected = session.explain(volume, 3, 3).scores
    for given in (volume.astype(np.float64), volume[0], np.moveaxis(volume, 1, -1)):
        np.testing.assert_array_equal(session.explain(given, 3, 3).scores, expected)
    assert len(session.explain(np.repeat(volume, 2, 0), 3, 3)) == 2


def test_models_that_lack_an_axis_take_both_shapes():
    array, full = numbers(1, 5, 7), (1, 1, 5, 7)
    for given in (array, array[0], array[None], array[0, ..., None]):
        np.testing.assert_array_equal(own_input(given, "image", full, "NCHW", own_shape=(1, 5, 7))[0], array)
    flat = numbers(1, 105)
    for given in (flat, flat[0]):
        found = own_input(given, "image", SHAPES["NCHW"], "NCHW", own_shape=(1, 105))
        np.testing.assert_array_equal(found.ravel(), flat[0])
    assert len(several(numbers(3, 5, 7), full, (1, 5, 7)) or ()) == 3
    assert len(several(numbers(3, 105), SHAPES["NCHW"], (1, 105)) or ()) == 3
    assert several(numbers(5, 7), full, (1, 5, 7)) is None
    with pytest.raises(OcclusionError, match=r"expected shape \(1, 5, 7\), or \[1, 5, 7\] or \[5, 7, 1\] of one image"):
        own_input(numbers(1, 5, 8), "image", full, "NCHW", own_shape=(1, 5, 7))
