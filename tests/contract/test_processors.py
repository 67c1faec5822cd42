"""Pictures through our preprocessing, and through the originals: every image processor of Transformers, and timm.

Skipped where these packages are not installed. ``-s`` prints the figures of docs/preprocessing.md. The processors named
"Fast" resample by torchvision's code, which no file of numbers can repeat: how far off that is is printed, and bounded.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.contract.presets import read_configuration
from krypton_compile.runtime.inputs.prepare import prepare

SIZES = [(224, 224), (300, 200), (200, 301), (487, 333), (240, 963), (500, 375), (57, 91), (640, 480)]
ROUNDING = 2.5e-6
"""EfficientNet divides twice where we divide once, numbers up to 3."""
TORCHVISION, NEAREST = 0.01, 0.06
"""Of normalised inputs in the mean, over half a level of a picture: how far PIL's resizing is from torchvision's. Of
"nearest" they take other pixels, and EfficientNet divides by its deviation twice."""
NOT_ROUNDED = 5e-5
"""DINOv3 resizes float32 pixels, whose sums torch and PIL order differently."""

MEANS = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
OPENAI = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
BASE = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}


def both(number: int) -> dict[str, int]:
    return {"height": number, "width": number}


SHORT_AND_CROP = {"do_center_crop": True, "crop_size": both(224), "size": {"shortest_edge": 256}}
PROCESSORS = {
    "ViT": [{**HALF, "size": both(224), "resample": 2}, {**HALF, "size": {"height": 192, "width": 256}, "resample": 3}],
    "DeiT": [{**MEANS, "size": both(256), "do_center_crop": True, "crop_size": both(224), "resample": 3}],
    "Beit": [
        {**HALF, "size": both(224), "do_center_crop": False, "crop_size": both(224), "resample": 2},
        {**HALF, "size": both(256), "do_center_crop": True, "crop_size": both(223), "resample": 3},
    ],
    "Bit": [
        {**OPENAI, **SHORT_AND_CROP, "resample": 3},
        {**MEANS, **SHORT_AND_CROP, "crop_size": both(221), "resample": 2},
    ],
    "CLIP": [{**OPENAI, **SHORT_AND_CROP, "size": {"shortest_edge": 224}, "resample": 3}],
    "ChineseCLIP": [{**OPENAI, **SHORT_AND_CROP, "size": {"shortest_edge": 224}, "resample": 3}],
    "Blip": [{**OPENAI, "size": both(384), "resample": 3}],
    "ConvNext": [
        {**MEANS, "size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3},
        {**MEANS, "size": {"shortest_edge": 288}, "crop_pct": 0.95, "resample": 2},
        {**MEANS, "size": {"shortest_edge": 384}, "crop_pct": 1.0, "resample": 3},
    ],
    "DPT": [{**HALF, "size": both(384), "resample": 3, "ensure_multiple_of": 32, "keep_aspect_ratio": False}],
    "EfficientNet": [
        {**MEANS, "size": both(224), "resample": 0, "include_top": False, "do_center_crop": False},
        {**MEANS, "size": both(240), "resample": 3, "include_top": True, "do_center_crop": False},
        {**MEANS, "size": both(260), "do_center_crop": True, "crop_size": both(239), "resample": 3},
    ],
    "ImageGPT": [{**HALF, "size": both(32), "resample": 2, "do_color_quantize": False}],
    "Levit": [{**MEANS, "size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": both(224), "resample": 3}],
    "MobileNetV1": [{**HALF, **SHORT_AND_CROP, "resample": 2}],
    "MobileNetV2": [{**HALF, **SHORT_AND_CROP, "resample": 2}],
    "MobileViT": [
        {"size": {"shortest_edge": 288}, "do_center_crop": True, "crop_size": both(256), "resample": 2,
         "do_flip_channel_order": True, "do_normalize": None},
    ],
    "Perceiver": [{**MEANS, "size": both(224), "do_center_crop": True, "crop_size": both(256), "resample": 3}],
    "PoolFormer": [
        {**MEANS, "size": {"shortest_edge": 224}, "crop_pct": 0.95, "do_center_crop": True, "crop_size": both(224),
         "resample": 3},
        {**MEANS, "size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": both(224), "resample": 3},
    ],
    "Pvt": [{**MEANS, "size": both(224), "resample": 2}],
    "Segformer": [{**MEANS, "size": both(512), "resample": 2, "do_reduce_labels": False}],
    "Siglip": [{**HALF, "size": both(224), "resample": 3}, {**HALF, "size": both(384), "resample": 2}],
}  # fmt: skip
"""By the name of the processor; what Transformers' models borrow of another is below."""
BORROWED = {
    "Bit": "dinov2 focalnet hiera pixio",
    "Beit": "data2vec-vision",
    "CLIP": "metaclip_2",
    "ConvNext": "convnextv2 cvt regnet resnet",
    "MobileViT": "mobilevitv2",
    "Pvt": "pvt_v2",
    "ViT": "dinat ijepa swiftformer swin swinv2 vit_msn",
}
TORCHVISION_ALONE = {
    "DINOv3ViT": [{**MEANS, "size": both(224), "resample": 2}, {**MEANS, "size": both(256), "resample": 3}],
    "PPLCNet": [{"image_mean": MEANS["image_mean"][::-1], "image_std": MEANS["image_std"][::-1], "size": both(256),
                 "resize_short": 256, "do_center_crop": True, "crop_size": both(224), "resample": 2}],
}  # fmt: skip
ROUNDED = {"EfficientNet"}
"""Processors whose arithmetic we follow up to rounding alone."""

