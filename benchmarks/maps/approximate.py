"""``python -m benchmarks.maps.approximate``: what approximate maps are worth, on images that were not tuned on.

For each model: krypton-tune's search on a part of its pictures (SSIM >= 0.9, on all of them and on half of them), the
chosen settings on the others, and there also the untuned default, and tau, eps, sampling and drill-down alone.
Speed-ups are over naive onnxruntime, patch 16, stride 4, black patch: naive seconds are measured on a sample of the
windows, before and after all of ours, which are whole maps. Networks with random weights see the photographs too.
Prints tables, and writes JSON and pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.lib.naive import NaiveModel, Probe, cpu_description, threads_available
from benchmarks.lib.paired import SAMPLE
from benchmarks.maps.core import pictures_of
from krypton_compile import compile
from krypton_compile.cli.tune_model import lines
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.contract.occlude import occlude
from krypton_compile.contract.preprocessing import preset
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.approximation.bounds import Bound, Goal, Quality, parse_bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import EXACT, UNTUNED, Approximation, DrillDown, write_settings
from krypton_compile.runtime.inputs.prepare import baseline_input, prepare
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.figure import colourise
from krypton_compile.runtime.maps.quality import compare
from krypton_compile.runtime.tuning.plot import plot_png
from krypton_compile.runtime.tuning.replay import Sample
from krypton_compile.runtime.tuning.tuner import UnreachableError, part, tune
from models.fetch import fetch
from models.preprocess import RECIPES

MODELS = ("vgg16_tumour", "squeezenet1_1", "efficientnet_lite0", "resnet18", "inception_v3")
ALONE = {
    "tau": [Approximation(tau=tau) for tau in (0.9, 0.8, 0.65, 0.5, 0.4, 0.3)],
    "eps": [Approximation(eps=eps) for eps in (1e-3, 3e-3, 1e-2, 2e-2, 4e-2)],
    "sampling": [Approximation(sampling=Sampling(share=share)) for share in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)],
    "drill-down": [
        Approximation(drill_down=DrillDown(r, (stride, stride)))
        for r, stride in ((0.5, 8), (0.25, 8), (0.25, 16), (0.1, 16), (0.0, 16), (0.25, 32))
    ],
}
# Of the check images, those on which each optimisation runs alone.
ALONE_IMAGES = 2
BLOCK_SECONDS = 3.0


@dataclass(frozen=True)
class Ran:
    """One setting on some images: seconds of a map, its quality and the share of its windows, one an image."""

    setting: Approximation
    seconds: list[float]
    qualities: list[Quality]
    scored: list[float]

    def row(self, what: str, naive: float, bound: Bound) -> str:
        """A line of a table."""
        speed, ssim = naive / np.array(self.seconds), np.array([quality.ssim for quality in self.qualities])
        spread = [f"{np.median(v):.{d}f} ({v.min():.{d}f}-{v.max():.{d}f})" for v, d in ((speed, 1), (ssim, 3))]
        kept = f"{sum(map(bound.holds, self.qualities))} of {len(speed)}"
        share = f"{100 * np.median(self.scored):.0f} %"
        return f"| {what} | {self.setting.describe()} | {len(speed)} | {spread[0]} x | {spread[1]} | {kept} | {share} |"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KRYPTON_DATA", "data")))
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--images", type=int, default=60, help="at most, of each model's folder (default %(default)s)")
    parser.add_argument("--quality", default="ssim>=0.9")
    parser.add_argument("--keep", type=float, nargs="+", default=(1.0, 0.5), help="shares of the images to tune for")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    options = parser.parse_args()
    threads = threads_available()
    print(f"{cpu_description()}; {threads} threads")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            original, compiled = _original(name), Path(folder) / f"{name}.krypton.onnx"
            compile(original, compiled)
            session = OcclusionSession(compiled, threads=threads)
            results.append(_model(name, original, session, options, threads))
    if options.json:
        about = {"machine": cpu_description(), "threads": threads, "date": time.strftime("%Y-%m-%d")}
        options.json.write_text(json.dumps({**about, "models": results}, indent=1) + "\n")
    return 0


def _original(name: str) -> Path:
    if name in RECIPES:
        return fetch(name)
    from models.export import exported

    return exported(name)


def _samples(name: str, session: OcclusionSession, options: argparse.Namespace) -> list[Sample]:
    recipe = RECIPES.get(name, preset("imagenet"))
    baseline = baseline_input("black", recipe, session.image_size, layout=session.layout)
    paths = pictures_of(name, options.data, options.images)
    return [
        Sample(path.stem, prepare(path, recipe, session.image_size, layout=session.layout).tensor, baseline)
        for path in paths
    ]


def _model(
    name: str, original: Path, session: OcclusionSession, options: argparse.Namespace, threads: int
) -> dict[str, Any]:
    samples = _samples(name, session, options)
    print(f"\n## {name}, {len(samples)} pictures\n", flush=True)
    bounds = [parse_bound(options.quality)]
    tunings = {}
    for keep in options.keep:
        print(f"tuning for {bounds[0]} on {100 * keep:g} % of the images\n")
        try:
            found = tune(session, samples, Goal(tuple(bounds), keep), say=lambda text: print(f"  {text}", flush=True))
        except UnreachableError as error:
            print(f"{error}; the best found: {error.best}")
            continue
        print("\n".join(lines(found)), flush=True)
        tunings[keep] = found
    tuned_on, held_out = part(samples)
    naive = _Naive(original, session, threads, held_out[0])
    exact = {sample.name: _explain(session, sample, EXACT) for sample in held_out}
    before = naive.seconds()
    plan = [("exact", EXACT, held_out), ("untuned", UNTUNED, held_out)]
    plan += [(f"tuned, {100 * keep:g} % keep", found.chosen, held_out) for keep, found in tunings.items()]
    plan += [(f"{what} alone", one, held_out[:ALONE_IMAGES]) for what, settings in ALONE.items() for one in settings]
    runs = []
    for what, setting, some in plan:
        ran = [exact[one.name] if setting.exact else _explain(session, one, setting) for one in some]
        pairs = zip(some, ran, strict=True)
        qualities = [compare(exact[sample.name].heatmap(), one.heatmap()) for sample, one in pairs]
        scored = [float(one.scored.mean()) for one in ran]
        runs.append((what, Ran(setting, [one.seconds for one in ran], qualities, scored)))
    seconds = (before + naive.seconds()) / 2
    print(f"\nnaive onnxruntime: {seconds:.1f} s a map\n")
    print("| what | setting | images | speed-up over naive (min-max) | SSIM (min-max) | keep it | windows |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for what, ran in runs:
        print(ran.row(what, seconds, bounds[0]), flush=True)
        speed_ups = [seconds / one for one in ran.seconds]
        details = {"speed_ups": speed_ups, "qualities": [asdict(quality) for quality in ran.qualities]}
        rows.append({"what": what, "setting": write_settings(ran.setting), **details, "scored": ran.scored})
    progressive = _progressive(session, held_out[0], exact[held_out[0].name])
    if options.pictures and tunings:
        options.pictures.mkdir(parents=True, exist_ok=True)
        strictest = tunings[max(tunings)]
        (options.pictures / f"{name}_tuning.png").write_bytes(plot_png(strictest))
        _side_by_side(session, held_out[:3], exact, strictest.chosen, options.pictures / f"{name}_maps.png")
    found = [
        {"keep": keep, "chosen": write_settings(one.chosen), "kept": one.kept, "interval": one.interval}
        for keep, one in tunings.items()
    ]
    parts = {
        name: [sample.name for sample in some] for name, some in (("tuned_on", tuned_on), ("checked_on", held_out))
    }
    return {
        "model": name,
        "naive_seconds": seconds,
        **parts,
        "tunings": found,
        "rows": rows,
        "progressive": progressive,
    }


def _progressive(session: OcclusionSession, sample: Sample, exact: Explanation) -> list[dict[str, float]]:
    """A progressive run: what each map took and is worth; the last is the exact one."""
    rows, last = [], exact
    for last in session.explain_progressively(sample.image, 16, 4, sample.baseline):
        ssim = compare(exact.heatmap(), last.heatmap(), ("ssim",)).ssim
        estimate = last.estimated_quality.get("ssim", float("nan"))
        rows.append({"seconds": last.seconds, "scored": float(last.scored.mean()), "ssim": ssim, "estimate": estimate})
    assert np.array_equal(last.scores, exact.scores)
    first = exact.seconds / rows[0]["seconds"]
    print(f"\nprogressive, {sample.name}: first map after 1/{first:.0f} of the exact run; the last is equal\n")
    print("| seconds | windows | SSIM | its estimate |\n|---|---|---|---|")
    for row in rows:
        known = f"| {row['seconds']:.2f} | {100 * row['scored']:.1f} % |"
        print(f"{known} {row['ssim']:.3f} | {row['estimate']:.3f} |", flush=True)
    return rows


class _Naive:
    """Seconds of naive onnxruntime for a whole map, from a sample of one image's windows."""

    def __init__(self, original: Path, session: OcclusionSession, threads: int, sample: Sample) -> None:
        self.model = NaiveModel(original, threads)
        grid = occlusion_grid(session.image_size, (16, 16), (4, 4))
        rows = np.sort(np.random.default_rng(0).permutation(len(grid))[:SAMPLE])
        self.windows = occlude(sample.image, grid[rows], sample.baseline, session.layout)
        self.scale = len(grid) / len(rows)
        self.probe: Probe = self.model.probe(self.windows)
        self.model.run(self.windows[: self.probe.batch], self.probe.batch)

    def seconds(self) -> float:
        """The median of as many blocks as take some seconds: one of a small network is over in a tenth."""
        blocks: list[float] = []
        while sum(blocks) < BLOCK_SECONDS:
            blocks.append(self.model.run(self.windows, self.probe.batch)[0])
        return float(np.median(blocks)) * self.scale


def _explain(session: OcclusionSession, sample: Sample, setting: Approximation) -> Explanation:
    return session.explain(sample.image, 16, 4, sample.baseline, approximation=setting, check=False)


def _side_by_side(
    session: OcclusionSession, samples: list[Sample], exact: dict[str, Explanation], chosen: Approximation, path: Path
) -> None:
    """Exact maps above approximate ones."""
    figure = Figure(figsize=(3 * len(samples), 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(samples), squeeze=False)
    for column, sample in enumerate(samples):
        whole = exact[sample.name]
        fast = _explain(session, sample, chosen)
        quality = compare(whole.heatmap(), fast.heatmap())
        titles = (f"exact, {whole.seconds:.1f} s", f"approximate, {fast.seconds:.2f} s, SSIM {quality.ssim:.3f}")
        for row, (found, title) in enumerate(zip((whole, fast), titles, strict=True)):
            heatmap = found.heatmap()
            axes[row][column].imshow(colourise(heatmap))
            axes[row][column].set_title(title, fontsize=9)
            axes[row][column].axis("off")
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    sys.exit(main())
