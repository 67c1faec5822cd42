"""``python -m benchmarks.zoo [names]``: compiles and checks the zoo's networks, with ``--measure`` measures them too.

Needs the extra ``zoo``. One JSON file an entry goes to ``--results``; what is there already is skipped unless
``--again``, so a run can be interrupted and resumed, and docs/models.md is written from all that are there. Each entry
runs in a process of its own: one that crashes is a row that says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.lib.naive import threads_available
from benchmarks.zoo.entries import ENTRIES, Entry, find
from benchmarks.zoo.records import Record, file_of, read_all, read_record
from benchmarks.zoo.table import write_table

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="entries, by name or builder (default: all)")
    parser.add_argument("--measure", action="store_true", help="also the speed-up, in pairs")
    parser.add_argument("--budget", type=float, default=24, help="measuring seconds an entry (default %(default)s)")
    parser.add_argument("--again", action="store_true", help="also those that have a result")
    parser.add_argument("--table", action="store_true", help="only write the table of the results there are")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "measurements" / "zoo")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "models.md")
    parser.add_argument("--step", choices=("export", "check", "measure"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        entries = find(options.names)
    except ValueError as error:
        parser.error(str(error))
    if options.step:
        return _step(options.step, entries[0], options.results, options.budget)
    began, failed = time.perf_counter(), 0
    for number, entry in enumerate([] if options.table else entries, 1):
        failed += not _run(entry, options, f"[{number}/{len(entries)}, {time.perf_counter() - began:4.0f} s]")
    records = read_all(ENTRIES, options.results)
    if records:
        write_table(records, options.output)
        print(f"{options.output}: {len(records)} of {len(ENTRIES)} entries")
    return 1 if failed else 0


def _run(entry: Entry, options: argparse.Namespace, where: str) -> bool:
    """All steps that are to be done, each in a process of its own; whether all went well."""
    if options.again:
        file_of(entry, options.results).unlink(missing_ok=True)
    record = read_record(entry, options.results)
    steps = ["check"] if record.checked is None else []
    steps += ["measure"] if options.measure and record.measured is None else []
    if not steps:
        return True
    for step in ("export", *steps):
        print(f"{where} {entry.name}: {step}", flush=True)
        command = [sys.executable, "-m", "benchmarks.zoo", entry.builder, "--step", step]
        command += ["--results", str(options.results), "--budget", str(options.budget)]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        record = read_record(entry, options.results)
        if code and not record.failure:
            record.failure = f"{step}: the process ended with code {code}"
            record.write(entry, options.results)
        if record.failure:
            print(f"    {record.failure.splitlines()[0]}", flush=True)
            return False
    print(f"    {record.sentence()}", flush=True)
    return True


def _step(step: str, entry: Entry, results: Path, budget: float) -> int:
    """One step in this process; a failure is recorded with its traceback."""
    record = read_record(entry, results)
    record.failure = ""
    try:
        _do(step, entry, record, budget)
    except Exception as error:  # whatever breaks, the others go on
        record.failure = f"{step}: {type(error).__name__}: {error}\n{traceback.format_exc()}"
    record.write(entry, results)
    return 1 if record.failure else 0


def _do(step: str, entry: Entry, record: Record, budget: float) -> None:
    if step == "export":
        from benchmarks.zoo.export import export

        export(entry)
        return
    from benchmarks.zoo.check import check
    from benchmarks.zoo.export import find_exported
    from benchmarks.zoo.measure import measure
    from models.zoo.pictures import pictures

    found = find_exported(entry)
    assert found is not None, "exported in the step before"
    record.exporter, record.refused = found.exporter, found.refused
    image = pictures(1, entry.shape, 1)
    with TemporaryDirectory() as folder:
        compiled = Path(folder) / "compiled.krypton.onnx"
        if step == "check":
            record.checked = check(found.path, compiled, image, patch_size=entry.patch, stride=entry.stride)
            return
        from krypton_compile import compile

        compile(found.path, compiled, verify=False)
        record.measured = measure(
            entry,
            found.path,
            compiled,
            image,
            threads_available(),
            budget,
            lambda line: print(f"    {line}", flush=True),
        )


if __name__ == "__main__":
    sys.exit(main())
