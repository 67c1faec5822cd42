"""Image classifiers of transformers: the types that take an image, a convolutional one at its default size.

Configurations that would have more than some 60 million parameters are cut in depth or width, their layers kept.
"""

from __future__ import annotations

from typing import Any

_VIT = {"hidden_size": 192, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 768}
_BACKBONE = {"num_hidden_layers": 3}
_SWIN = {"embed_dim": 48, "depths": [2, 2, 2, 2], "num_heads": [2, 4, 6, 8]}
_B0 = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "image_size": 224, "hidden_dim": 1280}
_PERCEIVER = {"num_latents": 64, "d_latents": 256, "num_self_attends_per_block": 2, "num_cross_attention_heads": 1}
_REGNET = {"hidden_sizes": [24, 56, 152, 368], "depths": [1, 1, 4, 7], "groups_width": 8}
_VISION = {"vision_config": {**_VIT, "image_size": 224, "patch_size": 32}, "text_config": _VIT}

_TYPES: dict[str, tuple[str, dict[str, Any]]] = {
    "beit": ("beit", _VIT),
    "bit": ("bit", {}),
    "clip": ("clip", _VISION),
    "convnext": ("convnext", {}),
    "convnextv2": ("convnextv2", {}),
    "cvt": ("cvt", {}),
    "data2vec-vision": ("data2vec-vision", _VIT),
    "deit": ("deit", _VIT),
    "deit, with teacher": ("deit", _VIT),
    "dinov2": ("dinov2", {**_BACKBONE, "hidden_size": 192, "num_attention_heads": 3, "image_size": 224}),
    "dinov2_with_registers": ("dinov2_with_registers", {"hidden_size": 192, "num_attention_heads": 3, **_BACKBONE}),
    "donut-swin": ("donut-swin", {**_SWIN, "image_size": 224}),
    "efficientnet": ("efficientnet", _B0),
    "focalnet": ("focalnet", {}),
    "focalnet, layer scale, pre-norm": ("focalnet", {"use_layerscale": True, "normalize_modulator": True}),
    "hgnet_v2": ("hgnet_v2", {}),
    "hiera": ("hiera", {"depths": [1, 1, 2, 1]}),
    "ijepa": ("ijepa", _VIT),
    "levit": ("levit", {}),
    "levit, with teacher": ("levit", {}),
    "metaclip_2": ("metaclip_2", _VISION),
    "mobilenet_v1": ("mobilenet_v1", {}),
    "mobilenet_v2": ("mobilenet_v2", {}),
    "mobilevit": ("mobilevit", {}),
    "mobilevitv2": ("mobilevitv2", {}),
    "perceiver, learned": ("perceiver", {**_PERCEIVER, "image_size": 224}),
    "perceiver, convolutions": ("perceiver", _PERCEIVER),
    "perceiver, Fourier": ("perceiver", _PERCEIVER),
    "poolformer": ("poolformer", {}),
    "pp_lcnet": ("pp_lcnet", {}),
    "pvt": ("pvt", {}),
    "pvt_v2": ("pvt_v2", {}),
    "regnet, x": ("regnet", {"layer_type": "x", **_REGNET}),
    "regnet, y": ("regnet", {"layer_type": "y", **_REGNET}),
    "resnet, basic": ("resnet", {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]}),
    "resnet, bottleneck": ("resnet", {}),
    "segformer": ("segformer", {}),
    "siglip": ("siglip", _VISION),
    "swiftformer": ("swiftformer", {}),
    "swin": ("swin", _SWIN),
    "swinv2": ("swinv2", _SWIN),
    "textnet": ("textnet", {}),
    "vit": ("vit", _VIT),
    "vit_msn": ("vit_msn", _VIT),
}
_CLASSES = {
    "deit": "DeiTForImageClassification",
    "levit": "LevitForImageClassification",
    "deit, with teacher": "DeiTForImageClassificationWithTeacher",
    "levit, with teacher": "LevitForImageClassificationWithTeacher",
    "perceiver, learned": "PerceiverForImageClassificationLearned",
    "perceiver, convolutions": "PerceiverForImageClassificationConvProcessing",
    "perceiver, Fourier": "PerceiverForImageClassificationFourier",
}
_SIZES = {"textnet": 256, "mobilevit": 256, "mobilevitv2": 256, "segformer": 224, "donut-swin": 224, "swinv2": 256}
NOT_AN_IMAGE = {
    "dinat": "needs natten",
    "imagegpt": "its input is a row of colour indices",
    "siglip2": "its input is a row of flattened patches",
    "shieldgemma2": "a language model",
    "timm_wrapper": "timm's networks",
}
"""The other types, and why they are not here."""


def names() -> list[str]:
    """All that :func:`build` knows."""
    return list(_TYPES)


def size(name: str) -> int:
    """Height and width of the image in pixels."""
    return _SIZES.get(name, 224)


def build(name: str) -> Any:
    """The network in eval mode, as initialised."""
    import transformers

    kind, options = _TYPES[name]
    options = {"image_size": size(name), **options} if kind in _SIZES else options
    config = transformers.AutoConfig.for_model(kind, **options)
    config.return_dict = True
    if name in _CLASSES:
        return getattr(transformers, _CLASSES[name])(config).eval()
    return transformers.AutoModelForImageClassification.from_config(config).eval()
