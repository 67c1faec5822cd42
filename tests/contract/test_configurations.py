"""timm's configurations and Hugging Face's rarer processors, against numbers that the originals printed for a ramp.

They are transformers 5.24 and timm 1.0.31; test_processors.py compares with the packages themselves where they are.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from krypton_compile.contract.preprocessing import FILE_MODES, Preprocessing
from krypton_compile.contract.presets import read_configuration, read_recipe
from krypton_compile.runtime.inputs.prepare import prepare
from krypton_compile.runtime.inputs.resized import resized

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
BASE = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}


def both(number):
    return {"height": number, "width": number}


CROPPED = {"do_center_crop": True, "crop_size": both(24)}
CONFIGS = {
    "deit": {**IMAGENET, "image_processor_type": "DeiTImageProcessor", "resample": 3, "size": both(28), **CROPPED,
             "crop_size": both(23)},
    "levit": {**IMAGENET, "image_processor_type": "LevitFeatureExtractor", "resample": 3,
              "size": {"shortest_edge": 24}, **CROPPED},
    "perceiver": {**IMAGENET, "image_processor_type": "PerceiverImageProcessor", "resample": 3, "size": both(24),
                  **CROPPED, "crop_size": both(28)},
    "segformer": {**IMAGENET, "image_processor_type": "SegformerImageProcessorFast", "resample": 2, "size": both(24),
                  "do_reduce_labels": False},
    "siglip": {**HALF, "image_processor_type": "SiglipImageProcessor", "resample": 3,
               "size": {"height": 20, "width": 24}},
    "dpt": {**HALF, "image_processor_type": "DPTImageProcessor", "resample": 3, "size": both(32),
            "ensure_multiple_of": 16, "keep_aspect_ratio": False},
    "bit": {**HALF, "image_processor_type": "BitImageProcessorFast", "resample": 3, "size": {"shortest_edge": 26},
            **CROPPED, "crop_size": both(23), "do_convert_rgb": True},
    "dinov3": {**IMAGENET, "image_processor_type": "DINOv3ViTImageProcessorFast", "resample": 2, "size": both(24)},
    "pp_lcnet": {**IMAGENET, "image_processor_type": "PPLCNetImageProcessor", "resample": 2, "size": both(28),
                 "resize_short": 28, **CROPPED},
}  # fmt: skip
TIMM = {
    "timm center": {"crop_pct": 0.875, "interpolation": "bilinear"},
    "timm squash": {
        "crop_pct": 0.9, "crop_mode": "squash", "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3,
    },
    "timm border": {"crop_pct": 1.0, "crop_mode": "border", "interpolation": "bicubic"},
    "timm oblong": {"crop_pct": 0.95, "interpolation": "lanczos", "input_size": [3, 24, 32]},
    "timm none said": {"input_size": [3, 30, 30], "mean": None, "std": None},
}  # fmt: skip
EXPECTED = {
    "deit": ((-0.096438, -0.214225, 0.328342), (-1.775409, -1.738095, -1.612723)),
    "levit": ((-0.020122, -0.217174, 0.329845), (-1.38154, -1.878151, -1.577865)),
    "perceiver": ((-0.062933, -0.144958, 0.404252), (-1.330165, -1.703081, -1.298998)),
    "segformer": ((-0.020122, -0.144958, 0.113009), (-2.049405, -2.0007, -1.804444)),
    "siglip": ((-0.039216, -0.152941, -0.13683), (-0.976471, -0.976471, -1.0)),
    "dpt": ((-0.039216, -0.152941, -0.137209), (-0.984314, -0.992157, -1.0)),
    "bit": ((-0.039727, -0.18636, -0.038823), (-0.654902, -0.921569, -0.890196)),
    "dinov3": ((-0.020122, -0.144958, 0.113259), (-2.05298, -1.994748, -1.79929)),
    "pp_lcnet": ((0.392542, -0.144958, -0.020122), (-1.351285, -1.738095, -1.31304)),
    "timm center": ((-0.019779, -0.07563, 0.388009), (-1.398664, -1.738095, -1.403573)),
    "timm squash": ((-0.039059, -0.152941, -0.079529), (-0.913725, -0.929412, -0.976471)),
    "timm border": ((-0.007751, -0.105742, 0.087223), (0.005565, -0.004902, 0.008192)),
    "timm oblong": ((-0.020122, -0.22301, 0.152573), (-1.980906, -2.018207, -1.787015)),
    "timm none said": ((0.028399, -0.144958, 0.372985), (-1.34729, -1.808123, -1.455861)),
}
"""The mean of each channel, and the first pixel."""
TOLERANCE = 1e-5
"""float32 means of some hundred numbers of size 1, and of DINOv3's pixels, which are not rounded."""


