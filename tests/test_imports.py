"""A test is imported by nobody, a benchmark by no test: what they share lies in tests/support.

The package's own imports are import-linter's matter (scripts/check_imports.py).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def imported(text: str) -> set[str]:
    """Name what Python source imports, anywhere in it: modules, and names of modules, which may be modules too."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def wrong_imports(text: str, of_a_test: bool) -> list[str]:
    """List the tests that Python source imports, and the benchmarks if it is ``of_a_test``."""
    parts = {name: name.split(".") for name in imported(text)}
    return sorted(
        name
        for name, path in parts.items()
        if any(part.startswith("test_") for part in path) or (of_a_test and path[0] == "benchmarks")
    )


def test_tests_and_benchmarks_are_not_imported() -> None:
    found = {}
    for folder in ("tests", "benchmarks", "examples", "models"):
        for path in (ROOT / folder).rglob("*.py"):
            if wrong := wrong_imports(path.read_text(encoding="utf-8"), of_a_test=folder == "tests"):
                found[str(path.relative_to(ROOT))] = wrong
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "import benchmarks.lib",
        "from benchmarks import lib",
        "def f():\n    from tests.ops import test_races",
        "from tests.ops.test_races import check",
    ],
)
def test_each_way_to_import_one_is_seen(text: str) -> None:
    assert wrong_imports(text, of_a_test=True)
