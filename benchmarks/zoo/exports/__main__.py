"""``python -m benchmarks.zoo.exports [sources]``: export, compile and check networks as libraries make them.

A source whose packages are not installed is skipped with a note and keeps its records. Each network runs in a process
of its own: one that crashes is a row that says so. What has a record already is skipped unless ``--again``.
``--only NAME`` tries one network.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.zoo.exports.exports_table import Row, read_rows, write_exports, write_rows
from benchmarks.zoo.exports.networks import NEEDED, SOURCES, Export, exports

ROOT = Path(__file__).resolve().parents[3]
_SECONDS = 1200
"""A network may take this long."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", help="libraries (default: all)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="these networks")
    parser.add_argument("--again", action="store_true", help="also those that have a record")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "measurements" / "exports")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "models.md")
    parser.add_argument("--row", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        return _check_here(options.sources[0], options.only[0], options.row)
    bad = 0
    for source in options.sources or SOURCES:
        missing = [name for name in NEEDED[source] if importlib.util.find_spec(name) is None]
        if missing:
            print(f"{source}: skipped, as {', '.join(missing)} is not installed", flush=True)
            continue
        rows = {row.name: row for row in read_rows(source, options.results)}
        for export in exports(source):
            wanted = export.name in options.only if options.only else options.again or export.name not in rows
            if wanted:
                began = time.perf_counter()
                row = rows[export.name] = _run(export)
                print(f"{time.perf_counter() - began:4.0f} s {source:12s} {row.sentence()}", flush=True)
                bad += not row.good
                known = [rows[each.name] for each in exports(source) if each.name in rows]
                write_rows(known, source, options.results)
    write_exports({source: read_rows(source, options.results) for source in SOURCES}, options.output)
    return 1 if bad else 0


def _run(export: Export) -> Row:
    """Export, compile and check a network in another process."""
    with TemporaryDirectory() as work:
        path = Path(work) / "row.json"
        command = [sys.executable, "-m", "benchmarks.zoo.exports", export.source]
        command += ["--only", export.name, "--row", str(path)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            return Row(export.name, failure=f"it took more than {_SECONDS} s")
        if not path.exists():
            return Row(export.name, failure=f"the process ended with code {done.returncode}: {done.stderr[-300:]}")
        return Row(**json.loads(path.read_text("utf-8")))


def _check_here(source: str, name: str, path: Path) -> int:
    """Export, compile and check a network in this process, and write its row."""
    from benchmarks.zoo.exports.check_network import check_network

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    export = next(each for each in exports(source) if each.name == name)
    path.write_text(json.dumps(vars(check_network(export))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
