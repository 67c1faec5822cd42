"""Drill-down can be left out of a release: scripts/cut_passages.py leaves no mention of it in the documents."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "cut_passages.py"
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
SUBJECT = "drill-down"
MENTION = re.compile(r"drill.?down", re.IGNORECASE)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_is_left_of_it(script, document):
    text = document.read_text(encoding="utf-8")
    without = script.cut_passages(text, SUBJECT)  # refuses marks that are not balanced
    assert MENTION.findall(without) == []
    assert without.count("\n\n\n") == text.count("\n\n\n"), "a cut left a gap"
    before, after = (len(re.findall(r"^#+ ", page, re.MULTILINE)) for page in (text, without))
    assert before == after, "a heading was cut"


def test_some_documents_speak_of_it():
    speaking = [path.name for path in DOCUMENTS if MENTION.search(path.read_text(encoding="utf-8"))]
    assert {"README.md", "design.md", "experiments.md"} <= set(speaking)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("A.\n\n<!-- x -->\nX.\n\nX.\n<!-- /x -->\n\nB.\n", "A.\n\nB.\n"),
        ("A.\n\n<!-- x -->\nX.\n<!-- /x -->\n", "A.\n\n"),
        ("- a\n<!-- x -->\n- x\n<!-- /x -->\n- b\n", "- a\n- b\n"),
        ("- a\n<!-- x -->\n- x\n<!-- /x -->\n\nB.\n", "- a\n\nB.\n"),
        ("| a | <!-- x -->\n| x |\n| x | <!-- /x -->\n| b |\n", "| a |\n| b |\n"),
        ("<!-- y -->\nY.\n<!-- /y -->\n", "<!-- y -->\nY.\n<!-- /y -->\n"),
    ],
)
def test_only_passages_are_cut(script, text, left):
    assert script.cut_passages(text, "x") == left


@pytest.mark.parametrize("text", ["<!-- x -->\n", "<!-- /x -->\n<!-- x -->\n", "<!-- x --><!-- x --><!-- /x -->"])
def test_marks_in_disorder_are_refused(script, text):
    with pytest.raises(ValueError, match="in turn"):
        script.cut_passages(text, "x")
