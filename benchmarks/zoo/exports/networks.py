"""Which networks of which library are exported, and how: an :class:`Export` each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.zoo.exports import transformers_networks

SOURCES = ("transformers", "timm", "monai", "torchvision", "ultralytics")
NEEDED = {
    "transformers": ("torch", "transformers"),
    "timm": ("torch", "timm"),
    "monai": ("torch", "monai"),
    "torchvision": ("torch", "torchvision"),
    "ultralytics": ("torch", "ultralytics"),
}
"""What a source imports."""


@dataclass(frozen=True)
class Export:
    """A network and its image's shape, channels first; with ``symbolic`` every axis of the file's input is free."""

    source: str
    name: str
    shape: tuple[int, ...]
    symbolic: bool = False
    patch: int = 16
    stride: int = 4


_TIMM = {
    "botnet26t_256": 256, "gernet_s": 224, "gcresnet33ts": 256, "cait_xxs24_224": 224, "coat_lite_tiny": 224,
    "convit_tiny": 224, "convmixer_768_32": 224, "convnext_atto": 224, "convnext_atto_ols": 224, "convnextv2_atto": 224,
    "convnext_zepto_rms": 224, "crossvit_9_240": 240, "cs3darknet_s": 256, "cspresnext50": 256, "davit_tiny": 224,
    "deit_tiny_patch16_224": 224, "densenetblur121d": 224, "dla46_c": 224, "dpn48b": 224, "edgenext_xx_small": 256,
    "efficientformer_l1": 224, "efficientformerv2_s0": 224, "efficientnet_es": 224, "efficientnet_b0_gn": 224,
    "mixnet_s": 224, "tinynet_e": 106, "fbnetc_100": 224, "efficientvit_b0": 224, "efficientvit_m0": 224,
    "eva02_tiny_patch14_224": 224, "fasternet_t0": 224, "fastvit_t8": 256, "focalnet_tiny_srf": 224,
    "gcvit_xxtiny": 224, "ghostnetv2_100": 224, "hardcorenas_a": 224, "hgnetv2_b0": 224, "hiera_tiny_224": 224,
    "hrnet_w18_small": 224, "inception_next_atto": 224, "inception_v3": 299, "levit_128s": 224, "mambaout_femto": 224,
    "coatnet_pico_rw_224": 224, "maxvit_pico_rw_256": 256, "poolformerv2_s12": 224, "convformer_s18": 224,
    "mixer_s32_224": 224, "resmlp_12_224": 224, "lcnet_050": 224, "mobilenetv3_small_050": 224,
    "mobilenetv4_conv_small": 224, "mobilevit_xxs": 256, "mobilevitv2_050": 256, "mvitv2_tiny": 224,
    "nest_tiny": 224, "nextvit_small": 224, "nf_resnet26": 224, "eca_nfnet_l0": 224, "pit_ti_224": 224,
    "pvt_v2_b0": 224, "rdnet_tiny": 224, "regnety_002": 224, "regnetz_005": 224, "repghostnet_050": 224,
    "repvit_m0_9": 224, "res2next50": 224, "resnest14d": 224, "resnet18d": 224, "resnetaa34d": 224,
    "resnetblur18": 224, "resnet50_gn": 224, "seresnext26t_32x4d": 224, "resnetv2_50d_gn": 224,
    "resnetv2_50d_evos": 224, "resnetv2_50d_frn": 224, "rexnet_100": 224, "selecsls42": 224, "shvit_s1": 224,
    "skresnet18": 224, "starnet_s1": 224, "swiftformer_xs": 224, "swin_tiny_patch4_window7_224": 224,
    "tiny_vit_5m_224": 224, "tresnet_m": 224, "visformer_tiny": 224, "vit_tiny_r_s16_p8_224": 224,
    "volo_d1_224": 224, "ese_vovnet19b_slim": 224, "legacy_xception": 299, "xception41": 299,
    "xcit_nano_12_p16_224": 224,
}  # fmt: skip
"""The smallest of nearly every family that timm has, several of those with kinds of their own."""

_MONAI = {
    "DenseNet121, 2-D": (1, 224, 224),
    "DenseNet121, 3-D": (1, 48, 48, 48),
    "DenseNet121, 3-D, InstanceNorm": (1, 64, 64, 64),
    "DenseNet121, 2-D, InstanceNorm": (1, 128, 128),
    "DenseNet121, 1-D": (1, 1024),
    "resnet10, 3-D": (1, 64, 64, 64),
    "resnet18, 2-D": (3, 224, 224),
    "resnet18, 3-D": (1, 64, 64, 64),
    "resnet50, 3-D, shortcut A": (1, 48, 48, 48),
    "SEResNet50, 2-D": (3, 224, 224),
    "SEResNext50, 3-D": (1, 48, 48, 48),
    "EfficientNetBN b0, 2-D": (3, 224, 224),
    "EfficientNetBN b0, 3-D": (1, 48, 48, 48),
    "Classifier, 2-D": (1, 64, 64),
    "Classifier, 3-D": (1, 32, 32, 32),
    "Discriminator, 2-D": (1, 64, 64),
    "Critic, 3-D": (1, 32, 32, 32),
    "ViT, 2-D": (1, 96, 96),
    "ViT, 3-D": (1, 48, 48, 48),
    "TorchVisionFCModel resnet18": (3, 224, 224),
}
_TORCHVISION = {
    "googlenet, transform_input": (3, 224, 224),
    "googlenet": (3, 224, 224),
    "inception_v3, transform_input": (3, 299, 299),
    "inception_v3": (3, 299, 299),
}
_ULTRALYTICS = ("yolov8n-cls", "yolo11n-cls", "yolo12n-cls", "yolo26n-cls")


def exports(source: str) -> list[Export]:
    """All of a source."""
    if source == "transformers":
        names = transformers_networks.names()
        return [Export(source, name, (3, *[transformers_networks.size(name)] * 2), symbolic=True) for name in names]
    if source == "timm":
        return [Export(source, name, (3, size, size)) for name, size in _TIMM.items()]
    if source == "ultralytics":
        return [Export(source, name, (3, 224, 224)) for name in _ULTRALYTICS]
    table = _MONAI if source == "monai" else _TORCHVISION
    return [
        Export(source, name, shape, patch=16 if len(shape) == 3 else 8, stride=4 if len(shape) == 3 else 8)
        for name, shape in table.items()
    ]


def build(export: Export) -> Any:
    """The torch network in eval mode, as its library initialises it."""
    builders = {"transformers": transformers_networks.build, "timm": _timm, "monai": _monai}
    return {**builders, "torchvision": _torchvision, "ultralytics": _ultralytics}[export.source](export.name).eval()


def _timm(name: str) -> Any:
    import timm

    return timm.create_model(name, pretrained=False)


def _torchvision(name: str) -> Any:
    import torchvision

    builder, _, transform = name.partition(", ")
    options = {"aux_logits": False, "init_weights": False, "transform_input": bool(transform)}
    return torchvision.models.get_model(builder, weights=None, **options)


def _ultralytics(name: str) -> Any:
    from ultralytics import YOLO

    model = YOLO(f"{name}.yaml", verbose=False).model
    model.model[-1].export = True
    return model


def _monai(name: str) -> Any:
    from monai.networks import nets

    head, *rest = name.split(", ")
    axes = next((int(part[0]) for part in rest if part.endswith("-D")), 2)
    channels, norm = (3 if axes == 2 else 1), ({"norm": "instance"} if "InstanceNorm" in rest else {})
    if head == "DenseNet121":
        return nets.DenseNet121(spatial_dims=axes, in_channels=1, out_channels=3, **norm)
    if head in ("resnet10", "resnet18", "resnet50"):
        options = {"shortcut_type": "A"} if "shortcut A" in rest else {}
        return getattr(nets, head)(spatial_dims=axes, n_input_channels=channels, num_classes=3, **options)
    if head in ("SEResNet50", "SEResNext50"):
        return getattr(nets, head)(spatial_dims=axes, in_channels=channels, num_classes=3)
    if head.startswith("EfficientNetBN"):
        return nets.EfficientNetBN("efficientnet-b0", False, spatial_dims=axes, in_channels=channels, num_classes=3)
    if head == "ViT":
        size = (48,) * 3 if axes == 3 else (96,) * 2
        options = {"hidden_size": 96, "mlp_dim": 192, "num_layers": 2, "num_heads": 3}
        return nets.ViT(1, size, (16,) * axes, classification=True, num_classes=3, spatial_dims=axes, **options)
    if head.startswith("TorchVisionFCModel"):
        return nets.TorchVisionFCModel("resnet18", num_classes=3, pretrained=False)
    channels_strides = {"channels": (8, 16, 32), "strides": (2, 2, 2)}
    shape = (1, 32, 32, 32) if axes == 3 else (1, 64, 64)
    if head.startswith("Classifier"):
        return nets.Classifier(in_shape=shape, classes=3, **channels_strides)
    return getattr(nets, head)(in_shape=shape, **channels_strides)
