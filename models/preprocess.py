"""How each real model wants its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from krypton_compile.runtime.preprocess import Preprocessing, prepare

RECIPES: dict[str, Preprocessing] = {
    "vgg16_tumour": Preprocessing(scale=255.0),
    "squeezenet1_1": Preprocessing(
        mean=(103.939, 116.779, 123.68), channel_order="BGR", resize="crop", short_side=256, interpolation="bilinear"
    ),
    "efficientnet_lite0": Preprocessing(
        scale=1.0, mean=(127.0,), std=(128.0,), resize="crop", short_side=256, interpolation="bilinear"
    ),
    "torch": Preprocessing(
        scale=255.0,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        resize="crop",
        short_side=256,
        interpolation="bilinear",
    ),
}

SIZES = {"vgg16_tumour": (240, 240), "squeezenet1_1": (224, 224), "efficientnet_lite0": (224, 224)}
LAYOUTS = {"vgg16_tumour": "NHWC"}


def load(name: str, path: Path) -> npt.NDArray[np.float32]:
    """The picture as the model's input, float32 [1, ...]."""
    layout = "NHWC" if LAYOUTS.get(name) == "NHWC" else "NCHW"
    return prepare(path, RECIPES[name], SIZES[name], layout=layout).tensor