TIMM = [
    {"crop_pct": 0.875, "interpolation": "bilinear"},
    {"crop_pct": 0.95, "interpolation": "bicubic", "input_size": [3, 288, 288]},
    {"crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3},
    {"crop_pct": 0.9, "crop_mode": "squash", "interpolation": "bilinear"},
    {"crop_pct": 1.0, "crop_mode": "border", "interpolation": "bicubic"},
    {"crop_pct": 0.9, "crop_mode": "border", "interpolation": "lanczos", "input_size": [3, 192, 256]},
    {"crop_pct": 0.96, "crop_mode": "center", "interpolation": "bicubic", "input_size": [3, 224, 160]},
    {"input_size": [3, 221, 221], "crop_pct": 0.9, "interpolation": "nearest"},
    {},
]


def pictures() -> list[Image.Image]:
    """Smooth shapes, edges and noise, of sizes that are cut at odd places."""
    rng = np.random.default_rng(0)
    made = []
    for height, width in SIZES:
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((width, height), 3)
        pixels = np.asarray(coarse.filter(ImageFilter.GaussianBlur(2)), np.int64)
        pixels = pixels + rng.integers(-40, 41, pixels.shape)
        pixels[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, 3)
        made.append(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))
    return made


def ours(folder, config) -> tuple[Preprocessing, list[np.ndarray]]:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    options = read_configuration(path)
    assert options.size is not None
    return options, [prepare(picture, options, options.size).tensor[0] for picture in pictures()]


def off(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    assert [a.shape for a in found] == [b.shape for b in expected]
    return max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))


def originals(processor, config) -> list[np.ndarray]:
    given = {key: value for key, value in config.items() if value is not None and key != "image_processor_type"}
    made = processor(**given)
    return [np.asarray(made(picture, return_tensors="np")["pixel_values"][0]) for picture in pictures()]


