"""Command-line options that krypton-explain and krypton-tune share, and the forms their values come in."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, NoReturn

from krypton_compile.contract.preprocessing import FILTERS, RESIZE_MODES, UNKNOWN_PREPROCESSING, Preprocessing
from krypton_compile.contract.presets import read_recipe
from krypton_compile.runtime.approximation.settings import DrillDown


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
        "preprocessing", "(pixel / scale - mean) / std; single options win over --preprocess, and this over the model's"
    )
    pixels.add_argument(
        "--preprocess", metavar="PRESET|FILE.json", help="imagenet, unit, tf, caffe, none or a preprocessor_config.json"
    )
    pixels.add_argument("--scale", type=float, metavar="X", help="divide pixels 0..255 by this")
    pixels.add_argument("--mean", type=numbers, metavar="A[,B,C]", help="after scaling, in the model's channel order")
    pixels.add_argument("--std", type=numbers, metavar="A[,B,C]", help="after scaling, in the model's channel order")
    pixels.add_argument("--color", choices=("rgb", "bgr"), help="the model's channel order")
    pixels.add_argument("--resize", choices=RESIZE_MODES, help="whole picture, its centre, or refuse other sizes")
    pixels.add_argument("--short-side", type=int, metavar="N", help="with crop: scale the short side to N first")
    pixels.add_argument("--interpolation", choices=FILTERS, help="of resizing")


def read_preprocessing(options: argparse.Namespace, stored: Preprocessing | None = None) -> Preprocessing | None:
    """What the options of :func:`add_preprocessing_options` say; what they leave open is ``stored``'s, the model's.

    None where nothing at all was given and nothing is stored.

    Raises:
        OSError, ValueError: values that give no input; or sizes alone, of which no numbers follow.
    """
    given = {name: getattr(options, name) for name in ("scale", "mean", "std", "resize", "short_side", "interpolation")}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if options.color is not None:
        changes["channel_order"] = options.color.upper()
    base = stored if options.preprocess is None else read_recipe(options.preprocess)
    if base is None:
        if not changes:
            return None
        if not changes.keys() & {"scale", "mean", "std"}:
            raise ValueError(UNKNOWN_PREPROCESSING)
        base = Preprocessing()
    if changes.get("resize", "crop") != "crop":
        changes.setdefault("short_side", None)
    return dataclasses.replace(base, **changes)


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
