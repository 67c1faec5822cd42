"""Layers of Keras 3 between two convolutions, on the back-end that KERAS_BACKEND names: pictures, signals, volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers as K
from keras import ops

Middle = Callable[[Any], Any]
"""From a map of 8 channels, which come last, to another map."""


class _Later:
    """The layers by name, made when they are called: one that this version of Keras lacks is a row of the table."""

    def __getattr__(self, name: str) -> Callable[..., Middle]:
        return lambda *arguments, **options: lambda x: getattr(K, name)(*arguments, **options)(x)


L = _Later()

SHAPES = {1: (48, 3), 2: (24, 24, 3), 3: (8, 12, 12, 2)}

_ACTIVATIONS = (
    "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid "
    "log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparsemax "
    "squareplus swish tanh tanh_shrink"
).split()

_INFERENCE = (
    "RandomBrightness RandomColorDegeneration RandomContrast RandomErasing RandomFlip RandomGaussianBlur "
    "RandomGrayscale RandomHue RandomInvert RandomPosterization RandomRotation RandomSaturation RandomSharpness "
    "RandomShear RandomTranslation RandomZoom"
).split()
"""Layers that augment while training; told that it is over, as they are here, they do nothing."""

_FACTORS: dict[str, tuple[Any, ...]] = {
    "RandomErasing": (),
    "RandomFlip": (),
    "RandomGaussianBlur": (),
    "RandomPosterization": (4,),
    "RandomTranslation": (0.1, 0.1),
}


def layers(axes: int) -> dict[str, Middle]:
    """The layers by how their rows are called."""
    return _pictures() if axes == 2 else _others(axes)


def build(middle: Middle, axes: int) -> Any:
    """The network around one: a convolution before it, another and a classifier behind."""
    keras.utils.set_random_seed(0)
    convolution, mean = getattr(K, f"Conv{axes}D"), getattr(K, f"GlobalAveragePooling{axes}D")
    image = keras.Input(SHAPES[axes])
    x = middle(convolution(8, 3, padding="same", bias_initializer="random_normal")(image))
    x = mean()(convolution(8, 3, activation="relu", bias_initializer="random_normal")(x))
    return keras.Model(image, K.Dense(5)(x))


def _augment(name: str, *arguments: Any) -> Middle:
    """A layer that augments pictures of three channels, told that training is over."""
    return lambda x: getattr(K, name)(*arguments)(K.Conv2D(3, 1)(x), training=False)


def _pictures() -> dict[str, Middle]:
    named = {f"Activation({name})": L.Activation(name) for name in _ACTIVATIONS}
    random = {f"{name}, not training": _augment(name, *_FACTORS.get(name, (0.2,))) for name in _INFERENCE}
    return {
        **named,
        **random,
        "RandomCrop, not training": _augment("RandomCrop", 16, 18),
        "ops.nn.threshold": lambda x: ops.nn.threshold(x, 0.1, 0.0),
        "ReLU": L.ReLU(),
        "ReLU(max, slope, threshold)": L.ReLU(1.0, 0.1, 0.2),
        "ELU": L.ELU(),
        "LeakyReLU": L.LeakyReLU(),
        "PReLU": L.PReLU("random_normal"),
        "PReLU(shared_axes)": L.PReLU("random_normal", shared_axes=(1, 2)),
        "Softmax": L.Softmax(),
        "Softmax(axis=1)": L.Softmax(axis=1),
        "Conv2D stride 2": L.Conv2D(8, 3, 2, padding="same"),
        "Conv2D dilated": L.Conv2D(8, 3, dilation_rate=2),
        "Conv2D groups": L.Conv2D(8, 3, groups=2),
        "DepthwiseConv2D": L.DepthwiseConv2D(3, depth_multiplier=2),
        "DepthwiseConv2D stride 2": L.DepthwiseConv2D(3, 2, padding="same"),
        "SeparableConv2D": L.SeparableConv2D(8, 3),
        "Conv2DTranspose": L.Conv2DTranspose(8, 3, 2, padding="same"),
        "Conv2DTranspose valid": L.Conv2DTranspose(8, 4, 2),
        "Dense": L.Dense(8, activation="relu"),
        "EinsumDense": L.EinsumDense("abcd,de->abce", output_shape=(None, None, 8), bias_axes="e"),
        "SpectralNormalization": lambda x: K.SpectralNormalization(K.Conv2D(8, 3))(x),
        "TimeDistributed(Dense)": lambda x: K.TimeDistributed(K.Dense(8))(x),
        "MaxPooling2D": L.MaxPooling2D(),
        "MaxPooling2D same": L.MaxPooling2D(3, 2, padding="same"),
        "AveragePooling2D": L.AveragePooling2D(2),
        "AveragePooling2D same": L.AveragePooling2D(3, 2, padding="same"),
        "AdaptiveAveragePooling2D(8)": L.AdaptiveAveragePooling2D(8),
        "AdaptiveAveragePooling2D((7, 10))": L.AdaptiveAveragePooling2D((7, 10)),
        "AdaptiveMaxPooling2D((7, 10))": L.AdaptiveMaxPooling2D((7, 10)),
        "BatchNormalization": L.BatchNormalization(),
        "BatchNormalization no scale": L.BatchNormalization(scale=False, center=False),
        "GroupNormalization": L.GroupNormalization(2),
        "LayerNormalization": L.LayerNormalization(),
        "LayerNormalization(axis=[1, 2, 3])": L.LayerNormalization(axis=[1, 2, 3]),
        "RMSNormalization": L.RMSNormalization(),
        "UnitNormalization": L.UnitNormalization(),
        "Normalization": L.Normalization(mean=[0.1] * 8, variance=[0.5] * 8),
        "Rescaling": L.Rescaling(0.5, 0.1),
        "CenterCrop": L.CenterCrop(16, 17),
        "CenterCrop larger": L.CenterCrop(30, 30),
        "Resizing": L.Resizing(31, 17),
        "Resizing nearest": L.Resizing(31, 17, "nearest"),
        "Resizing crop_to_aspect_ratio": L.Resizing(16, 20, crop_to_aspect_ratio=True),
        "ZeroPadding2D": L.ZeroPadding2D(((1, 2), (0, 3))),
        "Cropping2D": L.Cropping2D(((1, 2), (0, 3))),
        "UpSampling2D": L.UpSampling2D(),
        "UpSampling2D bilinear": L.UpSampling2D((2, 3), interpolation="bilinear"),
        "UpSampling2D bicubic": L.UpSampling2D(2, interpolation="bicubic"),
        "Permute": L.Permute((2, 1, 3)),
        "Permute of channels and back": lambda x: K.Permute((2, 3, 1))(K.ReLU()(K.Permute((3, 1, 2))(x))),
        "Reshape of pixels and back": lambda x: K.Reshape((24, 24, 8))(K.ReLU()(K.Reshape((576, 8))(x))),
        "Flatten, Reshape": lambda x: K.Reshape((24, 24, 8))(K.Flatten()(x)),
        "Dropout": L.Dropout(0.5),
        "SpatialDropout2D": L.SpatialDropout2D(0.5),
        "AlphaDropout": L.AlphaDropout(0.5),
        "GaussianDropout": L.GaussianDropout(0.5),
        "GaussianNoise": L.GaussianNoise(0.5),
        "ActivityRegularization": L.ActivityRegularization(),
        "Identity": L.Identity(),
        "Masking": L.Masking(),
        "Lambda": L.Lambda(lambda x: x * 2.0 - 0.5),
        "Add": lambda x: K.Add()([x, K.Conv2D(8, 1)(x)]),
        "Subtract": lambda x: K.Subtract()([x, K.Conv2D(8, 1)(x)]),
        "Multiply": lambda x: K.Multiply()([x, K.Conv2D(8, 1)(x)]),
        "Average": lambda x: K.Average()([x, K.Conv2D(8, 1)(x)]),
        "Maximum": lambda x: K.Maximum()([x, K.Conv2D(8, 1)(x)]),
        "Minimum": lambda x: K.Minimum()([x, K.Conv2D(8, 1)(x)]),
        "Concatenate": lambda x: K.Concatenate()([x, K.Conv2D(4, 1)(x)]),
        "Dot, of rows": lambda x: K.Reshape((24, 24, 1))(
            K.Dot(2)([K.Reshape((24, 192))(x), K.Reshape((24, 192))(K.Conv2D(8, 1)(x))])
        ),
        "GlobalAveragePooling2D gate": lambda x: K.Multiply()([x, K.GlobalAveragePooling2D(keepdims=True)(x)]),
        "GlobalMaxPooling2D added": lambda x: K.Add()([x, K.GlobalMaxPooling2D(keepdims=True)(x)]),
        "MultiHeadAttention": lambda x: K.MultiHeadAttention(2, 4)(x, x),
        "ConvLSTM1D": L.ConvLSTM1D(8, 3, return_sequences=True),
        "Discretization": lambda x: ops.cast(K.Discretization([-0.5, 0.0, 0.5])(x), "float32"),
        "ops.where": lambda x: ops.where(x > 0, x, 0.1 * x),
        "ops.image.resize": lambda x: ops.image.resize(x, (31, 29), antialias=True),
        "ops.depth_to_space": lambda x: ops.reshape(
            ops.transpose(ops.reshape(x, (-1, 24, 24, 2, 2, 2)), (0, 1, 3, 2, 4, 5)), (-1, 48, 48, 2)
        ),
        "ops.normalize": lambda x: ops.normalize(x),
        "ops.max over channels": lambda x: x + ops.max(x, -1, keepdims=True),
        "ops.split": lambda x: ops.split(x, 2, -1)[0] * ops.sigmoid(ops.split(x, 2, -1)[1]),
        "ops.flip": lambda x: ops.flip(x, 2),
        "ops.roll": lambda x: ops.roll(x, 2, 1),
        "ops.pad reflect": lambda x: ops.pad(x, ((0, 0), (1, 1), (2, 2), (0, 0)), "reflect"),
    }


def _others(axes: int) -> dict[str, Middle]:
    suffix = f"{axes}D"

    def layer(name: str, *arguments: Any, **options: Any) -> Middle:
        made: Middle = getattr(L, name + suffix)(*arguments, **options)
        return made

    found: dict[str, Middle] = {
        f"Conv{suffix} stride 2": layer("Conv", 8, 3, 2, padding="same"),
        f"Conv{suffix}Transpose": getattr(L, f"Conv{suffix}Transpose")(8, 3, 2, padding="same"),
        f"MaxPooling{suffix}": layer("MaxPooling", 2),
        f"AveragePooling{suffix} same": layer("AveragePooling", 3, 2, padding="same"),
        f"ZeroPadding{suffix}": layer("ZeroPadding", 2),
        f"Cropping{suffix}": layer("Cropping", 1),
        f"UpSampling{suffix}": layer("UpSampling", 2),
        f"SpatialDropout{suffix}": layer("SpatialDropout", 0.5),
        "BatchNormalization": L.BatchNormalization(),
        "LayerNormalization": L.LayerNormalization(),
        "PReLU(shared_axes)": L.PReLU("random_normal", shared_axes=tuple(range(1, axes + 1))),
        "Dense": L.Dense(8),
    }
    if axes == 1:
        found |= {
            "SeparableConv1D": L.SeparableConv1D(8, 3),
            "DepthwiseConv1D": L.DepthwiseConv1D(3),
            "Conv1D causal": L.Conv1D(8, 3, padding="causal", dilation_rate=2),
            "LSTM": L.LSTM(8, return_sequences=True),
            "Bidirectional(GRU)": lambda x: K.Bidirectional(K.GRU(4, return_sequences=True))(x),
            "Attention": lambda x: K.Attention()([x, x]),
        }
    return found