@pytest.mark.parametrize("name", PROCESSORS)
def test_an_image_processor(tmp_path, name):
    transformers = pytest.importorskip("transformers")
    processor = getattr(transformers, f"{name}ImageProcessorPil", None)
    if processor is None:  # before version 5 the name alone was PIL's
        processor = getattr(transformers, f"{name}ImageProcessor")
    for part in PROCESSORS[name]:
        config = {**BASE, **part}
        expected = originals(processor, config)
        for typed in ("ImageProcessor", "ImageProcessorFast", "FeatureExtractor"):
            _, found = ours(tmp_path, {"image_processor_type": name + typed, **config})
            difference = off(found, expected)
            assert difference <= (ROUNDING if name in ROUNDED else 0), (typed, config)
        print(f"\n| {name} | {BORROWED.get(name, '')} | {difference:.2g} |", end="")


def test_pictures_are_mirrored(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = {"image_processor_type": "Swin2SRImageProcessor", "do_rescale": True, "rescale_factor": 1 / 255}
    (tmp_path / "config.json").write_text(json.dumps(config))
    options = read_configuration(tmp_path / "config.json")
    for picture, expected in zip(pictures(), originals(transformers.Swin2SRImageProcessorPil, config), strict=True):
        np.testing.assert_array_equal(prepare(picture, options, expected.shape[1:]).tensor[0], expected)
        with pytest.raises(ValueError, match="the model takes 8 x 8"):
            prepare(picture, options, (8, 8))


@pytest.mark.parametrize("name", [*PROCESSORS, *TORCHVISION_ALONE])
def test_torchvisions_way_is_near(tmp_path, name):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torchvision")
    processor = getattr(transformers, f"{name}ImageProcessor")
    for part in {**PROCESSORS, **TORCHVISION_ALONE}[name]:
        config = {**BASE, **part}
        _, found = ours(tmp_path, {"image_processor_type": f"{name}ImageProcessor", **config})
        expected = originals(processor, config)
        difference = off(found, expected)
        mean = max(float(np.abs(a - b).mean()) for a, b in zip(found, expected, strict=True))
        print(f"\n| {name} | torchvision | {difference:.2g} at most, {mean:.2g} in the mean |", end="")
        assert mean <= (NEAREST if name == "EfficientNet" else TORCHVISION)
        assert name != "DINOv3ViT" or difference <= NOT_ROUNDED


def test_models_borrow_the_processors_that_are_said():
    auto = pytest.importorskip("transformers.models.auto.image_processing_auto")
    models = pytest.importorskip("transformers.models.auto.modeling_auto")
    names = models.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    processors = auto.IMAGE_PROCESSOR_MAPPING_NAMES
    for name, borrowers in BORROWED.items():
        for model in borrowers.split():
            chosen = processors.get(model)
            assert chosen is None or name in str(chosen), (model, chosen)
    known = {*PROCESSORS, *TORCHVISION_ALONE, "Siglip2", "TextNet", "Donut", "TimmWrapper", "Gemma3"}
    for model in names:
        chosen = processors.get(model)
        kinds = [chosen] if isinstance(chosen, str) else list((chosen or {}).values())
        for kind in kinds:
            assert kind.removesuffix("Pil").removesuffix("ImageProcessor") in known, (model, kind)


@pytest.mark.parametrize("place", ["pretrained_cfg", "beside", "TimmWrapper"])
@pytest.mark.parametrize("number", range(len(TIMM)))
def test_timm(tmp_path, number, place):
    timm = pytest.importorskip("timm")
    cfg = {"input_size": [3, 224, 224], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], **TIMM[number]}
    config = {
        "pretrained_cfg": {"architecture": "resnet18", "num_classes": 1000, "pretrained_cfg": cfg},
        "beside": {"architecture": "resnet18", "num_classes": 1000, "first_conv": "conv1", **cfg},
        "TimmWrapper": {"architectures": ["TimmWrapperForImageClassification"], "model_type": "timm_wrapper",
                        "pretrained_cfg": {**cfg, "fixed_input_size": False, "tag": "a1_in1k"}},
    }[place]  # fmt: skip
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg), is_training=False)
    expected = [transform(picture).numpy() for picture in pictures()]
    assert off(ours(tmp_path, config)[1], expected) == 0
