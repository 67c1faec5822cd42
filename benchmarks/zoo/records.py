"""What is known of an entry, in a JSON file of its own: written after every step, read to resume and for the table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.zoo.check import Checked, DenseCause
from benchmarks.zoo.entries import Entry
from benchmarks.zoo.measure import Measured


@dataclass
class Record:
    """Results of the steps so far; ``failure`` is the last one's, its traceback after the first line."""

    exporter: str = ""
    refused: str = ""
    checked: Checked | None = None
    measured: Measured | None = None
    failure: str = ""

    def write(self, entry: Entry, results: Path) -> None:
        """Into the entry's file."""
        results.mkdir(parents=True, exist_ok=True)
        content = {"entry": dataclasses.asdict(entry), **dataclasses.asdict(self)}
        file_of(entry, results).write_text(json.dumps(content, indent=1) + "\n", "utf-8")

    def sentence(self) -> str:
        """A line for the terminal."""
        parts = []
        if self.checked is not None:
            checked = self.checked
            parts.append(f"{'exact' if checked.exact else 'NOT EXACT'}, {checked.used:.2f} of the bound")
            parts.append(f"{100 * checked.share:.1f} % incremental, R {checked.redundancy_overlap:.1f}")
            parts += [f"{cause.op}: {cause.reason}" for cause in checked.dense[:1]]
        if self.measured is not None:
            low, high = min(self.measured.ratios), max(self.measured.ratios)
            parts.append(f"{self.measured.speed_up:.2f}x ({low:.2f}-{high:.2f})")
        return "; ".join(parts)


def file_of(entry: Entry, results: Path) -> Path:
    """Where an entry's record is."""
    return results / f"{entry.builder}.json"


def read_record(entry: Entry, results: Path) -> Record:
    """The entry's record, an empty one if there is none or the entry was another one then."""
    path = file_of(entry, results)
    if not path.exists():
        return Record()
    content = json.loads(path.read_text("utf-8"))
    if content.pop("entry") != json.loads(json.dumps(dataclasses.asdict(entry))):
        return Record()
    checked, measured = content.pop("checked"), content.pop("measured")
    if checked is not None:
        checked["dense"] = [DenseCause(**cause) for cause in checked["dense"]]
        content["checked"] = Checked(**checked)
    if measured is not None:
        content["measured"] = Measured(**measured)
    return Record(**content)


def read_all(entries: Iterable[Entry], results: Path) -> list[tuple[Entry, Record]]:
    """Of all entries that have one that tells something."""
    pairs = [(entry, read_record(entry, results)) for entry in entries]
    return [(entry, record) for entry, record in pairs if record.checked is not None or record.failure]
