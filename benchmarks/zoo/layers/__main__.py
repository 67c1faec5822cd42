"""``python -m benchmarks.zoo.layers [sources]``: export, compile and check every layer, and write the table of them.

A source whose packages are not installed is skipped with a note, and keeps the records that it has. Another environment
exports for it with ``--python SOURCE=INTERPRETER``, an interpreter that has the framework and needs nothing of ours.
``--only NAME`` tries one layer and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.zoo.layers.check_files import check_folder
from benchmarks.zoo.layers.export_files import NEEDED, SOURCES
from benchmarks.zoo.layers.layers_table import read_records, write_layers, write_records

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", help="frameworks (default: all)")
    parser.add_argument("--python", action="append", default=[], metavar="SOURCE=INTERPRETER", help="who exports it")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a layer; nothing is written")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="export into this folder; read it if it is there")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "measurements" / "layers")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "models.md")
    options = parser.parse_args()
    interpreters = dict(each.split("=", 1) for each in options.python)
    for source in options.sources or SOURCES:
        with TemporaryDirectory() as work:
            folder = (options.keep or Path(work)) / source
            if not (folder / "files.jsonl").exists() or options.only:
                began = time.perf_counter()
                if not _export(source, interpreters.get(source, sys.executable), folder, options.only):
                    continue
                print(f"{source}: exported in {time.perf_counter() - began:.0f} s", flush=True)
            began = time.perf_counter()
            found = check_folder(folder, lambda line: print(line, flush=True))
            print(f"{source}: {len(found)} files checked in {time.perf_counter() - began:.0f} s", flush=True)
        if found and not options.only:
            write_records(found, source, options.results)
    if not options.only:
        write_layers(read_records(options.results), options.output)
    return 0


def _export(source: str, interpreter: str, folder: Path, only: list[str]) -> bool:
    """Let the interpreter export; False with a note where it lacks a package."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    search = f"import importlib.util as u; print(*[n for n in {NEEDED[source]!r} if u.find_spec(n) is None])"
    asked = subprocess.run(
        [interpreter, "-c", search], capture_output=True, text=True, env=environment, cwd=ROOT, check=True
    )
    if asked.stdout.split():
        print(f"{source}: skipped, as {', '.join(asked.stdout.split())} is not installed", flush=True)
        return False
    command = [interpreter, "-m", "benchmarks.zoo.layers.export_files", source, str(folder), *only]
    done = subprocess.run(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"{source}: the exporting process ended with code {done.returncode}\n{done.stderr[-2000:]}", flush=True)
    return (folder / "files.jsonl").exists()


if __name__ == "__main__":
    sys.exit(main())
