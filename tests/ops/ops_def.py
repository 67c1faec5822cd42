"""custom_ops/ops.def as a table: what the tests look ops up in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "custom_ops"
FAMILIES = ("conv", "pool", "pointwise", "rows", "moves", "boxes", "boundary")


@dataclass(frozen=True)
class Op:
    """One line of the list."""

    name: str
    family: str
    kernels: str

    @property
    def snake(self) -> str:
        """The name in snake case, as files have it."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower()


def read_ops() -> list[Op]:
    """All lines; whatever else stands in the file is a comment or blank."""
    ops = []
    for line in (SOURCES / "ops.def").read_text().splitlines():
        if line and not line.startswith("//"):
            entry = re.fullmatch(r"KRYPTON_OP\((\w+), (\w+), (\w+)\)", line)
            assert entry, f"ops.def: cannot read {line!r}"
            ops.append(Op(*entry.groups()))
    return ops
