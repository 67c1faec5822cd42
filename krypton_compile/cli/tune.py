"""``krypton-tune model.krypton.onnx IMAGES... --quality ssim>=0.9``: the fastest approximation that keeps a bound.

Stores what it found in the model (a new file, or --in-place), and draws quality against speed. Errors are one line and
exit code 2; where no setting keeps the bound, the best one found is named, nothing is written, and the exit code is 3.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from krypton_compile.cli.model_options import add_model_options
from krypton_compile.cli.notes import noted
from krypton_compile.cli.options import Parser, add_preprocessing_options, add_window_options
from krypton_compile.errors import KryptonError

UNREACHABLE = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 on success, 2 on bad input, 3 where no setting keeps the bound."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(words).parse_args(words)
    try:
        from krypton_compile.cli.tune_model import UnreachableError, quality_text, tune_file  # not for --help

        with noted(lambda text: print(f"note             {text}", flush=True)):
            tune_file(options)
    except UnreachableError as error:
        print(f"krypton-tune: {error}; the best found: {quality_text(error.best)}. Nothing written.", file=sys.stderr)
        return UNREACHABLE
    except (KryptonError, ValueError, OSError) as error:
        print(f"krypton-tune: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("krypton-tune: interrupted; nothing written", file=sys.stderr)
        return 130
    return 0


def _parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    parser = Parser(
        prog="krypton-tune",
        description="Find the fastest approximate maps that keep a bound on their quality, on a sample of your images.",
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
        type=float,
        default=1.0,
        metavar="X",
        help="share of the images that should keep the bounds (default: 1, all of them)",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        metavar="X",
        help="confidence of the interval that is told for the share that keeps them (default: 0.95)",
    )
    parser.add_argument(
        "--target-speedup",
        type=float,
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
