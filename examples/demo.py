"""The whole way on a real network: a brain-tumour VGG16 explains its diagnosis of one MRI slice.

``python -m examples.demo`` fetches model and picture, compiles, explains (black patch of 16, stride
4, 3,249 windows), writes the heat map's picture, makes an approximate map of a stated quality, and measures
the speed-up of the exact one over naive onnxruntime.
A demonstration of software; the model is no medical device.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import krypton_compile
from benchmarks.lib.naive import threads_available
from benchmarks.lib.paired import paired
from krypton_compile.cli.summary import summary
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.inputs.prepare import baseline_input, prepare
from krypton_compile.runtime.maps.quality import compare
from models.fetch import MANIFEST, FetchError, fetch
from models.preprocess import RECIPES

MODEL, PICTURE = "vgg16_tumour", "mri_sample"
QUALITY = "ssim>=0.9"
# Pairs that would end later are not started, so that the demo stays under three minutes on 2 cores.
BUDGET_SECONDS = 100.0


def main() -> int:
    """Run the demo; every line says one fact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder for the results (demo)")
    parser.add_argument("--threads", type=int, default=threads_available(), help="for both sides (all cores)")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    try:
        original, image = fetch(MODEL), fetch(PICTURE)
    except FetchError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 2
    compiled = options.output / f"{MODEL}.krypton.onnx"
    began = time.perf_counter()
    krypton_compile.compile(original, compiled, preprocessing=RECIPES[MODEL], labels=MANIFEST[MODEL]["labels"])
    say(f"compiled         {compiled}, {time.perf_counter() - began:.1f} s, checked against the original")

    session = OcclusionSession(compiled, threads=options.threads)
    explanation = session.explain(image, patch_size=16, stride=4, baseline="black", progress=True)
    heatmap = explanation.heatmap()
    say("\n".join(summary(explanation, heatmap)))
    say("written          " + ", ".join(map(str, explanation.save(options.output / MODEL, title=image.name))))
    quick = session.explain(image, 16, 4, "black", approximation=session.settings_for(QUALITY))
    found, share = compare(heatmap, quick.heatmap(), ("ssim",)).ssim, 100 * quick.scored.mean()
    say(f"approximate      {quick.seconds:.2f} s for {QUALITY}: SSIM {found:.3f}, {share:.0f} % of the windows known")

    recipe = RECIPES[MODEL]
    result = paired(
        session,
        original,
        prepare(image, recipe, session.image_size, layout=session.layout).tensor,
        baseline_input("black", recipe, session.image_size, layout=session.layout),
        threads=options.threads,
        budget=BUDGET_SECONDS,
        say=lambda text: say(f"measuring        {text}"),
    )
    say(result.describe())
    return 0 if result.largest_difference <= result.bound else 1


def say(text: str) -> None:
    """Print at once: a minute may pass before the next line."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
