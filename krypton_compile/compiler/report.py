"""The compile report: what each layer became, how far a patch has spread there, and its multiply-adds.

The redundancy ratio of the paper's equations 10-14 over all P positions of the reference patch,

    R = P * Q / sum over p of Q_inc(p),

is given both ways: ``redundancy_paper`` counts all taps of every output in the box, as the paper
does, ``redundancy_overlap`` only those that land inside the delta, which is what the kernels execute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from krypton_compile.compiler.html_table import html_table
from krypton_compile.disk.write import write_all

_HEADER = ("layer", "op", "shape", "became", "growth", "MACs", "incremental", "reason")
_NUMBERS = frozenset({"growth", "MACs", "incremental"})


@dataclass(frozen=True)
class LayerReport:
    """One node of the canonical graph; multiply-adds are of Conv and MatMul, incremental ones a mean a position."""

    name: str
    op: str
    shape: tuple[int, ...]
    became: str
    reason: str
    growth: tuple[int, ...] | None
    multiply_adds: int
    incremental_paper: float
    incremental_overlap: float


@dataclass(frozen=True)
class Fallback:
    """Ops of one kind that are dense for one reason.

    Attributes:
        op: their type.
        names: of all of them, in graph order.
        shape: of the first one's output.
        reason: why they have no delta.
        behind: the share of all multiply-adds that is dense from the first one on.
        ratio: R as it is, with the fallbacks listed before supposed away.
        ratio_without: R if these ops kept changes where they are, too; None where they move pixels about, so that there
            is no telling.
    """

    op: str
    names: tuple[str, ...]
    shape: tuple[int, ...]
    reason: str
    behind: float
    ratio: float
    ratio_without: float | None

    def lines(self) -> list[str]:
        """Write the two lines of the report."""
        count = f"{len(self.names)} x " if len(self.names) > 1 else ""
        first = "first " if count else ""
        head = f"{count}{self.op}, {first}'{self.names[0]}' {list(self.shape)}: {self.reason}"
        cost = f"{100 * self.behind:.1f}% of the multiply-adds are dense from there on"
        if self.ratio_without is None:
            return [head, f"    {cost}; it mixes the whole map or moves pixels about, so no rule could help"]
        return [head, f"    {cost}; R would be {self.ratio_without:.1f} instead of {self.ratio:.1f}"]


@dataclass(repr=False)
class Report:
    """What a compilation made of a model, and what that is worth for a reference patch.

    Printed, it is a table of the layers; in a notebook it is shown as one.

    Attributes:
        model: the model, as messages call it.
        patch_size: the size of the reference patch, a number for each axis of the image.
        stride: its steps, likewise.
        positions: how many positions it takes on the image.
        layers: the nodes of the simplified graph, in order.
        verification: how the compiled model compares with the original.
        notes: what was changed in the model before it was compiled.
        fallbacks: what forces dense regions and what each costs; None where nobody asked.
    """

    model: str
    patch_size: tuple[int, ...]
    stride: tuple[int, ...]
    positions: int
    layers: list[LayerReport] = field(default_factory=list)
    verification: str = "not verified"
    notes: list[str] = field(default_factory=list)
    fallbacks: list[Fallback] | None = None

    @property
    def redundancy_paper(self) -> float:
        """The redundancy ratio R with all taps of each output in the box."""
        return _ratio(
            sum(layer.multiply_adds for layer in self.layers), sum(layer.incremental_paper for layer in self.layers)
        )

    @property
    def redundancy_overlap(self) -> float:
        """The redundancy ratio R with only the taps that overlap the delta."""
        return _ratio(
            sum(layer.multiply_adds for layer in self.layers), sum(layer.incremental_overlap for layer in self.layers)
        )

    @property
    def incremental_share(self) -> float:
        """The share of the multiply-adds that lie in incremental layers; the classifier's are not counted."""
        inside = sum(layer.multiply_adds for layer in self.layers if layer.became == "incremental")
        return inside / max(1, sum(layer.multiply_adds for layer in self.layers))

    def lines(self) -> Iterator[str]:
        """Write the table, one line a layer, and the totals."""
        rows = [_HEADER] + [_row(layer) for layer in self.layers]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER) - 1)]
        for *row, reason in rows:
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield f"{text}  {reason}".rstrip()
        yield from self._totals()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return (
            f"<Report of {self.model}: {len(self.layers)} layers, {100 * self.incremental_share:.1f}% of the "
            f"multiply-adds incremental, R {self.redundancy_overlap:.1f}; {self.verification}; print it for the table>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = [_row(layer) for layer in self.layers]
        marked = [layer.became == "dense" and bool(max(layer.shape[2:], default=1) > 1) for layer in self.layers]
        return html_table(f"Compiled: {self.model}", self._totals(), _HEADER, rows, marked, _NUMBERS)

    def _totals(self) -> Iterator[str]:
        patch, stride = "x".join(map(str, self.patch_size)), "x".join(map(str, self.stride))
        yield f"patch {patch}, stride {stride}: {self.positions} positions"
        yield (
            f"redundancy ratio R: {self.redundancy_paper:.1f} (all taps of each output in the box), "
            f"{self.redundancy_overlap:.1f} (taps that overlap the delta)"
        )
        yield f"incremental: {100 * self.incremental_share:.1f}% of the multiply-adds"
        if self.fallbacks is not None:
            yield f"fallbacks: {len(self.fallbacks) or 'none'}"
            yield from (line for fallback in self.fallbacks for line in fallback.lines())
        yield from (f"note: {note}" for note in self.notes)
        yield f"verification: {self.verification}"

    def to_json(self) -> bytes:
        """The content of the file that :meth:`save` writes."""
        content = asdict(self) | {
            "redundancy_paper": self.redundancy_paper,
            "redundancy_overlap": self.redundancy_overlap,
            "incremental_share": self.incremental_share,
        }
        return (json.dumps(content, indent=1) + "\n").encode()

    def save(self, path: str | Path) -> None:
        """Write everything as JSON."""
        write_all({Path(path): self.to_json()})


def _ratio(whole: float, part: float) -> float:
    return whole / part if part else 1.0


def _row(layer: LayerReport) -> tuple[str, ...]:
    growth = "x".join(map(str, layer.growth)) if layer.growth else "-"
    naive = f"{layer.multiply_adds / 1e6:.2f}M" if layer.multiply_adds else "-"
    incremental = f"{layer.incremental_overlap / 1e6:.2f}M" if layer.multiply_adds else "-"
    shape = "x".join(map(str, layer.shape))
    return layer.name, layer.op, shape, layer.became, growth, naive, incremental, layer.reason
