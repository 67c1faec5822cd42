"""The networks of the zoo, one a line: what it is called, who defines it, and what is expected of it.

``share`` is the least part of the multiply-adds that must be incremental: 0.99 where every layer has a rule, less where
the design says why (gates of squeeze-and-excitation, attention). An entry below its own share is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.zoo.pictures import Shape

SQUARE: Shape = (3, 224, 224)
LARGE: Shape = (3, 299, 299)
CLIP: Shape = (3, 16, 112, 112)


@dataclass(frozen=True)
class Entry:
    """``builder`` is the name that ``source`` knows the network by; ``shape`` is its image's, channels first.

    ``slim`` networks are built in the form in which they are deployed: branches that exist for training are merged.
    Windows are ``patch`` wide along every axis, ``stride`` apart.
    """

    name: str
    source: str
    builder: str
    shape: Shape = SQUARE
    share: float = 0.99
    slim: bool = False
    patch: int = 16
    stride: int = 4


_GATED, _DENSE = 0.01, 0.0

ENTRIES = [
    Entry("AlexNet", "torchvision", "alexnet"),
    Entry("VGG11-BN", "torchvision", "vgg11_bn"),
    Entry("VGG16", "torchvision", "vgg16"),
    Entry("VGG19", "torchvision", "vgg19"),
    Entry("SqueezeNet 1.0", "torchvision", "squeezenet1_0"),
    Entry("SqueezeNet 1.1", "torchvision", "squeezenet1_1"),
    Entry("ResNet18", "torchvision", "resnet18"),
    Entry("ResNet50", "torchvision", "resnet50"),
    Entry("ResNet101", "torchvision", "resnet101"),
    Entry("ResNet50, pre-activation", "own", "preactivation_resnet50"),
    Entry("ResNet50-D", "timm", "resnet50d"),
    Entry("ResNeXt50 32x4d", "torchvision", "resnext50_32x4d"),
    Entry("WideResNet50-2", "torchvision", "wide_resnet50_2"),
    Entry("Res2Net50 26w 4s", "timm", "res2net50_26w_4s"),
    Entry("TResNet-M", "timm", "tresnet_m", share=_GATED),
    Entry("BiT ResNet50 (GroupNorm)", "timm", "resnetv2_50x1_bit", share=_DENSE),
    Entry("DenseNet121", "torchvision", "densenet121"),
    Entry("DenseNet201", "torchvision", "densenet201"),
    Entry("GoogLeNet", "torchvision", "googlenet"),
    Entry("InceptionV3", "torchvision", "inception_v3", LARGE),
    Entry("InceptionV4", "timm", "inception_v4", LARGE),
    Entry("Inception-ResNet-v2", "timm", "inception_resnet_v2", LARGE),
    Entry("Xception", "timm", "xception", LARGE),
    Entry("MobileNetV1", "timm", "mobilenetv1_100"),
    Entry("MobileNetV2", "torchvision", "mobilenet_v2"),
    Entry("MobileNetV3-small", "torchvision", "mobilenet_v3_small", share=_GATED),
    Entry("MobileNetV3-large", "torchvision", "mobilenet_v3_large", share=_GATED),
    Entry("MobileNetV4-small", "timm", "mobilenetv4_conv_small"),
    Entry("MNASNet 1.0", "torchvision", "mnasnet1_0"),
    Entry("EfficientNet-Lite0", "timm", "efficientnet_lite0"),
    Entry("EfficientNet-B0", "torchvision", "efficientnet_b0", share=_GATED),
    Entry("EfficientNet-B3", "torchvision", "efficientnet_b3", (3, 300, 300), share=_GATED),
    Entry("EfficientNetV2-S", "torchvision", "efficientnet_v2_s", (3, 384, 384), share=_GATED),
    Entry("ShuffleNetV2 x1.0", "torchvision", "shufflenet_v2_x1_0"),
    Entry("GhostNet 1.0", "timm", "ghostnet_100", share=_GATED),
    Entry("RegNetX-400MF", "torchvision", "regnet_x_400mf"),
    Entry("RegNetX-3.2GF", "torchvision", "regnet_x_3_2gf"),
    Entry("RegNetY-400MF", "torchvision", "regnet_y_400mf", share=_GATED),
    Entry("SE-ResNet50", "timm", "seresnet50", share=_GATED),
    Entry("ECA-ResNet50-D", "timm", "ecaresnet50d", share=_GATED),
    Entry("CBAM-ResNet18", "own", "cbam_resnet18", share=_GATED),
    Entry("DPN68", "timm", "dpn68"),
    Entry("VoVNet19 (ESE, depthwise)", "timm", "ese_vovnet19b_dw", share=_GATED),
    Entry("DLA34", "timm", "dla34"),
    Entry("HRNet-W18", "timm", "hrnet_w18"),
    Entry("DarkNet53", "timm", "darknet53", (3, 256, 256)),
    Entry("CSPDarkNet53", "timm", "cspdarknet53", (3, 256, 256)),
    Entry("CSPResNet50", "timm", "cspresnet50", (3, 256, 256)),
    Entry("U-Net classifier", "own", "unet_classifier"),
    Entry("RepVGG-A0, as trained", "timm", "repvgg_a0"),
    Entry("MobileOne-S0, as deployed", "timm", "mobileone_s0", slim=True),
    Entry("NFNet-L0", "timm", "nfnet_l0", share=_GATED),
    Entry("ConvNeXt-Tiny", "torchvision", "convnext_tiny"),
    Entry("PoolFormer-S12", "timm", "poolformer_s12", share=_DENSE),
    Entry("FastViT-T8, as deployed", "timm", "fastvit_t8", (3, 256, 256), slim=True),
    Entry("ViT-Tiny/16", "timm", "vit_tiny_patch16_224", share=_DENSE),
    Entry("Swin-Tiny", "timm", "swin_tiny_patch4_window7_224", share=_DENSE),
    # Volumes, (C, D, H, W), here clips of video; and signals, (C, L).
    Entry("R3D-18", "torchvision", "r3d_18", CLIP, patch=8, stride=8),
    Entry("MC3-18", "torchvision", "mc3_18", CLIP, patch=8, stride=8),
    Entry("R(2+1)D-18", "torchvision", "r2plus1d_18", CLIP, patch=8, stride=8),
    Entry("ResNet34 of signals", "own", "signal_resnet34", (12, 4096), patch=64, stride=16),
    Entry("Dilated network of signals", "own", "signal_dilated", (1, 16000), patch=256, stride=64),
]


def find(names: list[str]) -> list[Entry]:
    """The entries of these names or builders, all without any.

    Raises:
        ValueError: there is none of that name.
    """
    known = {key: entry for entry in ENTRIES for key in (entry.name, entry.builder)}
    unknown = [name for name in names if name not in known]
    if unknown:
        builders = ", ".join(entry.builder for entry in ENTRIES)
        raise ValueError(f"no entry is called {unknown[0]!r}; there are {builders}")
    return [known[name] for name in names] if names else ENTRIES
