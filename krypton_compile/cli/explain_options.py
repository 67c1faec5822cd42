"""The command line of krypton-explain: its options, and the forms their values come in."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from krypton_compile import features
from krypton_compile.cli.choices import (
    ACTIVATIONS,
    BASELINE_SPACES,
    DEVICES,
    EDGES,
    REDUCTIONS,
    UPSAMPLINGS,
    VALUES,
)
from krypton_compile.cli.frame.command import SKIPPED, epilog
from krypton_compile.cli.model_options import UNCOMPILED, add_model_options
from krypton_compile.cli.options import (
    MOST_PIXELS,
    Parser,
    add_common_options,
    add_preprocessing_options,
    add_threads,
    drill_down,
    numbers,
    share,
    size,
    whole,
)
from krypton_compile.contract.schemas import PRECISIONS

DESCRIPTION = "Explain a prediction: how much the class score drops when each part of the image is hidden."
EPILOG = """\
examples:
  krypton-explain model.onnx photo.jpg --preprocess imagenet
  krypton-explain model.krypton.onnx scans/ --output-dir maps --labels labels.txt --quality 'ssim>=0.9'
  krypton-explain model.krypton.onnx scan.png --patch-size 8,16,32 --baseline blur --target tumour --verify 20

"""
MOST_WINDOWS = 1 << 24


def explain_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of all options, for a command line of these ``words``."""
    parser = Parser(
        prog="krypton-explain",
        description=DESCRIPTION,
        epilog=EPILOG + epilog(SKIPPED),
    )
    parser.add_argument(
        "model", type=Path, help="ONNX classifier; one that is not compiled yet is compiled into a cache"
    )
    parser.add_argument("images", type=Path, nargs="+", metavar="image", help="pictures, or folders of pictures")
    _add_answer(parser)
    _add_windows(parser)
    _add_map(parser)
    _add_output(parser)
    _add_speed(parser)
    _add_running(parser)
    add_model_options(parser, words, UNCOMPILED)
    add_preprocessing_options(parser)
    add_common_options(parser)
    return parser


def _add_answer(parser: argparse.ArgumentParser) -> None:
    answer = parser.add_argument_group("what is explained")
    answer.add_argument(
        "--target",
        default="argmax",
        metavar="argmax|INDEX|NAME|all",
        help="class to explain: the predicted one, an index, a label, or all of them (default: argmax, the predicted)",
    )
    answer.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="names of the classes: one a line, JSON, or config.json of Hugging Face or timm (default: as the file "
        "says, as was given before, or as labels.txt, config.json and the like beside the model say)",
    )
    answer.add_argument(
        "--value",
        choices=VALUES,
        default="difference",
        help="what a window is worth: the drop of the score when it is hidden, or the score itself "
        "(default: difference)",
    )
    answer.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        default="none",
        help="space of the scores: none takes the model's outputs, pre what its final Softmax or Sigmoid is given, "
        "softmax and sigmoid are applied to the outputs (default: none)",
    )


def _add_windows(parser: argparse.ArgumentParser) -> None:
    windows = parser.add_argument_group("windows")
    windows.add_argument(
        "--patch-size",
        type=_sizes,
        default=16,
        metavar="N|HxW[,...]",
        help="size of the window that hides a part of the image, in pixels; several sizes give one map each, and "
        "their mean (default: 16)",
    )
    windows.add_argument(
        "--stride",
        type=_sizes,
        default=4,
        metavar="N|HxW[,...]",
        help="distance between neighbouring windows, in pixels; several give each size its own (default: 4)",
    )
    windows.add_argument(
        "--edge",
        choices=EDGES,
        default="truncate",
        help="what becomes of the last window where it would leave the image: truncate cuts it, valid leaves it out, "
        "shift moves it inside (default: truncate)",
    )
    windows.add_argument(
        "--roi",
        type=_roi,
        metavar="Y0,X0,Y1,X1",
        help="region of interest: only the windows that touch it are scored; Y1 and X1 are the first pixels outside "
        "(default: the whole image)",
    )
    windows.add_argument(
        "--segments",
        metavar="FILE|slic:N",
        help="hide the regions of a picture of labels, or about N superpixels, instead of windows",
    )
    windows.add_argument(
        "--baseline",
        metavar="WHAT",
        help="what shows inside a window: black, white, gray, VALUE, R,G,B, mean, patch-mean, blur[:PIXELS], "
        "noise[:SEED], pda, or a picture's file (default: black)",
    )
    windows.add_argument(
        "--baseline-space",
        choices=BASELINE_SPACES,
        help="whether the numbers of --baseline are a picture's, 0 to 255, or the model's own (default: picture)",
    )
    windows.add_argument(
        "--samples",
        type=whole(1, 10_000),
        metavar="N",
        help="how many samples of --baseline pda the scores are averaged over (default: 10)",
    )


