"""Command-line options that krypton-explain and krypton-tune share, and the forms their values come in."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from krypton_compile.runtime.approximation import DrillDown

if TYPE_CHECKING:
    from krypton_compile.runtime.preprocess import Preprocessing


class Parser(argparse.ArgumentParser):
    """One line instead of the usage text, so that scripts and people read the same error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (--help lists the options)\n")


def add_window_options(parser: argparse.ArgumentParser) -> None:
    """Patch, stride and occluder."""
    parser.add_argument("--patch-size", type=size, default=16, metavar="N|HxW", help="occluded window, pixels (16)")
    parser.add_argument("--stride", type=size, default=4, metavar="N|HxW", help="from one window to the next (4)")
    parser.add_argument(
        "--baseline", default="black", metavar="WHAT", help="as krypton-explain's, but patch-mean and pda (black)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all cores)")


def add_preprocessing_options(parser: argparse.ArgumentParser) -> None:
    """From a picture's pixels to the model's input."""
    pixels = parser.add_argument_group(
        "preprocessing", "(pixel / scale - mean) / std; a compiled model remembers it; single options win"
    )
    pixels.add_argument(
        "--preprocess",
        metavar="PRESET|FILE",
        help="imagenet, unit (0..1), tf (-1..1), caffe, none (0..255), or Hugging Face's preprocessor_config.json",
    )
    pixels.add_argument("--scale", type=float, metavar="X", help="divide pixels 0..255 by this")
    pixels.add_argument("--mean", type=numbers, metavar="A[,B,C]", help="after scaling, in the model's channel order")
    pixels.add_argument("--std", type=numbers, metavar="A[,B,C]", help="after scaling, in the model's channel order")
    pixels.add_argument("--color", choices=("rgb", "bgr"), help="the model's channel order (rgb)")
    pixels.add_argument(
        "--resize", choices=("squeeze", "crop", "none"), help="whole picture, its centre, or not at all"
    )
    pixels.add_argument("--short-side", type=int, metavar="N", help="with crop: scale the short side to N first")
    pixels.add_argument("--interpolation", choices=("nearest", "bilinear", "bicubic", "lanczos"), help="(bicubic)")


def read_preprocessing(options: argparse.Namespace, image_size: tuple[int, int]) -> Preprocessing | None:
    """What the options of :func:`add_preprocessing_options` say for a model of (H, W); None where they say nothing.

    Raises:
        ValueError, OSError: as :func:`~krypton_compile.runtime.huggingface.find_preprocessing`.
    """
    from krypton_compile.runtime.huggingface import find_preprocessing

    given = {name: getattr(options, name) for name in ("scale", "mean", "std", "resize", "short_side", "interpolation")}
    changes = {name: value for name, value in given.items() if value is not None}
    if options.color is not None:
        changes["channel_order"] = options.color.upper()
    if options.preprocess is None and not changes:
        return None
    return replace(find_preprocessing(options.preprocess or "none", image_size), **changes)


def size(text: str) -> int | tuple[int, int]:
    """A number of pixels, or HEIGHTxWIDTH."""
    parts = text.lower().split("x")
    try:
        found = [int(part) for part in parts]
    except ValueError:
        found = []
    if not 1 <= len(found) <= 2:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number of pixels or HEIGHTxWIDTH")
    return found[0] if len(found) == 1 else (found[0], found[1])


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected one number, or several with commas") from None


def drill_down(text: str) -> DrillDown:
    """R,STRIDE: the share of the map that is scored finely, and the first stage's stride."""
    share, _, stride = text.partition(",")
    try:
        steps = size(stride)
        pair = (steps, steps) if isinstance(steps, int) else steps
        return DrillDown(float(share), pair)
    except (ValueError, argparse.ArgumentTypeError) as error:
        expected = "expected R,STRIDE such as 0.25,16, R from 0 to 1"
        raise argparse.ArgumentTypeError(f"{text!r}; {expected}") from error
