"""Published preprocessor_config.json files, cut to what they say, against what they do to a picture.

The expected numbers of the ramp were printed by transformers 5.24 (the "pil" backend) for the same files and picture.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.contract.presets import read_configuration as read_preprocessor_config
from krypton_compile.runtime.inputs.prepare import prepare

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
RESCALE = {"do_rescale": True, "rescale_factor": 0.00392156862745098}
BOTH = {"do_resize": True, "do_normalize": True}
ROOTS = [0.47853944, 0.4732864, 0.47434163]

CONFIGS = {
    "vit": {
        **BOTH, **RESCALE, **HALF,
        "image_processor_type": "ViTImageProcessor", "resample": 2, "size": {"height": 24, "width": 24},
    },
    "old vit": {**BOTH, **HALF, "feature_extractor_type": "ViTFeatureExtractor", "resample": 2, "size": 24},
    "resnet": {
        **BOTH, **IMAGENET,
        "crop_pct": 0.875, "feature_extractor_type": "ConvNextFeatureExtractor", "resample": 3, "size": 28,
    },
    "convnext 384": {
        **BOTH, **RESCALE, **IMAGENET,
        "crop_pct": 0.875, "image_processor_type": "ConvNextImageProcessor", "resample": 3,
        "size": {"shortest_edge": 384},
    },
    "efficientnet": {
        **BOTH, **RESCALE, "image_mean": IMAGENET["image_mean"], "image_std": ROOTS,
        "crop_size": {"height": 30, "width": 30}, "do_center_crop": False, "include_top": True, "rescale_offset": False,
        "image_processor_type": "EfficientNetImageProcessor", "resample": 0, "size": {"height": 20, "width": 20},
    },
    "mobilenet_v2": {
        **BOTH, **RESCALE, **HALF,
        "crop_size": {"height": 24, "width": 24}, "do_center_crop": True, "resample": 2, "size": {"shortest_edge": 28},
        "feature_extractor_type": "MobileNetV2FeatureExtractor", "image_processor_type": "MobileNetV2ImageProcessor",
    },
    "old mobilevit": {
        "crop_size": 24, "do_center_crop": True, "do_flip_channel_order": True, "do_resize": True,
        "feature_extractor_type": "MobileViTFeatureExtractor", "resample": 2, "size": 28,
    },
    "poolformer": {
        **BOTH, **IMAGENET,
        "crop_pct": 0.9, "crop_size": 24, "do_center_crop": True, "image_processor_type": "PoolFormerImageProcessor",
        "resample": 1, "size": 24,
    },
}  # fmt: skip
RECIPES = {
    "vit": Preprocessing(255.0, (0.5,) * 3, (0.5,) * 3, interpolation="bilinear", size=(24, 24)),
    "resnet": Preprocessing(
        255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "RGB", "crop", 32, "bicubic", size=(28, 28)
    ),
    "convnext 384": Preprocessing(255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=(384, 384)),
    "mobilenet_v2": Preprocessing(255.0, (0.5,) * 3, (0.5,) * 3, "RGB", "crop", 28, "bilinear", size=(24, 24)),
    "old mobilevit": Preprocessing(255.0, (0.0,), (1.0,), "BGR", "crop", 28, "bilinear", size=(24, 24)),
    "poolformer": Preprocessing(
        255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "RGB", "crop", 26, "lanczos", size=(24, 24)
    ),
}
RECIPES["old vit"] = RECIPES["vit"]
# The mean of each channel, and the first pixel.
EXPECTED = {
    "vit": ((-0.039216, -0.152941, -0.137146), (-0.968627, -0.984314, -1.000000)),
    "old vit": ((-0.039216, -0.152941, -0.137146), (-0.968627, -0.984314, -1.000000)),
    "resnet": ((-0.069661, -0.144958, 0.377095), (-1.415789, -1.790616, -1.473290)),
    "convnext 384": ((-0.020077, -0.144821, 0.113422), (-2.117904, -2.035714, -1.804444)),
    "efficientnet": ((-0.020122, -0.144958, 0.059085), (-2.032280, -2.035714, -1.804445)),
    "mobilenet_v2": ((-0.065359, -0.152941, -0.012718), (-0.670588, -0.866667, -0.819608)),
    "old mobilevit": ((0.493641, 0.423529, 0.467320), (0.090196, 0.066667, 0.164706)),
    "poolformer": ((-0.080058, -0.144958, 0.332508), (-1.484288, -1.860644, -1.595294)),
}
TOLERANCE = 1e-5
"""float32 means of some hundred numbers of size 1."""


def ramp() -> np.ndarray:
    """A picture of 50 x 37 pixels whose every pixel is another."""
    y, x = np.mgrid[:37, :50]
    return np.stack([5 * x, 6 * y, (x * y) % 256], axis=2).astype(np.uint8)


def written(folder, fields):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(fields))
    return path


@pytest.mark.parametrize("name", RECIPES)
def test_files_are_read_as_they_are_meant(tmp_path, name):
    assert read_preprocessor_config(written(tmp_path, CONFIGS[name])) == RECIPES[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_tensors_are_those_of_transformers(tmp_path, name):
    options = read_preprocessor_config(written(tmp_path, CONFIGS[name]))
    found = prepare(ramp(), options, options.size).tensor[0]
    means, first = EXPECTED[name]
    np.testing.assert_allclose(found.mean(axis=(1, 2), dtype=np.float64), means, atol=TOLERANCE)
    np.testing.assert_allclose(found[:, 0, 0], first, atol=TOLERANCE)


def test_efficientnet_divides_by_its_std_twice(tmp_path):
    found = read_preprocessor_config(written(tmp_path, CONFIGS["efficientnet"]))
    np.testing.assert_allclose(found.std, IMAGENET["image_std"], rtol=1e-6)
    plain = read_preprocessor_config(written(tmp_path, {**CONFIGS["efficientnet"], "include_top": False}))
    assert plain.std == tuple(ROOTS)


@pytest.mark.parametrize(
    ("changes", "pixels"),
    [
        ({"do_normalize": False}, (0, 1)),
        ({"do_normalize": False, "do_rescale": False}, (0, 255)),
        ({"do_normalize": False, "rescale_factor": 1 / 127.5, "rescale_offset": True}, (-1, 1)),
        ({"do_normalize": False, "do_rescale": None, "rescale_factor": None}, (0, 1)),
        ({"image_mean": 0.5, "image_std": 0.25}, (-2, 2)),
    ],
)
def test_black_and_white(tmp_path, changes, pixels):
    options = read_preprocessor_config(written(tmp_path, {**CONFIGS["vit"], **changes}))
    for value, expected in zip((0, 255), pixels, strict=True):
        found = prepare(np.full((24, 24, 3), value, np.uint8), options, (24, 24)).tensor
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_resizing_there_is_no_size(tmp_path):
    found = read_preprocessor_config(written(tmp_path, {**CONFIGS["vit"], "do_resize": False}))
    assert (found.resize, found.size) == ("none", None)


@pytest.mark.parametrize(("name", "size"), [("vit", "24 x 24"), ("resnet", "28 x 28"), ("mobilenet_v2", "24 x 24")])
def test_the_model_must_have_the_files_size(tmp_path, name, size):
    options = read_preprocessor_config(written(tmp_path, CONFIGS[name]))
    with pytest.raises(ValueError, match=f"for pictures of {size} pixels .H x W.; the model takes 32 x 24"):
        prepare(ramp(), options, (32, 24))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("vit", {"resample": 4}, r"resample 4 \(box\).*--resize none"),
        ("vit", {"resample": 5}, r"resample 5 \(hamming\)"),
        ("vit", {"resample": None}, "resample None"),
        ("vit", {"image_mean": None}, "image_mean None: expected a number"),
        ("vit", {"image_std": "0.5"}, "image_std 0.5: expected a number"),
        ("vit", {"do_normalize": None}, "do_normalize: missing"),
        ("vit", {"do_pad": True}, "do_pad True: cannot be expressed.*--mean"),
        ("vit", {"size": {"longest_edge": 24}}, "size .*longest_edge"),
        ("vit", {"size": {"shortest_edge": 24}}, "without do_center_crop"),
        ("vit", {"size": None}, "size None"),
        ("vit", {"size": 24.5}, "size 24.5"),
        ("vit", {"crop_size": 20}, "crop_size without do_center_crop"),
        ("vit", {"crop_size": 20, "do_center_crop": True}, r"crop_size \(20, 20\) of pictures squeezed to size"),
        ("vit", {"crop_size": 20, "do_center_crop": True, "do_resize": False}, "do_center_crop without do_resize"),
        ("vit", {"do_flip_channel_order": True, **IMAGENET}, "do_flip_channel_order"),
        ("vit", {"rescale_factor": 0}, "rescale_factor 0"),
        ("vit", {"image_processor_type": "PixtralImageProcessor"}, "image_processor_type 'Pixtral'"),
        ("resnet", {"crop_pct": 1.5}, "crop_pct 1.5"),
        ("resnet", {"do_center_crop": True, "crop_size": 20}, r"crop_size \(20, 20\) after size 28"),
        ("poolformer", {"do_center_crop": False}, "without do_center_crop"),
        ("old mobilevit", {"feature_extractor_type": None, "do_normalize": False}, 'size 28.*"shortest_edge"'),
    ],
)
def test_what_cannot_be_expressed_names_the_field(tmp_path, name, changes, message):
    path = written(tmp_path, {**CONFIGS[name], **changes})
    with pytest.raises(ValueError, match=message) as caught:
        read_preprocessor_config(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("text", ["", "[1]", '{"architectures": ["ResNet"]}', "{"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json: "):
        read_preprocessor_config(tmp_path / "config.json")
