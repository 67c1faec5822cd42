"""``krypton-explain model.krypton.onnx image``: from a compiled model and a picture to a heat map on disk.

Nothing is written unless everything worked; then PREFIX_overlay.png and PREFIX_heatmap.npy
(float32 [H, W], NaN where no window lies) appear together. Errors are one line and exit code 2.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import KryptonError
from krypton_compile.runtime import Explanation, OcclusionSession
from krypton_compile.runtime.figure import figure_png
from krypton_compile.runtime.files import write_all
from krypton_compile.runtime.heatmap import accumulate
from krypton_compile.runtime.preprocess import PRESETS, Preprocessing, baseline_input, prepare, preset
from krypton_compile.runtime.progress import progress_bar
from krypton_compile.schemas import PRECISIONS

# Two exact computations of one score differ by up to 1e-5 (of the largest logit, or of probability 1)
# because fp32 sums are rounded in another order; a map is readable when its range is 100 times that.
ERROR_BOUND = 1e-5
READABLE = 100


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage text, so that scripts and people read the same error."""
        self.exit(2, f"{self.prog}: error: {message} (--help lists the options)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 on success, 2 on bad input with one line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        _explain(options)
    except (KryptonError, ValueError, OSError) as error:
        print(f"krypton-explain: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("krypton-explain: interrupted; nothing written", file=sys.stderr)
        return 130
    return 0


def _explain(options: argparse.Namespace) -> None:
    overlay_path, heatmap_path = _outputs(options)
    session = OcclusionSession(options.model, threads=options.threads, precision=options.precision)
    preprocessing = _preprocessing(options)
    channels = session.image_shape[1 if session.layout == "NCHW" else 3]
    prepared = prepare(options.image, preprocessing, session.image_size, channels, session.layout)
    baseline = baseline_input(options.baseline, preprocessing, session.image_size, channels, session.layout)
    with progress_bar("windows") as progress:
        explanation = session.explain(
            prepared.tensor,
            patch_size=options.patch_size,
            stride=options.stride,
            baseline=baseline,
            target=options.target,
            progress=progress,
        )
    heatmap = _logit_map(explanation, session.image_size) if options.logits else explanation.heatmap()
    data = io.BytesIO()
    np.save(data, heatmap)
    title = f"{options.image.name}: class {explanation.target}, {_base(explanation):.4f}"
    label = f"{'logit' if options.logits else 'score'} drop when hidden"
    picture = figure_png(prepared.picture, heatmap, title, label=label)
    write_all({overlay_path: picture, heatmap_path: data.getvalue()})
    print(summary(explanation, heatmap, in_logits=options.logits))
    print(f"input range      {prepared.tensor.min():.4g} to {prepared.tensor.max():.4g} after preprocessing")
    print(f"written          {overlay_path}, {heatmap_path}")


def summary(explanation: Explanation, heatmap: npt.NDArray[np.float32], in_logits: bool = False) -> str:
    """What a person wants to know of an explanation, one fact a line."""
    rows, columns = explanation.scores.shape[:2]
    predicted = int(np.argmax(explanation.base_scores))
    lines = [f"predicted class  {predicted}, score {np.ravel(explanation.base_scores)[predicted]:.6g}"]
    if explanation.target != predicted:
        lines.append(f"explained class  {explanation.target}, score {_base(explanation):.6g}")
    rate = rows * columns / max(explanation.seconds, 1e-9)
    patch, stride = _extent(explanation.patch_size), _extent(explanation.stride)
    reduced = " (reduced)" if explanation.precision == "bfloat16" else ""
    measured = "" if np.isnan(explanation.error) else f", error {explanation.error:.1e} of the largest output"
    lines += [
        f"windows          {rows} x {columns} = {rows * columns} of {patch} pixels, stride {stride}",
        f"time             {explanation.seconds:.2f} s, {rate:.0f} windows/s",
        f"change nothing   {100 * (1 - explanation.changed):.1f} % of the windows",
        f"precision        {explanation.precision}{reduced}{measured}",
        f"map              {np.nanmin(heatmap):.4g} to {np.nanmax(heatmap):.4g}",
    ]
    largest = np.abs(explanation.base_logits if in_logits and explanation.base_logits is not None else 1.0)
    if explanation.logits is None:
        largest = np.abs(explanation.base_scores)
    if np.nanmax(heatmap) - np.nanmin(heatmap) < READABLE * max(ERROR_BOUND, explanation.error) * np.max(largest):
        saturated = explanation.logits is not None and not in_logits
        advice = "; the score saturates, --logits shows more" if saturated else ""
        lines.append(f"note             the map's range is below numerical resolution{advice}")
    return "\n".join(lines)


def _logit_map(explanation: Explanation, image_size: tuple[int, int]) -> npt.NDArray[np.float32]:
    if explanation.logits is None or explanation.base_logits is None:
        raise ValueError("--logits: the model does not end in Softmax or Sigmoid, so its scores are all there is")
    target = explanation.target
    drop = np.ravel(explanation.base_logits)[target] - explanation.logits[..., target]
    return accumulate(drop.ravel(), explanation.boxes, image_size)


def _base(explanation: Explanation) -> float:
    return float(np.ravel(explanation.base_scores)[explanation.target])


def _extent(size: int | tuple[int, int]) -> str:
    height, width = (size, size) if isinstance(size, int) else size
    return f"{height} x {width}"


def _outputs(options: argparse.Namespace) -> tuple[Path, Path]:
    """Where the results go; refused now rather than after minutes of work."""
    prefix = options.output if options.output is not None else Path(options.image.stem)
    if not prefix.name:
        raise ValueError(f"--output {prefix}: expected a directory and the start of a file name")
    paths = tuple(prefix.with_name(prefix.name + ending) for ending in ("_overlay.png", "_heatmap.npy"))
    if not prefix.parent.is_dir() or not os.access(prefix.parent, os.W_OK):
        raise ValueError(f"--output {prefix}: {prefix.parent} is no directory that can be written to")
    for path in paths:
        if path.is_dir() or path.resolve() in (options.image.resolve(), options.model.resolve()):
            raise ValueError(f"--output {prefix}: {path} is an input or a directory; choose another prefix")
    return paths[0], paths[1]


def _preprocessing(options: argparse.Namespace) -> Preprocessing:
    given = {name: getattr(options, name) for name in ("scale", "mean", "std", "resize", "short_side", "interpolation")}
    changes = {name: value for name, value in given.items() if value is not None}
    return preset(options.preset, **changes, channel_order="BGR" if options.bgr else "RGB")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="krypton-explain",
        description="Explain a prediction: how much the class score drops when each part of the image is hidden.",
    )
    parser.add_argument("model", type=Path, help="a model compiled by krypton-compile")
    parser.add_argument("image", type=Path, help="a picture that Pillow reads, 8 bits a channel")
    parser.add_argument("--patch-size", type=_size, default=16, metavar="N|HxW", help="occluded window, pixels (16)")
    parser.add_argument("--stride", type=_size, default=4, metavar="N|HxW", help="from one window to the next (4)")
    parser.add_argument("--baseline", default="black", help="occluder: black, gray or a pixel value 0..255 (black)")
    parser.add_argument("--target", type=int, metavar="N", help="class to explain (default: the predicted one)")
    parser.add_argument("--logits", action="store_true", help="map the values before the final Softmax or Sigmoid")
    parser.add_argument("--output", type=Path, metavar="PREFIX", help="writes PREFIX_overlay.png, PREFIX_heatmap.npy")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="of products on matrix tiles; bfloat16 is faster and less exact (exact)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all cores)")
    pixels = parser.add_argument_group("preprocessing", "(pixel / scale - mean) / std; options win over presets")
    pixels.add_argument("--preset", choices=PRESETS, default="none", help="values that common models expect (none)")
    pixels.add_argument("--scale", type=float, metavar="X", help="divide pixels 0..255 by this")
    pixels.add_argument("--mean", type=_numbers, metavar="A[,B,C]", help="after scaling, in the model's channel order")
    pixels.add_argument("--std", type=_numbers, metavar="A[,B,C]", help="after scaling, in the model's channel order")
    pixels.add_argument("--bgr", action="store_true", help="the model takes blue, green, red")
    pixels.add_argument("--resize", choices=("squeeze", "crop"), help="whole picture, or its centre (squeeze)")
    pixels.add_argument("--short-side", type=int, metavar="N", help="with crop: scale the short side to N first")
    pixels.add_argument("--interpolation", choices=("bicubic", "bilinear"), help="(bicubic)")
    return parser


def _size(text: str) -> int | tuple[int, int]:
    parts = text.lower().split("x")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number of pixels or HEIGHTxWIDTH")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected one number, or one a channel with commas") from None


if __name__ == "__main__":
    sys.exit(main())
