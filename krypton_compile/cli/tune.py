"""``krypton-tune model.krypton.onnx IMAGES... --quality ssim>=0.9``: the fastest approximation that keeps a bound.

Stores what it found in the model (a new file, or --in-place), and draws quality against speed. Where no setting keeps
the bound, the best one found is named and nothing is written; frame/command.py lists the exit codes.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from krypton_compile.cli.frame.command import DONE, UNREACHABLE, epilog, run_command
from krypton_compile.cli.frame.terminal import Terminal
from krypton_compile.cli.model_options import add_model_options
from krypton_compile.cli.options import (
    Parser,
    add_common_options,
    add_preprocessing_options,
    add_window_options,
    number,
    share,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(Terminal("krypton-tune"), _parser, _tune, arguments)


def _tune(options: argparse.Namespace, terminal: Terminal) -> int:
    from krypton_compile.cli.tune_model import UnreachableError, quality_text, tune_file  # not for --help

    try:
        tune_file(options, terminal)
    except UnreachableError as error:
        terminal.complain(f"{error}; the best found: {quality_text(error.best)}. Nothing written.")
        return UNREACHABLE
    return DONE


def _parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    parser = Parser(
        prog="krypton-tune",
        description="Find the fastest approximate maps that keep a bound on their quality, on a sample of your images.",
        epilog=epilog(UNREACHABLE),
    )
    parser.add_argument(
        "model", type=Path, help="ONNX classifier; one that is not compiled yet is compiled into a cache"
    )
    parser.add_argument(
        "images", type=Path, nargs="+", help="pictures: up to 30, and at most half of them, tune; the others check"
    )
    parser.add_argument(
        "--quality",
        action="append",
        metavar="BOUND",
        required=True,
        help="bound that maps should keep: ssim>=X, color_ssim>=X, rank>=X, top10>=X or error<=X; it may be given "
        "several times, and all of them should hold",
    )
    parser.add_argument(
        "--keep",
        type=share,
        default=1.0,
        metavar="X",
        help="share of the images that should keep the bounds (default: 1, all of them)",
    )
    parser.add_argument(
        "--confidence",
        type=_confidence,
        default=0.95,
        metavar="X",
        help="confidence of the interval that is told for the share that keeps them (default: 0.95)",
    )
    parser.add_argument(
        "--target-speedup",
        type=number,
        default=math.inf,
        metavar="X",
        help="prefer the most faithful setting that is X times as fast as exact maps (default: the fastest setting)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="file to write (default: MODEL.tuned.onnx beside the model, such as model.krypton.tuned.onnx; of a model "
        "that is not compiled yet MODEL.krypton.tuned.onnx)",
    )
    parser.add_argument("--in-place", action="store_true", help="store the settings in the compiled model's own file")
    add_window_options(parser)
    add_model_options(parser, words)
    add_preprocessing_options(parser)
    add_common_options(parser)
    return parser


def _confidence(text: str) -> float:
    value = share(text)
    if value == 1:
        raise argparse.ArgumentTypeError(f"{text}; expected a share between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
