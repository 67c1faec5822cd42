"""The table of exported networks in docs/models.md, between two marks, from the records."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.zoo.exports.transformers_networks import NOT_AN_IMAGE

BEGIN, END = "<!-- exports -->", "<!-- /exports -->"
_OWN = 1.5
"""Of onnxruntime's difference from itself, which is the largest of fewer windows than the one it is compared with."""

_INTRODUCTION = """## Networks as their libraries export them

Each network was made by its library as it initialises it (untrained: zero biases, unit
normalisations; those marked * got random weights of ours, since with their own a window hardly
moves the scores), exported as its users do, compiled by default settings, which verifies, and
compared with onnxruntime on 20 occluded images, by

    python -m benchmarks.zoo.exports

Some networks without training make so much of rounding that onnxruntime at another optimisation
level is more than the bound away from itself: they count as exact up to 1.5 times that number,
which is of a fifth of the windows. Those of transformers leave batch, channels, height and width
free, as Optimum writes them; large ones are cut in depth or width
([`transformers_networks.py`][cut]). The columns are those of the table at the top; *compiled in*
includes the verification, on a loaded machine.

[cut]: ../benchmarks/zoo/exports/transformers_networks.py
"""


@dataclass
class Row:
    """A network: who exported it, what of it is incremental, by how much it is off, or why it has no result."""

    name: str
    exporter: str = ""
    weights: str = "initialised"
    parameters: int = 0
    seconds: float = math.nan
    share: float = 0.0
    used: float = math.nan
    rounding: float = math.nan
    redundancy: float = math.nan
    reason: str = ""
    failure: str = ""

    @property
    def good(self) -> bool:
        """Compiled and exact; an untrained network may be off by what onnxruntime differs from itself."""
        return not self.failure and self.used <= max(1, _OWN * self.rounding)

    def sentence(self) -> str:
        """Write a line for the terminal."""
        if self.failure:
            return f"{self.name:32s} FAILED {self.failure}"
        exact = f"{self.used:.2f} ({self.rounding:.2f})"
        share = f"{100 * self.share:5.1f} %"
        return f"{self.name:32s} {'' if self.good else 'OFF '}{exact} {share} R {self.redundancy:.1f} {self.reason}"


def write_rows(rows: Sequence[Row], source: str, folder: Path) -> None:
    """Keep what is known of a source."""
    folder.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(json.dumps(asdict(row)) for row in rows)
    (folder / f"{source}.json").write_text(f"[\n{text}\n]\n", "utf-8")


def read_rows(source: str, folder: Path) -> list[Row]:
    """Read what is known of a source; nothing if there is no record."""
    path = folder / f"{source}.json"
    return [Row(**row) for row in json.loads(path.read_text("utf-8"))] if path.exists() else []


def write_exports(records: dict[str, list[Row]], path: Path) -> None:
    """Write the section into a document, in place of the one that it has, or at its end."""
    section = f"{BEGIN}\n{_section(records)}{END}\n"
    before, found, rest = path.read_text("utf-8").partition(f"{BEGIN}\n")
    after = rest.partition(f"{END}\n")[2] if found else ""
    path.write_text(before + ("" if found else "\n") + section + after, "utf-8")


def _section(records: dict[str, list[Row]]) -> str:
    parts = [_INTRODUCTION]
    for source, rows in records.items():
        if not rows:
            continue
        good = sum(row.good for row in rows)
        whole = sum(row.good and row.share > 1 - 1e-9 for row in rows)
        parts.append(f"\n### {source}\n\n{len(rows)} networks, {good} compiled and exact, {whole} of them incremental")
        parts.append(
            " from end to end.\n\n| network | export | exact | incremental | R taps | compiled in | dense because |\n"
        )
        parts.append("|---|---|---|---|---|---|---|\n")
        parts += [_line(row) for row in rows]
        if source == "transformers":
            others = "; ".join(f"`{name}` ({why})" for name, why in NOT_AN_IMAGE.items())
            parts.append("\n" + textwrap.fill(f"Its other types are not here: {others}.", 100) + "\n")
    return "".join(parts)


def _line(row: Row) -> str:
    cells = [f"`{row.name}`{'' if row.weights == 'initialised' else ' *'}", row.exporter or "-"]
    if row.failure:
        cells += ["-", "-", "-", "-", row.failure[:200]]
    else:
        exact = f"{'' if row.good else 'NO: '}{row.used:.2f} ({row.rounding:.2f})"
        reason = row.reason if row.share < 1 - 1e-9 else ""
        cells += [exact, f"{100 * row.share:.1f} %", f"{row.redundancy:.1f}", f"{row.seconds:.0f} s", reason or "-"]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |\n"
