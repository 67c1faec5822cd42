"""The table of layers in docs/models.md, between two marks, from the records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.zoo.layers.check_files import Checked
from benchmarks.zoo.layers.export_files import SOURCES

BEGIN, END = "<!-- layers -->", "<!-- /layers -->"

_INTRODUCTION = """## Layers

Each layer stands alone between two convolutions, was written by each exporter, compiled, and
compared with onnxruntime on occluded images, by

    python -m benchmarks.zoo.layers

A layer is *incremental* where all that follows it is, too. Where a number changes with the whole
map, or a formula carries a change from one end of the map to the other, the map behind it is
computed whole: *dense*, exact, and no faster than without this project.
"""
_TITLES = {
    "torch": "torch.nn, torch.nn.functional and tensors (both exporters; the batch free, and 1)",
    "keras-torch": "Keras 3 on PyTorch (`model.export`)",
    "keras-tensorflow": "Keras 3 on TensorFlow (`model.export`, by tf2onnx)",
    "paddle": "Paddle (paddle2onnx)",
}
_STEP = "a step of it may round the other way"
_KINDS = {1: ", signal", 2: "", 3: ", volume"}


def write_records(found: Sequence[Checked], source: str, folder: Path) -> None:
    """Keep what is known of a source."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(json.dumps(asdict(checked)) for checked in found)
    (folder / f"{source}.json").write_text(f"[\n{rows}\n]\n", "utf-8")


def read_records(folder: Path) -> dict[str, list[Checked]]:
    """Read what is known of all sources, in their order."""
    paths = {source: folder / f"{source}.json" for source in SOURCES}
    return {
        source: [Checked(**row) for row in json.loads(path.read_text("utf-8"))]
        for source, path in paths.items()
        if path.exists()
    }


def write_layers(records: dict[str, list[Checked]], path: Path) -> None:
    """Write the section into a document, in place of the one that it has, or at its end."""
    section = f"{BEGIN}\n{_section(records)}{END}\n"
    text = path.read_text("utf-8")
    before, found, rest = text.partition(f"{BEGIN}\n")
    if found:
        section += rest.partition(f"{END}\n")[2]
    else:
        before += "\n"
    path.write_text(before + section, "utf-8")


def kept_section(text: str) -> str:
    """The section as a document has it and all that follows it, with their marks; nothing where there is none."""
    _, found, rest = text.partition(f"{BEGIN}\n")
    return f"\n{found}{rest}" if found else ""


def _section(records: dict[str, list[Checked]]) -> str:
    parts = [_INTRODUCTION]
    for source, found in records.items():
        layers: dict[str, list[Checked]] = {}
        for checked in found:
            layers.setdefault(f"{checked.layer}{_KINDS[checked.axes]}", []).append(checked)
        good = [name for name, rows in layers.items() if all(row.good for row in rows if not _missing(row))]
        absent = [name for name in good if all(_missing(row) for row in layers[name])]
        good = [name for name in good if name not in absent]
        parts.append(f"\n### {_TITLES[source]}\n\n{len(layers)} layers, {len(good)} incremental by every exporter:\n")
        parts.append(_wrapped(good))
        rest = {name: rows for name, rows in layers.items() if name not in good and name not in absent}
        if rest:
            parts.append("\n| layer | incremental | exact | why |\n|---|---|---|---|\n")
            parts += [_row(name, [row for row in rows if not _missing(row)]) for name, rows in rest.items()]
        if absent:
            parts.append(f"\nNo exporter writes these:\n{_wrapped(absent)}")
    return "".join(parts)


def _missing(row: Checked) -> bool:
    return row.failure.startswith("no export")


def _wrapped(names: Iterable[str]) -> str:
    lines, line = [], ""
    for piece in ", ".join(map(_code, names)).split(" "):
        if line and len(line) + len(piece) > 99:
            lines.append(line)
            line = ""
        line += f" {piece}" if line else piece
    return "\n".join([*lines, line]) + "\n"


def _row(name: str, rows: Sequence[Checked]) -> str:
    shares = list(dict.fromkeys("-" if row.failure else f"{100 * row.share:.0f} %" for row in rows))
    exact = {row.failure == "" and row.used <= 1 for row in rows}
    reasons = dict.fromkeys((row.failure or row.reason or _STEP)[:160] for row in rows if not row.good)
    verdict = "yes" if exact == {True} else f"NO ({max(row.used for row in rows):.2g})"
    if all(row.failure for row in rows):
        verdict = "-"
    cells = [_code(name), " / ".join(shares), verdict, "; ".join(reasons)]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |\n"


def _code(name: str) -> str:
    return f"`{name}`"
