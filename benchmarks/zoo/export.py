"""A network of the zoo as an ONNX file, its batch size free; made once for each version of what it depends on.

torch's newer exporter first, the older one where that fails; the file's name says which it was.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
from dataclasses import dataclass
from pathlib import Path

import models.zoo
from benchmarks.zoo.entries import Entry
from models.fetch import cache_folder
from models.zoo.export import OPSETS, write

_DEFINITIONS = Path(models.zoo.__file__).parent
_SOURCES = (Path(__file__).with_name("build.py"), _DEFINITIONS / "weights.py")


@dataclass(frozen=True)
class Exported:
    """The file, and which exporter wrote it; ``refused`` is what the newer one said where it failed."""

    path: Path
    exporter: str
    refused: str = ""


def find_exported(entry: Entry) -> Exported | None:
    """What an earlier call left in the cache."""
    for exporter in OPSETS:
        path = _path(entry, exporter)
        if path.exists():
            refused = path.with_suffix(".refused")
            return Exported(path, exporter, refused.read_text("utf-8") if refused.exists() else "")
    return None


def export(entry: Entry) -> Exported:
    """Builds and writes the network, unless the cache has it."""
    found = find_exported(entry)
    if found is not None:
        return found
    from benchmarks.zoo.build import build

    model, refused = build(entry), ""
    for exporter in OPSETS:
        target = _path(entry, exporter)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as work:
            made = Path(work) / target.name
            try:
                write(model, entry.shape, made, exporter)
            except Exception as error:  # the exporters raise whatever their parts raise
                if exporter == list(OPSETS)[-1]:
                    raise
                refused = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
                continue
            made.replace(target)
        if refused:
            target.with_suffix(".refused").write_text(refused, "utf-8")
        return Exported(target, exporter, refused)
    raise AssertionError("no exporter")


def _path(entry: Entry, exporter: str) -> Path:
    files = [*_SOURCES, _DEFINITIONS / "networks.py"] if entry.source == "own" else _SOURCES
    sources = [file.read_bytes() for file in files]
    packages = ["torch"] + [entry.source] * (entry.source != "own")
    versions = "-".join(f"{name}{importlib.metadata.version(name).split('+')[0]}" for name in packages)
    digest = hashlib.sha256(repr(entry.shape).encode() + b"".join(sources)).hexdigest()[:8]
    return cache_folder() / "zoo" / f"{entry.builder}-{versions}-{digest}-{exporter}.onnx"
