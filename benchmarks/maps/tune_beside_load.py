"""``python -m benchmarks.maps.tune_beside_load``: does krypton-tune choose the same on a busy machine?

Tunes once on the machine as it is, and then again and again beside busy processes; prints each choice and how many are
the same. Exit code 1 where one is another.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.lib.naive import cpu_description, threads_available
from benchmarks.maps.core import pictures_of
from krypton_compile import compile
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.approximation.bounds import Goal, parse_bound
from krypton_compile.runtime.approximation.settings import write_settings
from krypton_compile.runtime.inputs.prepare import baseline_input, prepare
from krypton_compile.runtime.tuning import screening
from krypton_compile.runtime.tuning.replay import Sample
from krypton_compile.runtime.tuning.tuner import UnreachableError, tune
from models.fetch import fetch
from models.preprocess import RECIPES


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KRYPTON_DATA", "data")))
    parser.add_argument("--model", default="squeezenet1_1", choices=sorted(RECIPES))
    parser.add_argument("--quality", default="ssim>=0.9")
    parser.add_argument("--pictures", type=int, default=4, help="half of them tune (default %(default)s)")
    parser.add_argument("--patch", type=int, default=32)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--busy", type=int, default=2, help="processes beside (default %(default)s)")
    parser.add_argument("--few", action="store_true", help="try six thresholds only, which takes a ninth of the time")
    options = parser.parse_args()
    if options.few:
        screening.TAUS, screening.EPSES = (1.0, 0.65), (0.0, 3e-3, 1e-2)
    threads = threads_available()
    print(f"{cpu_description()}; {threads} threads", flush=True)
    recipe = RECIPES[options.model]
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "model.krypton.onnx"
        compile(fetch(options.model), compiled)
        session = OcclusionSession(compiled, threads=threads)
        blank = baseline_input("black", recipe, session.image_size, layout=session.layout)
        samples = [
            Sample(path.stem, prepare(path, recipe, session.image_size, layout=session.layout).tensor, blank)
            for path in pictures_of(options.model, options.data, options.pictures)
        ]
        first = _choose(session, samples, options)
        print(f"as it is: {first}", flush=True)
        same = 0
        for number in range(options.runs):
            beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
            try:
                began = time.perf_counter()
                chosen = _choose(session, samples, options)
            finally:
                for process in beside:
                    process.kill()
                    process.wait()
            same += chosen == first
            seconds = time.perf_counter() - began
            print(f"{number + 1}: {'the same' if chosen == first else chosen}, {seconds:.0f} s", flush=True)
    print(f"the same choice in {same} of {options.runs} runs beside {options.busy} busy processes")
    return int(same < options.runs)


def _choose(session: OcclusionSession, samples: list[Sample], options: argparse.Namespace) -> str:
    """The setting that is chosen, or why none is."""
    goal = Goal((parse_bound(options.quality),))
    try:
        found = tune(session, samples, goal, patch_size=options.patch, stride=options.stride)
    except UnreachableError as error:
        return str(error)
    return f"{found.chosen.describe()} {write_settings(found.chosen)}"


if __name__ == "__main__":
    sys.exit(main())
