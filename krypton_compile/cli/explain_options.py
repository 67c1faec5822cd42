"""The command line of krypton-explain: its options, and the forms their values come in."""

from __future__ import annotations

import argparse
from pathlib import Path

from krypton_compile.cli.options import Parser, add_preprocessing_options, drill_down, numbers, size
from krypton_compile.contract.annotations import TARGETS
from krypton_compile.contract.geometry import EDGES
from krypton_compile.contract.schemas import PRECISIONS

DESCRIPTION = "Explain a prediction: how much the class score drops when each part of the image is hidden."
EPILOG = """\
examples:
  krypton-explain model.onnx photo.jpg --preprocess imagenet
  krypton-explain model.krypton.onnx scans/ --output-dir maps --labels labels.txt --quality 'ssim>=0.9'
  krypton-explain model.krypton.onnx scan.png --patch-size 8,16,32 --baseline blur --target tumour --verify 20
"""


def explain_parser() -> argparse.ArgumentParser:
    """All of them."""
    parser = Parser(
        prog="krypton-explain",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="an ONNX classifier; not compiled yet, it is compiled into a cache")
    parser.add_argument("images", type=Path, nargs="+", metavar="image", help="pictures, or folders of pictures")
    _add_answer(parser)
    _add_windows(parser)
    _add_map(parser)
    _add_output(parser)
    _add_speed(parser)
    add_preprocessing_options(parser)
    return parser


def _add_answer(parser: argparse.ArgumentParser) -> None:
    answer = parser.add_argument_group("what is explained")
    answer.add_argument("--target", default="argmax", metavar="argmax|INDEX|NAME|all", help="the class (argmax)")
    answer.add_argument("--labels", type=Path, metavar="FILE", help="the classes' names, one a line, or JSON; stored")
    answer.add_argument("--value", choices=("difference", "score"), default="difference", help="(difference)")
    answer.add_argument(
        "--activation",
        choices=("none", "softmax", "sigmoid", "pre"),
        default="none",
        help="of the model's outputs; pre: what its final Softmax or Sigmoid is given (none)",
    )


def _add_windows(parser: argparse.ArgumentParser) -> None:
    windows = parser.add_argument_group("windows")
    windows.add_argument(
        "--patch-size",
        type=_sizes,
        default=16,
        metavar="N|HxW[,...]",
        help="pixels; several: one map each, and their mean (16)",
    )
    windows.add_argument("--stride", type=_sizes, default=4, metavar="N|HxW[,...]", help="from one to the next (4)")
    windows.add_argument(
        "--edge",
        choices=EDGES,
        default="truncate",
        help="the last window: cut, left out if cut, or moved inside (truncate)",
    )
    windows.add_argument("--roi", type=_roi, metavar="Y0,X0,Y1,X1", help="only the map of this part, half-open")
    windows.add_argument("--segments", metavar="FILE|slic:N", help="one region a label instead of windows")
    windows.add_argument(
        "--baseline",
        metavar="WHAT",
        help="black, white, gray, VALUE, R,G,B, mean, patch-mean, blur[:PIXELS], noise[:SEED], pda, a picture (black)",
    )
    windows.add_argument(
        "--baseline-space", choices=("picture", "input"), help="numbers are 0..255, or the model's own (picture)"
    )
    windows.add_argument("--samples", type=int, metavar="N", help="of --baseline pda (10)")


def _add_map(parser: argparse.ArgumentParser) -> None:
    made = parser.add_argument_group("map")
    made.add_argument(
        "--reduce", choices=("mean", "sum", "none"), default="mean", help="over the windows that cover a pixel (mean)"
    )
    made.add_argument(
        "--upsample", choices=("nearest", "bilinear", "bicubic"), help="of the grid of --reduce none (nearest)"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        type=Path,
        metavar="PREFIX",
        help="writes PREFIX_overlay.png, _heatmap.npy and _result.json (the picture's name)",
    )
    output.add_argument("--output-dir", type=Path, metavar="DIR", help="folder for the files of all pictures (.)")
    output.add_argument("--plan", action="store_true", help="print windows, estimated time and memory, and stop")
    output.add_argument("--verify", type=int, metavar="N", help="run N random windows on the original model too")
    output.add_argument(
        "--original", type=Path, metavar="MODEL.onnx", help="for --verify, where it is not beside the model"
    )


def _add_speed(parser: argparse.ArgumentParser) -> None:
    speed = parser.add_argument_group("mode", "exact unless something is left out; approximate results say so")
    speed.add_argument("--mode", choices=("exact", "approximate", "progressive"), help="progressive: ever finer maps")
    speed.add_argument("--quality", metavar="BOUND", help="ssim>=0.9, say: as tuned, or as many windows as it takes")
    speed.add_argument("--sample", type=float, metavar="X", help="score this share of the windows, spread evenly")
    speed.add_argument("--drilldown", type=drill_down, metavar="R,S1", help="stride S1, then R of the map finely")
    speed.add_argument(
        "--tau", type=numbers, metavar="X", help="propagation threshold, more than 0 and up to 1 (exact)"
    )
    speed.add_argument("--eps", type=numbers, metavar="X", help="value threshold, from 0 (exact) to 1")
    speed.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of products, where the processor offers it; bfloat16 is faster and less exact (exact)",
    )
    speed.add_argument("--threads", type=int, metavar="N", help="threads (all cores)")
    speed.add_argument(
        "--device", choices=TARGETS, default="cpu", help="cuda needs onnxruntime-gpu and our op library for it (cpu)"
    )
    speed.add_argument("--batch-size", type=int, metavar="N", help="windows scored together (what suits the model)")
    compiling = parser.add_argument_group("a model that is not compiled yet")
    compiling.add_argument("--image-size", type=int, nargs=2, metavar=("H", "W"), help="where its sizes are symbolic")
    compiling.add_argument("--layout", choices=("NCHW", "NHWC"), help="where its shapes leave it open")


def _sizes(text: str) -> int | tuple[int, int] | list[int | tuple[int, int]]:
    """One size, or several with commas between."""
    found = [size(part) for part in text.split(",")]
    return found if len(found) > 1 else found[0]


def _roi(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 4:
        raise argparse.ArgumentTypeError(f"{text!r}; expected four pixels, Y0,X0,Y1,X1")
    return found