LEVEL = 1.01 / 255 / 0.224
"""One of a picture's 256 levels: PPLCNet's original resizes by torchvision alone."""


def configuration(name):
    if name in CONFIGS:
        return {**BASE, **CONFIGS[name]}
    inside = {"input_size": [3, 25, 25], "mean": IMAGENET["image_mean"], "std": IMAGENET["image_std"], **TIMM[name]}
    return {"architecture": "resnet18", "num_classes": 5, "pretrained_cfg": inside}


def ramp():
    """A picture of 50 x 37 pixels whose every pixel is another."""
    y, x = np.mgrid[:37, :50]
    return np.stack([5 * x, 6 * y, (x * y) % 256], axis=2).astype(np.uint8)


def written(folder, fields, name="config.json"):
    path = folder / name
    path.write_text(json.dumps(fields))
    return path


@pytest.mark.parametrize("name", EXPECTED)
def test_tensors_are_the_originals(tmp_path, name):
    options = read_recipe(str(written(tmp_path, configuration(name))))
    found = prepare(ramp(), options, options.size).tensor[0]
    means, first = EXPECTED[name]
    tolerance = LEVEL if name == "pp_lcnet" else TOLERANCE
    np.testing.assert_allclose(found.mean(axis=(1, 2), dtype=np.float64), means, atol=tolerance)
    np.testing.assert_allclose(found[:, 0, 0], first, atol=tolerance)


@pytest.mark.parametrize("name", TIMM)
def test_timm_has_its_fields_in_three_places(tmp_path, name):
    nested = configuration(name)
    inside = {**nested["pretrained_cfg"], "fixed_input_size": False, "tag": "a1_in1k", "crop_border_pixels": None}
    wrapped = {"image_processor_type": "TimmWrapperImageProcessor", "pretrained_cfg": inside, "architecture": "x"}
    expected = read_configuration(written(tmp_path, nested))
    assert read_configuration(written(tmp_path, wrapped, "preprocessor_config.json")) == expected
    if name != "timm none said":
        assert read_configuration(written(tmp_path, {"architecture": "x", **inside})) == expected


def test_a_processor_in_a_processor_config(tmp_path):
    outer = {"processor_class": "CLIPProcessor", "image_processor": configuration("bit")}
    expected = read_configuration(written(tmp_path, configuration("bit")))
    assert read_configuration(written(tmp_path, outer, "processor_config.json")) == expected


