"""Command-line options that krypton-explain and krypton-tune share, and the forms their values come in.

Nothing here imports NumPy: ``--help`` and a mistyped option are answered at once.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from krypton_compile.cli.choices import INTERPOLATIONS, RESIZE_MODES
from krypton_compile.cli.frame.command import BAD
from krypton_compile.cli.frame.terminal import LONGEST, put, shown

MOST_PIXELS = 1 << 16
"""Pixels of a side of a picture, a window or a step."""
MOST_THREADS = 1024


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage text, so that scripts and people read the same."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD, f"{self.prog}: error: {shown(' '.join(message.split())[:LONGEST])} (--help lists the options)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        put(file or sys.stderr, message)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes."""
    parser.add_argument(
        "--debug",
        action="store_true",
        help="show where an error comes from, its traceback (default: an error is one line)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="write over files that no earlier run has written (default: only over earlier results); inputs and what "
        "is no regular file are never written over",
    )


def add_window_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of patch, stride and occluder, and of threads."""
    parser.add_argument(
        "--patch-size",
        type=size,
        default=16,
        metavar="N|HxW",
        help="size of the window that hides a part of the image, in pixels (default: 16)",
    )
    parser.add_argument(
        "--stride",
        type=size,
        default=4,
        metavar="N|HxW",
        help="distance between neighbouring windows, in pixels (default: 4)",
    )
    parser.add_argument(
        "--baseline",
        default="black",
        metavar="WHAT",
        help="what shows inside a window; any of krypton-explain's baselines but patch-mean and pda (default: black)",
    )
    add_threads(parser)


def add_threads(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the option of threads."""
    parser.add_argument(
        "--threads",
        type=whole(1, MOST_THREADS),
        metavar="N",
        help="number of worker threads (default: one for each core)",
    )


_WHAT_WINS = (
    "Single options win over --preprocess, and that wins over what the model's file says. Each option is needed only "
    "where the file does not know it."
)


def add_preprocessing_options(
    parser: argparse.ArgumentParser, about: str = _WHAT_WINS, default: str = "as the model's file says"
) -> None:
    """Add the options of the way from a picture's pixels to the model's input, with the sentences of this command."""
    pixels = parser.add_argument_group("preprocessing", f"The model's input is (pixel / scale - mean) / std. {about}")
    pixels.add_argument(
        "--preprocess",
        metavar="PRESET|FILE.json",
        help="how pictures become the model's input: imagenet, unit, tf, caffe or none, or the path of a Hugging Face "
        f"preprocessor_config.json or of timm's config.json (default: {default})",
    )
    pixels.add_argument("--scale", type=number, metavar="X", help="number that pixels, 0 to 255, are divided by")
    pixels.add_argument(
        "--mean",
        type=numbers,
        metavar="A[,B,C]",
        help="mean that is subtracted after scaling: one number, or one for each channel in the model's order",
    )
    pixels.add_argument(
        "--std",
        type=numbers,
        metavar="A[,B,C]",
        help="deviation that is divided by at the end: one number, or one for each channel in the model's order",
    )
    pixels.add_argument("--color", choices=("rgb", "bgr"), help="order of the model's channels")
    pixels.add_argument(
        "--resize",
        choices=RESIZE_MODES,
        help="how a picture of another size is resized: squeeze scales the whole picture, crop scales it and takes "
        "its centre, none refuses it",
    )
    pixels.add_argument(
        "--short-side",
        type=whole(1, MOST_PIXELS),
        metavar="N",
        help="length that crop scales the picture's short side to before it takes the centre",
    )
    pixels.add_argument("--interpolation", choices=INTERPOLATIONS, help="how pixels are interpolated by resizing")


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that is a whole number from ``low`` to ``high``."""

    def read(text: str) -> int:
        digits = text.strip().removeprefix("-")
        if len(digits) <= len(str(high)) and digits.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"{_cut(text)}; expected a whole number from {low} to {high}")

    return read


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{_cut(text)}; expected a number")
    return value


def share(text: str) -> float:
    """A number above 0 and up to 1."""
    value = number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{_cut(text)}; expected a share above 0 and up to 1")
    return value


def size(text: str) -> int | tuple[int, int]:
    """A number of pixels, or HEIGHTxWIDTH."""
    parts = text.lower().split("x")
    read = whole(1, MOST_PIXELS)
    try:
        pixels = [read(part) for part in parts]
    except argparse.ArgumentTypeError:
        pixels = []
    if not 1 <= len(pixels) <= 2:
        raise argparse.ArgumentTypeError(
            f"{_cut(text)}; expected a number of pixels or HEIGHTxWIDTH, from 1 to {MOST_PIXELS} each"
        )
    return pixels[0] if len(pixels) == 1 else (pixels[0], pixels[1])


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    try:
        return tuple(number(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{_cut(text)}; expected one number, or several with commas") from None


def drill_down(text: str) -> tuple[float, tuple[int, int]]:
    """R,STRIDE: the share of the map that is scored finely, and the first stage's stride."""
    share, _, stride = text.partition(",")
    try:
        steps = size(stride)
        pair = (steps, steps) if isinstance(steps, int) else steps
        if 0 <= float(share) <= 1 and min(pair) >= 1:
            return float(share), pair
    except (ValueError, argparse.ArgumentTypeError):
        pass
    raise argparse.ArgumentTypeError(f"{_cut(text)}; expected R,STRIDE such as 0.25,16, R from 0 to 1")


def _cut(text: str) -> str:
    return repr(text) if len(text) <= 100 else f"{text[:100]!r}..."
