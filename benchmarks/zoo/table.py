"""docs/models.md from the records."""

from __future__ import annotations

from pathlib import Path

from benchmarks.zoo.check import DenseCause
from benchmarks.zoo.entries import Entry
from benchmarks.zoo.layers.layers_table import kept_section
from benchmarks.zoo.measure import BUSY
from benchmarks.zoo.records import Record

_INTRODUCTION = """# Models

The table has architectures at native resolution and full width, with random weights that keep
signal. Each was exported, compiled and checked by

    python -m benchmarks.zoo --measure

(extra `zoo`: torchvision and timm). This file is made from the records in
[`measurements/zoo/`](measurements/zoo/). Trained models are in [performance.md](performance.md);
they have more exact zeros than random ones, and are faster.

- *exact* is the largest difference from onnxruntime on really occluded images over {boxes} random boxes,
  in units of the bound (1e-5 of the largest logit); at most 1 is exact. The number in brackets says
  by how much onnxruntime differs from itself at another optimisation level. Boxes are at most half
  of the image; "Norms at every window" below hides the whole picture as well.
- *incremental* is the share of the multiply-adds of convolutions and products of matrices that is
  in incremental layers.
- *R* is the ratio of naive to incremental multiply-adds, at patch 16 and stride 4 where the row has
  no other. The first counts the taps that overlap the delta, the second counts as the paper does
  ([design.md](design.md), section 3). Zeros and the base pass are not in it.
- *speed-up* is that over naive onnxruntime at its best batch size, exact, with as many threads: the
  median (min-max) of pairs that ran in turn. The base pass counts.
- *dense because* names the first nodes without a rule, and the share of multiply-adds that are
  dense (computed on whole maps) from there on.

| network | source | input, patch | export | exact | incremental | R taps | R paper | speed-up | dense because |
|---|---|---|---|---|---|---|---|---|---|
"""


def write_table(records: list[tuple[Entry, Record]], path: Path) -> None:
    """One row an entry, in the order given."""
    boxes = next((record.checked.boxes for _, record in records if record.checked is not None), 0)
    lines = [_row(entry, record) for entry, record in records]
    machines = sorted({_machine(record) for _, record in records if record.measured is not None})
    notes = [f"\nMeasured on {machine}." for machine in machines]
    disturbed = [entry.name for entry, record in records if record.measured is not None and record.measured.busy > BUSY]
    if disturbed:
        notes.append(f"\nMeasured while others used the machine, so too large: {', '.join(disturbed)}.")
    refused = [f"- {entry.name}: {record.refused}" for entry, record in records if record.refused]
    if refused:
        notes.append("\nThe newer exporter failed, the older one wrote the file:\n")
    section = kept_section(path.read_text("utf-8")) if path.exists() else ""
    path.write_text(_INTRODUCTION.format(boxes=boxes) + "\n".join([*lines, *notes, *refused]) + "\n" + section, "utf-8")


def _row(entry: Entry, record: Record) -> str:
    size = "x".join(map(str, entry.shape[1:]))
    if (entry.patch, entry.stride) != (16, 4):
        size += f", {entry.patch} / {entry.stride}"
    cells = [entry.name, entry.source, size, record.exporter or "-"]
    if record.checked is None:
        return _joined([*cells, *["-"] * 5, f"FAILED: {record.failure.splitlines()[0]}"])
    checked = record.checked
    exact = f"{'' if checked.exact else 'NO: '}{checked.used:.2f} ({checked.rounding:.2f})"
    short = " (!)" if checked.share < entry.share else ""
    cells += [exact, f"{100 * checked.share:.1f} %{short}"]
    cells += [f"{checked.redundancy_overlap:.1f}", f"{checked.redundancy_paper:.1f}"]
    cells.append("failed" if record.failure else "-")
    if record.measured is not None:
        ratios = record.measured.ratios
        cells[-1] = f"{record.measured.speed_up:.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
    causes = sorted(checked.dense, key=lambda cause: -cause.behind)
    return _joined([*cells, "; ".join(map(_cause, causes[:2])) or "-"])


def _cause(cause: DenseCause) -> str:
    return f"{cause.op}: {cause.reason} ({100 * cause.behind:.1f} %)"


def _machine(record: Record) -> str:
    assert record.measured is not None
    measured = record.measured
    return f"{measured.machine}; {measured.threads} threads, {measured.precision}"


def _joined(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
