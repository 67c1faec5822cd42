"""``krypton-explain model.krypton.onnx image``: from a compiled model and a picture to a heat map on disk.

Nothing is written unless everything worked; then PREFIX_overlay.png and PREFIX_heatmap.npy
(float32 [H, W], NaN where no window lies) appear together. Errors are one line and exit code 2.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from krypton_compile.errors import KryptonError
from krypton_compile.runtime import Explanation, OcclusionSession
from krypton_compile.runtime.approximation import EXACT, UNTUNED, Approximation, settings_for
from krypton_compile.runtime.bounds import parse_bound
from krypton_compile.runtime.figure import figure_png
from krypton_compile.runtime.files import write_all
from krypton_compile.runtime.heatmap import accumulate
from krypton_compile.runtime.options import (
    Parser,
    add_preprocessing_options,
    add_window_options,
    drill_down,
    numbers,
    read_preprocessing,
)
from krypton_compile.runtime.preprocess import Prepared, baseline_input, prepare
from krypton_compile.runtime.progress import progress_bar
from krypton_compile.runtime.sampling import Sampling
from krypton_compile.runtime.sweep import as_pair
from krypton_compile.schemas import PRECISIONS

# Two exact computations of one score differ by up to 1e-5 (of the largest logit, or of probability 1)
# because fp32 sums are rounded in another order; a map is readable when its range is 100 times that.
ERROR_BOUND = 1e-5
READABLE = 100
DRAWN_EVERY = 1.0
"""Seconds from one progressive map's picture to the next; the first and the last are drawn in any case."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 on success, 2 on bad input with one line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        _explain(options)
    except (KryptonError, ValueError, OSError) as error:
        print(f"krypton-explain: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = "the last map stays" if options.mode == "progressive" else "nothing written"
        print(f"krypton-explain: interrupted; {kept}", file=sys.stderr)
        return 130
    return 0


def _explain(options: argparse.Namespace) -> None:
    paths = _outputs(options)
    session = OcclusionSession(options.model, threads=options.threads, precision=options.precision)
    approximation = _approximation(options, session)
    preprocessing = read_preprocessing(options)
    channels = session.image_shape[1 if session.layout == "NCHW" else 3]
    prepared = prepare(options.image, preprocessing, session.image_size, channels, session.layout)
    baseline = baseline_input(options.baseline, preprocessing, session.image_size, channels, session.layout)
    if options.mode == "progressive":
        maps = session.explain_progressively(
            prepared.tensor,
            patch_size=options.patch_size,
            stride=options.stride,
            baseline=baseline,
            target=options.target,
        )
        written = -math.inf
        for explanation in maps:
            # Drawing takes longer than a small network's next map.
            if explanation.exact or time.monotonic() - written >= DRAWN_EVERY:
                heatmap = _write(options, session, explanation, prepared, paths)
                written = time.monotonic()
            print(_progress_line(explanation), flush=True)
    else:
        with progress_bar("windows") as progress:
            explanation = session.explain(
                prepared.tensor,
                patch_size=options.patch_size,
                stride=options.stride,
                baseline=baseline,
                target=options.target,
                approximation=approximation,
                progress=progress,
            )
        heatmap = _write(options, session, explanation, prepared, paths)
    print(summary(explanation, heatmap, in_logits=options.logits))
    print(f"input range      {prepared.tensor.min():.4g} to {prepared.tensor.max():.4g} after preprocessing")
    print("written          " + ", ".join(map(str, paths)))


def _write(
    options: argparse.Namespace,
    session: OcclusionSession,
    explanation: Explanation,
    prepared: Prepared,
    paths: tuple[Path, Path],
) -> npt.NDArray[np.float32]:
    """Writes picture and map, and returns the map."""
    overlay_path, heatmap_path = paths
    heatmap = _logit_map(explanation, session.image_size) if options.logits else explanation.heatmap()
    data = io.BytesIO()
    np.save(data, heatmap)
    title = f"{options.image.name}: class {explanation.target}, {_base(explanation):.4f}"
    if not explanation.exact:
        title += " (approximate)"
    label = f"{'logit' if options.logits else 'score'} drop when hidden"
    write_all({overlay_path: figure_png(prepared.picture, heatmap, title, label=label), heatmap_path: data.getvalue()})
    return heatmap


def _progress_line(explanation: Explanation) -> str:
    done, total = int(explanation.scored.sum()), explanation.scored.size
    error = explanation.estimated_error
    close = "exact" if explanation.exact else "first map" if np.isnan(error) else f"error about {error:.2g}"
    if explanation.estimated_quality and not explanation.exact:
        close += f", {_estimates(explanation)}"
    return f"map              {done} of {total} windows, {explanation.seconds:.2f} s, {close}"


def _estimates(explanation: Explanation) -> str:
    return ", ".join(f"{name} about {value:.2f}" for name, value in explanation.estimated_quality.items())


def _approximation(options: argparse.Namespace, session: OcclusionSession) -> Approximation:
    """By hand, for a quality, as tuned, or the defaults; says which where the user did not."""
    given = {name: getattr(options, name) for name in ("tau", "eps", "drilldown", "sample")}
    by_hand = {name: value for name, value in given.items() if value is not None}
    if options.mode in ("exact", "progressive") and (by_hand or options.quality):
        given_up = "--tau, --eps, --drilldown, --sample and --quality"
        raise ValueError(f"--mode {options.mode} leaves nothing out; drop {given_up}")
    if options.mode != "approximate" and not by_hand and not options.quality:
        return EXACT
    if by_hand:
        if options.quality:
            raise ValueError("--quality chooses the settings; drop --tau, --eps, --drilldown and --sample")
        thresholds = {name: by_hand[name] for name in ("tau", "eps") if name in by_hand}
        one = {name: value[0] if len(value) == 1 else value for name, value in thresholds.items()}
        sampling = None if options.sample is None else Sampling(share=options.sample)
        return Approximation(**one, drill_down=options.drilldown, sampling=sampling)
    tuning = session.tuning
    bounds = () if tuning is None else tuning.bounds
    if options.quality:
        chosen = settings_for(parse_bound(options.quality), session.tuned, bounds)
    else:
        chosen = UNTUNED if session.tuned is None else session.tuned
    if tuning is None or chosen != session.tuned:
        tuned = f"tuned for {', '.join(bounds)}" if bounds else "never tuned"
        print(f"approximate      {tuned}; uses {chosen.describe()}. krypton-tune finds what suits your images")
        return chosen
    sizes = as_pair(options.patch_size, "--patch-size"), as_pair(options.stride, "--stride")
    if sizes != (tuple(tuning.patch_size), tuple(tuning.stride)):
        tuned_for = f"patch {_extent(tuning.patch_size)}, stride {_extent(tuning.stride)}"
        print(f"approximate      note: tuned for {tuned_for}; its bound says nothing about other ones")
    return chosen


def summary(explanation: Explanation, heatmap: npt.NDArray[np.float32], in_logits: bool = False) -> str:
    """What a person wants to know of an explanation, one fact a line."""
    rows, columns = explanation.scores.shape[:2]
    predicted = int(np.argmax(explanation.base_scores))
    lines = [f"predicted class  {predicted}, score {np.ravel(explanation.base_scores)[predicted]:.6g}"]
    if explanation.target != predicted:
        lines.append(f"explained class  {explanation.target}, score {_base(explanation):.6g}")
    rate = int(explanation.scored.sum()) / max(explanation.seconds, 1e-9)
    patch, stride = _extent(explanation.patch_size), _extent(explanation.stride)
    reduced = " (reduced)" if explanation.precision == "bfloat16" else ""
    measured = "" if np.isnan(explanation.error) else f", error {explanation.error:.1e} of the largest output"
    lines += [
        f"windows          {rows} x {columns} = {rows * columns} of {patch} pixels, stride {stride}",
        f"time             {explanation.seconds:.2f} s, {rate:.0f} windows/s",
        f"change nothing   {100 * (1 - explanation.changed):.1f} % of the windows",
        f"precision        {explanation.precision}{reduced}{measured}",
        *_approximate_lines(explanation),
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


def _approximate_lines(explanation: Explanation) -> list[str]:
    if explanation.approximation.exact:
        return []
    scored, total = int(explanation.scored.sum()), explanation.scored.size
    lines = [
        f"APPROXIMATE      {explanation.approximation.describe()}",
        f"scored           {scored} windows, {100 * (1 - scored / total):.0f} % avoided; the others are interpolated",
    ]
    if explanation.estimated_quality:
        lines.append(f"estimated        {_estimates(explanation)} to the exact map, by what the last windows changed")
    check = explanation.check
    if check is not None:
        saved = f"{100 * check.tau_saves:.0f} % of a window's by tau, {100 * check.eps_saves:.0f} % of the rest by eps"
        off = f"off by {check.mean:.2g} in the mean, {check.largest:.2g} at most"
        if check.tau_saves or check.eps_saves:
            lines.append(f"time avoided     about {saved}")
        lines.append(f"checked          {check.windows} random windows scored exactly: {off}")
    return lines


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


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="krypton-explain",
        description="Explain a prediction: how much the class score drops when each part of the image is hidden.",
    )
    parser.add_argument("model", type=Path, help="a model compiled by krypton-compile")
    parser.add_argument("image", type=Path, help="a picture that Pillow reads, 8 bits a channel")
    add_window_options(parser)
    parser.add_argument("--target", type=int, metavar="N", help="class to explain (default: the predicted one)")
    parser.add_argument("--logits", action="store_true", help="map the values before the final Softmax or Sigmoid")
    parser.add_argument("--output", type=Path, metavar="PREFIX", help="writes PREFIX_overlay.png, PREFIX_heatmap.npy")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of products, where the processor offers it; bfloat16 is faster and less exact (exact)",
    )
    speed = parser.add_argument_group("mode", "exact unless something is left out; approximate results say so")
    speed.add_argument("--mode", choices=("exact", "approximate", "progressive"), help="progressive: ever finer maps")
    speed.add_argument(
        "--tau", type=numbers, metavar="X", help="propagation threshold, more than 0 and up to 1 (exact)"
    )
    speed.add_argument("--eps", type=numbers, metavar="X", help="value threshold, from 0 (exact) to 1")
    speed.add_argument("--drilldown", type=drill_down, metavar="R,S1", help="stride S1, then R of the map finely")
    speed.add_argument("--sample", type=float, metavar="X", help="score this share of the windows, spread evenly")
    speed.add_argument("--quality", metavar="BOUND", help="ssim>=0.9, say: as tuned, or as many windows as it takes")
    add_preprocessing_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
