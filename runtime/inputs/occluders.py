"""Occluders: the pixels that show where a window hides the image.

    black white gray VALUE R,G,B   one colour                        "patch-mean"  each window's own mean colour
    "mean"                         the image's mean colour           "blur[:S]"    the image blurred, S pixels (10)
    a picture or its path          the same place of that picture    "noise[:N]"   noise of the image's colours, seed N
    an array like the input        the same place of that array      "pda"         pixels that might stand there

Colours are a picture's (0..255, through the model's preprocessing) or, in ``space`` "input", the model's own numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry, validate
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import KINDS, axes_of, channel_axis, last_channels
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import FileError, OcclusionError
from krypton_compile.runtime.inputs.given import as_array, own_input
from krypton_compile.runtime.inputs.image import is_picture, read_input
from krypton_compile.runtime.inputs.pictures import ArrayLayout
from krypton_compile.runtime.inputs.prepare import COLOURS, to_input

NAMED = (*COLOURS, "mean", "patch-mean", "blur", "noise", "pda")
SPACES = ("picture", "input")
BLUR = 10.0
SAMPLES = 10
MOST_SAMPLES = 10_000
LARGEST_BLUR = 1000
"""Pixels; of most pictures little but the mean is left long before."""
LARGEST_SEED = (1 << 64) - 1

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rows = Callable[[Boxes, Mask | None, int], Array]


@dataclass(frozen=True)
class Occluder:
    """``image``, like the model's input, shows in every window; or ``rows(boxes, mask, sample)`` does, [sum h*w, C].

    ``samples``: over how many of them scores are averaged. ``name``: how results call it.
    """

    name: str
    image: Array
    rows: Rows | None = None
    samples: int = 1


@dataclass(frozen=True)
class Canvas:
    """The image that is hidden, and how pictures become such: what an occluder depends on.

    ``picture_layout`` is that of arrays that could be read two ways (pictures.py); ``own_shape`` that of the model's
    input, where it lacks an axis of size 1.
    """

    image: Array
    layout: str
    preprocessing: Preprocessing | None
    picture_layout: ArrayLayout | None = None
    own_shape: tuple[int, ...] | None = None

    @property
    def pixels(self) -> Array:
        """The image as [H, W, C], and likewise of signals and volumes; a view."""
        return last_channels(self.image, self.layout)

    def like_input(self, pixels: npt.NDArray[np.floating]) -> Array:
        """Pixels [H, W, C], or what broadcasts to them, as model input: the inverse of ``pixels``."""
        full = np.broadcast_to(pixels, self.pixels.shape)
        return np.ascontiguousarray(np.moveaxis(full, -1, channel_axis(self.layout) - 1)[None], np.float32)


def make_occluder(baseline: object, canvas: Canvas, space: str = "picture", samples: int = SAMPLES) -> Occluder:
    """The occluder that ``baseline`` means, see above; of signals and volumes a number, one a channel, or an array.

    Raises:
        OcclusionError: if ``baseline`` is none of these, a colour of another number of channels or outside 0..255, an
            array of another shape, or a picture's colour where the model does not say how pictures become its input.
        OSError, ValueError: if ``baseline`` is a picture that cannot be read.
    """
    axes = axes_of(canvas.layout)
    if axes != 2:
        expected = f"a number, one for each channel, or an array like the {KINDS[axes]}"
    elif isinstance(baseline, str):
        return _named(baseline, canvas, space, samples)
    elif is_picture(baseline):
        return _picture(baseline, canvas)
    else:
        expected = f"{', '.join(NAMED)}, a colour, a picture or an array"
    array = np.asarray(as_array(baseline))
    if array.dtype.kind not in "iuf":
        raise OcclusionError(f"baseline {baseline!r}; expected {expected}")
    if array.ndim < 2:
        return Occluder(_said(_numbers(array), space), _colour(np.atleast_1d(array).astype(np.float32), canvas, space))
    shape, layout = canvas.image.shape, canvas.layout
    return Occluder("array", own_input(array, "baseline", shape, layout, canvas.preprocessing, canvas.own_shape))


def names_file(baseline: str) -> bool:
    """Tell whether a baseline is the path of a picture, and no colour or name."""
    kind, _, argument = baseline.partition(":")
    is_named = baseline in (*NAMED, *COLOURS) or (kind in ("blur", "noise") and _is_number(argument or "0"))
    return not is_named and not all(map(_is_number, baseline.split(","))) and bool(Path(baseline).suffix)


def check_space(space: str) -> None:
    """Refuse a ``baseline_space`` that is unknown.

    Raises:
        OcclusionError: if ``space`` is none of :data:`SPACES`.
    """
    validate.require_one_of("baseline_space", space, SPACES)


def check_samples(samples: int) -> None:
    """Refuse a number of samples that cannot be drawn.

    Raises:
        OcclusionError: if ``samples`` is not a whole number from 1 to :data:`MOST_SAMPLES`.
    """
    fits = validate.is_count(samples) and samples <= MOST_SAMPLES
    validate.require("samples", samples, fits, f"a whole number, at least 1 and at most {MOST_SAMPLES}")


def _named(name: str, canvas: Canvas, space: str, samples: int) -> Occluder:
    kind, _, argument = name.partition(":")
    if name in COLOURS:
        return Occluder(name, _colour(np.full(1, COLOURS[name], np.float32), canvas, "picture"))
    if name == "mean":
        return Occluder(name, canvas.like_input(canvas.pixels.mean(axis=(0, 1), dtype=np.float64)))
    if name == "patch-mean":
        return Occluder(name, canvas.image, lambda boxes, mask, _: _patch_means(canvas.pixels, boxes, mask))
    if kind == "blur" and (not argument or _is_number(argument)):
        sigma = float(argument or BLUR)
        if not 0 < sigma <= LARGEST_BLUR:
            raise OcclusionError(
                f"baseline {name!r}: expected a blur of more than 0 pixels, and finitely many, at most {LARGEST_BLUR}"
            )
        from scipy import ndimage  # 0.1 s to import

        blurred = ndimage.gaussian_filter(canvas.pixels.astype(np.float64), (sigma, sigma, 0), mode="nearest")
        return Occluder(f"blur:{sigma:g}", canvas.like_input(blurred))
    if kind == "noise" and (not argument or argument.isdecimal()):
        if len(argument) > len(str(LARGEST_SEED)) or int(argument or 0) > LARGEST_SEED:
            raise OcclusionError(f"baseline {_cut(name)!r}: expected a seed of at most {LARGEST_SEED}")
        return Occluder(f"noise:{argument or 0}", canvas.like_input(_noise(canvas.pixels, int(argument or 0))))
    if name == "pda":
        return _pda(canvas, samples)
    try:
        colour = np.array([float(part) for part in name.split(",")], np.float32)
    except ValueError:
        if Path(name).suffix:
            return _picture(Path(name), canvas)
        known = ", ".join(NAMED)
        raise OcclusionError(f"baseline {_cut(name)!r}; expected {known}, a value, R,G,B or a picture's file") from None
    return Occluder(_said(name, space), _colour(colour, canvas, space))


def _said(colour: str, space: str) -> str:
    return colour if space == "picture" else f"input {colour}"


def _colour(colour: Array, canvas: Canvas, space: str) -> Array:
    """One colour as a whole model input; of a picture, in the order R, G, B."""
    channels = canvas.pixels.shape[-1]
    if len(colour) not in (1, channels):
        raise OcclusionError(f"baseline: {len(colour)} numbers for a model of {channels} channels")
    if not np.isfinite(colour).all():
        raise OcclusionError(f"baseline {_numbers(colour)}: expected finite numbers")
    if space == "input":
        return canvas.like_input(colour)
    if canvas.preprocessing is None:
        raise OcclusionError(
            f"baseline {_numbers(colour)} is a picture's colour, but the model does not say how pictures become its "
            "input; give the preprocessing (--preprocess imagenet|unit|tf|caffe|none, or mean, std and scale), or a "
            "baseline in the model's own numbers with --baseline-space input (Python: baseline_space='input')"
        )
    if not ((colour >= 0) & (colour <= 255)).all():
        raise OcclusionError(f"baseline {_numbers(colour)}: expected a picture's colour, 0 to 255")
    pixels = np.broadcast_to(colour, canvas.pixels.shape).astype(np.float32)
    return to_input(pixels, canvas.preprocessing, canvas.layout)


def _picture(source: object, canvas: Canvas) -> Occluder:
    try:
        shown = read_input(source, canvas.image.shape, canvas.layout, canvas.preprocessing, canvas.picture_layout)
    except OSError as error:
        what = f"baseline {source}"
        raise OSError(error.errno, error.strerror, what) if error.errno else FileError(f"baseline {error}") from error
    except ValueError as error:
        raise OcclusionError(f"baseline: {error}") from error
    return Occluder(Path(source).name if isinstance(source, os.PathLike) else "picture", shown.tensor)


def _patch_means(pixels: Array, boxes: Boxes, mask: Mask | None) -> Array:
    """Each box's mean colour, in all of its rows; with a mask, of the pixels that it chooses."""
    sizes = geometry.areas(boxes)
    rows = np.concatenate([pixels[y : y + h, x : x + w].reshape(h * w, -1) for y, x, h, w in boxes.tolist()])
    weights = np.ones(len(rows)) if mask is None else mask.astype(np.float64)
    first = geometry.row_offsets(boxes)[:-1]
    counts = np.add.reduceat(weights, first)
    means = np.add.reduceat(rows.astype(np.float64) * weights[:, None], first) / counts[:, None]
    return np.repeat(means, sizes, axis=0).astype(np.float32)