def test_a_random_filter_is_for_training(tmp_path):
    """The evaluation of older timms took bilinear for it; newer ones do not know the word."""
    config = {"pretrained_cfg": {**configuration("timm center")["pretrained_cfg"], "interpolation": "random"}}
    assert read_configuration(written(tmp_path, config)).interpolation == "bilinear"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interpolation": "hamming"}, "interpolation 'hamming'.*--resize none"),
        ({"crop_mode": "corner"}, "crop_mode 'corner'"),
        ({"crop_pct": 1.5}, "crop_pct 1.5"),
        ({"crop_pct": "0.9"}, "crop_pct 0.9"),
        ({"input_size": [224, 224]}, "input_size"),
        ({"input_size": [4, 224, 224]}, "input_size"),
        ({"mean": "imagenet"}, "mean imagenet"),
        ({"std": [0.0, 1.0, 1.0]}, "other than 0"),
        ({"crop_border_pixels": 4}, "crop_border_pixels 4: cannot be expressed.*--mean"),
    ],
)
def test_what_timm_says_and_we_cannot_names_the_field(tmp_path, changes, message):
    config = configuration("timm center")
    config["pretrained_cfg"].update(changes)
    path = written(tmp_path, config)
    with pytest.raises(ValueError, match=message) as caught:
        read_configuration(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("deit", {"crop_size": both(30)}, r"crop_size \(30, 30\) of pictures squeezed"),
        ("segformer", CROPPED | {"crop_size": both(20)}, r"crop_size \(20, 20\) of pictures squeezed"),
        ("dpt", {"ensure_multiple_of": 24}, "ensure_multiple_of 24"),
        ("dpt", {"keep_aspect_ratio": True}, "keep_aspect_ratio True: cannot be expressed"),
        ("levit", {"do_center_crop": False}, "without do_center_crop"),
        ("siglip", {"image_processor_type": "Siglip2ImageProcessor"}, "'Siglip2': it makes a sequence of patches"),
        ("siglip", {"image_processor_type": "DonutImageProcessor"}, "'Donut': it puts pages on a canvas"),
        ("siglip", {"image_processor_type": "TextNetImageProcessor"}, "'TextNet': its pictures have sizes"),
        ("siglip", {"image_processor_type": "ImageGPTImageProcessor"}, "makes tokens of pixels"),
    ],
)
def test_what_a_processor_says_and_we_cannot_names_the_field(tmp_path, name, changes, message):
    with pytest.raises(ValueError, match=message):
        read_configuration(written(tmp_path, {**configuration(name), **changes}))


def test_a_models_configuration_names_the_pictures(tmp_path):
    path = written(tmp_path, {"architectures": ["ResNetForImageClassification"], "id2label": {"0": "a"}})
    with pytest.raises(ValueError, match=r"expected a Hugging Face preprocessor_config\.json.*or timm's config\.json"):
        read_configuration(path)
    written(tmp_path, configuration("bit"), "preprocessor_config.json")
    with pytest.raises(ValueError, match=r"the pictures' is .*preprocessor_config\.json"):
        read_configuration(path)


SIDE = st.integers(1, 40)
PAIR = st.tuples(SIDE, SIDE)
RECIPES = st.one_of(
    st.builds(
        lambda how, scaled, centre, fill, whole: Preprocessing(
            resize=how, scaled=scaled, centre=centre, fill=fill, whole=whole
        ),
        st.sampled_from([mode for mode in FILE_MODES if mode != "inner"]),
        PAIR,
        st.sampled_from(["floor", "even"]),
        st.tuples(*[st.integers(0, 255)] * 3),
        st.booleans(),
    ),
    st.builds(
        lambda share: Preprocessing(resize="inner", share=share),
        st.tuples(*[st.floats(0.1, 1.0, allow_nan=False)] * 2),
    ),
)


@given(RECIPES, PAIR, PAIR)
def test_every_way_gives_the_models_size_or_says_why(options, size, picture):
    """And is the same for a picture and, pixel by pixel, for a map of its labels; JSON holds all of it."""
    assert Preprocessing.from_json(options.to_json()) == options
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*picture, 3), np.uint8))
    try:
        found = resized(image, options, size)
    except ValueError as error:
        assert re.search("the model takes|no inner part", str(error))  # noqa: PT017 - many pictures are too small
        return
    assert (found.height, found.width) == size
    assert resized(image.convert("L"), options, size, "nearest").size == found.size


def test_files_that_were_stored_before_are_read_and_written_as_they_were():
    text = (
        '{"channel_order": "RGB", "interpolation": "bicubic", "mean": [0.5], "resize": "crop", "scale": 255.0, '
        '"short_side": 256, "size": [224, 224], "std": [0.5]}'
    )
    assert Preprocessing.from_json(text).to_json() == text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": "fit"}, "scaled None"),
        ({"scaled": (3, 3)}, "scaled"),
        ({"resize": "cover", "scaled": (0, 3)}, "at least 1"),
        ({"resize": "inner"}, "share None"),
        ({"resize": "inner", "share": (0.0, 1.0)}, "more than 0"),
        ({"share": (0.5, 0.5)}, "share"),
        ({"resize": "fit", "scaled": (3, 3), "fill": (0, 0, 256)}, "fill"),
        ({"centre": "up"}, "centre"),
    ],
)
def test_ways_that_give_no_input_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**options)