def _add_map(parser: argparse.ArgumentParser) -> None:
    made = parser.add_argument_group("map")
    made.add_argument(
        "--reduce",
        choices=REDUCTIONS,
        default="mean",
        help="what a pixel's value is of the windows that cover it: their mean, their sum, or none, the grid of the "
        "windows itself (default: mean)",
    )
    made.add_argument(
        "--upsample",
        choices=UPSAMPLINGS,
        help="how the grid of --reduce none is brought to the picture's size (default: nearest)",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        type=Path,
        metavar="PREFIX",
        help="write PREFIX_overlay.png, PREFIX_heatmap.npy and PREFIX_result.json (default: the picture's name)",
    )
    output.add_argument(
        "--output-dir",
        type=Path,
        metavar="DIR",
        help="folder for the files of all pictures; it is made where it does not exist (default: the current folder)",
    )
    output.add_argument(
        "--store",
        action="store_true",
        help="write preprocessing and labels into the compiled file, where it has none (default: no model's file is "
        "changed; what was given is remembered in the cache, for this very file)",
    )
    output.add_argument(
        "--plan", action="store_true", help="print how many windows, how long and how much memory it takes, and stop"
    )
    output.add_argument(
        "--verify",
        type=whole(1, MOST_WINDOWS),
        metavar="N",
        help="score N random windows on the original model too, and say how much the scores differ",
    )
    output.add_argument(
        "--original",
        type=Path,
        metavar="MODEL.onnx",
        help="the original model for --verify (default: the file of that name beside the compiled one)",
    )


def _add_speed(parser: argparse.ArgumentParser) -> None:
    speed = parser.add_argument_group(
        "mode", "Maps are exact unless one of these options leaves something out; approximate results say so."
    )
    speed.add_argument(
        "--mode",
        choices=("exact", "approximate", "progressive"),
        help="approximate uses the settings that krypton-tune stored, or the default quality; progressive makes ever "
        "finer maps, the last of which is exact (default: exact)",
    )
    speed.add_argument(
        "--quality",
        metavar="BOUND",
        help="bound that an approximate map should keep, such as 'ssim>=0.9': by tuned settings where they promise "
        "it, else by as many windows as it seems to take",
    )
    speed.add_argument(
        "--sample",
        type=share,
        metavar="X",
        help="share of the windows to score, more than 0 and up to 1, spread evenly",
    )
    if features.DRILL_DOWN:
        speed.add_argument(
            "--drilldown",
            type=drill_down,
            metavar="R,S1",
            help="score windows S1 pixels apart first, then those of the final stride in the share R of the map where "
            "the first had the largest effect",
        )
    speed.add_argument(
        "--tau",
        type=numbers,
        metavar="X",
        help="propagation threshold, more than 0 and up to 1: the share of each map that a window may change, one "
        "number or one for each layer group (default: 1, exact)",
    )
    speed.add_argument(
        "--eps",
        type=numbers,
        metavar="X",
        help="value threshold, from 0 to less than 1: changes up to this share of a tensor's largest entry count as "
        "none, one number or one for each layer group (default: 0, exact)",
    )
    speed.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="what convolutions multiply in where the processor offers it; bfloat16 is faster and less exact "
        "(default: the fastest that is exact)",
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    running = parser.add_argument_group("running")
    add_threads(running)
    running.add_argument(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="where windows are scored; cuda needs onnxruntime-gpu and the op library for it (default: cpu)",
    )
    running.add_argument(
        "--batch-size",
        type=whole(1, MOST_WINDOWS),
        metavar="N",
        help="how many windows are scored together, at most; results are the same (default: as suits the model)",
    )


def _sizes(text: str) -> int | tuple[int, int] | list[int | tuple[int, int]]:
    """One size, or several with commas between."""
    sizes = [size(part) for part in text.split(",")]
    return sizes if len(sizes) > 1 else sizes[0]


def _roi(text: str) -> tuple[int, ...]:
    pixel = whole(-MOST_PIXELS, MOST_PIXELS)
    try:
        pixels = tuple(pixel(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        pixels = ()
    if len(pixels) != 4:
        raise argparse.ArgumentTypeError(f"{text[:100]!r}; expected four pixels, Y0,X0,Y1,X1")
    return pixels