def _noise(pixels: Array, seed: int) -> npt.NDArray[np.float64]:
    """Normal, of the image's mean and deviation a channel, within its range."""
    low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    drawn = np.random.default_rng(seed).standard_normal(pixels.shape)
    return np.asarray(np.clip(pixels.mean(axis=(0, 1)) + drawn * pixels.std(axis=(0, 1)), low, high))


def _pda(canvas: Canvas, samples: int) -> Occluder:
    from krypton_compile.runtime.inputs.pda import ConditionalSampler  # scipy.signal takes 0.2 s to import

    pixels = canvas.pixels.astype(np.float64)
    if canvas.preprocessing is None:
        low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    else:
        ends = [_colour(np.full(1, end, np.float32), canvas, "picture") for end in (0.0, 255.0)]
        shown = [last_channels(end, canvas.layout)[0, 0].astype(np.float64) for end in ends]
        low, high = np.minimum(*shown), np.maximum(*shown)
    sampler = ConditionalSampler(pixels, low, high)
    return Occluder(f"pda:{samples}", canvas.image, lambda boxes, _, number: sampler.sample(boxes, number), samples)


def _numbers(colour: npt.NDArray[np.generic]) -> str:
    return ",".join(f"{number:g}" for number in np.atleast_1d(colour).tolist())


def _cut(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
