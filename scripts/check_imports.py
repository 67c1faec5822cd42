"""Holds the imports of an installed krypton_compile to the contracts of pyproject.toml: check_imports.py FOLDER.

FOLDER is an ordinary install (pip install --target FOLDER .). An editable one redirects krypton_compile.passes and
krypton_compile.runtime to folders of other names, which import-linter does not follow: it would find every contract
kept. So the graph is first compared with the files of this repository.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grimp

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "krypton_compile"
FOLDERS = {PACKAGE: PACKAGE, "passes": f"{PACKAGE}.passes", "runtime": f"{PACKAGE}.runtime"}


def main(folder: str) -> int:
    """0 if the graph is whole and every contract is kept."""
    # Before the finder of this environment's editable install; and import-linter looks in the working directory first.
    os.chdir(folder)
    sys.path.insert(0, str(Path.cwd()))
    sys.meta_path.insert(0, PathFinder)
    import grimp
    from importlinter.cli import lint_imports

    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    written = written_modules()
    if graph.modules != written:
        other = ", ".join(sorted(graph.modules ^ written))
        print(f"{folder} and {ROOT} differ in {other}: install the package there again", file=sys.stderr)
        return 1
    print_summary(graph)
    return int(lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True))


def written_modules() -> set[str]:
    """Name every module of this repository's package as it is called when installed."""
    return {
        ".".join([package, *path.relative_to(ROOT / folder).with_suffix("").parts]).removesuffix(".__init__")
        for folder, package in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    }


def print_summary(graph: grimp.ImportGraph) -> None:
    """Say how many modules and imports there are, and how many between the parts of the package."""
    pairs = [(name, imported) for name in graph.modules for imported in graph.find_modules_directly_imported_by(name)]
    parts = Counter((part_of(importer), part_of(imported)) for importer, imported in pairs)
    print(f"{len(graph.modules)} modules, {len(pairs)} imports; between parts:")
    for (importer, imported), count in sorted(parts.items()):
        if importer != imported:
            print(f"  {importer} -> {imported}: {count}")


def part_of(module: str) -> str:
    """The part of the package that a module belongs to: its second name."""
    return module.split(".")[1] if "." in module else module


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
