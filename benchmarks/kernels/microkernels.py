"""``python -m benchmarks.kernels.microkernels``: rates of the convolution kernels on one thread, against its peak.

Builds and runs microkernels.cc: float32 kernels of every instruction set that this machine has, dense and with
packed lists of non-zeros, and the split-precision ones where it multiplies bfloat16. Operations on exact zeros do not
count. The peak is a loop of independent multiply-adds that touches no memory; of bfloat16x3 a third of the tiles' own,
of dot products twice that of float32.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.lib.naive import cpu_description

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "benchmarks"
CHANNELS = (64, 128, 256, 512)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = measure()
    print(f"{cpu_description()}; one thread\n")
    for line in lines:
        if "from" in line:
            print(f"reads from {line['from']}: {line['read']:.0f} GB/s")
    print(f"\n| kernel | peak, GF/s | layer | non-zero | {' | '.join(f'{c} channels' for c in CHANNELS)} |")
    print(f"|---|---|---|---|{'---|' * len(CHANNELS)}")
    rates = [line for line in lines if "gflops" in line]
    for case in dict.fromkeys((r["isa"], r["precision"], r["kernel"], r["density"]) for r in rates):
        row = [r for r in rates if (r["isa"], r["precision"], r["kernel"], r["density"]) == case]
        isa, precision, kernel, density = case
        cells = " | ".join(f"{r['gflops']:.0f} ({100 * r['gflops'] / r['peak']:.0f} %)" for r in row)
        print(f"| {isa} {precision} | {row[0]['peak']:.0f} | {kernel}x{kernel} | {100 * density:.0f} % | {cells} |")
    if options.json:
        about = {"machine": cpu_description(), "date": time.strftime("%Y-%m-%d")}
        options.json.write_text(json.dumps({**about, "rates": lines}, indent=1) + "\n")
    return 0


def measure() -> list[dict[str, Any]]:
    """What krypton_kernel_benchmark prints; it is built if need be.

    Raises:
        SystemExit: cmake is missing, or the build or a kernel fails.
    """
    cmake = shutil.which("cmake")
    if cmake is None:
        raise SystemExit("benchmarks.kernels.microkernels: expected cmake on the path; pip install cmake")
    configure = [cmake, "-S", ROOT / "custom_ops", "-B", BUILD, "-DKRYPTON_BENCHMARKS=ON"]
    build = [cmake, "--build", BUILD, "--target", "krypton_kernel_benchmark", "--parallel"]
    for command in (configure, build):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"benchmarks.kernels.microkernels: the build failed\n{done.stdout}{done.stderr}")
    done = subprocess.run([BUILD / "krypton_kernel_benchmark"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks.kernels.microkernels: it ended with {done.returncode}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    sys.exit(main())
