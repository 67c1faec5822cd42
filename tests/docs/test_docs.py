"""Every example of the documentation runs as it is written, from top to bottom, on the models that it speaks of.

Blocks marked ``sh`` are run by bash, blocks marked ``python`` share one namespace a document; ``console`` blocks set
machines up and are not run. The README's examples find ``model.onnx`` and ``picture.png``.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/tutorial_mri.md", "docs/tutorial_photograph.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")  # no address of the web: those have colons


def blocks(document: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))


def run_shell(code: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_examples_run(document, tmp_path, monkeypatch):
    from models.fetch import fetch

    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # a reader's is cold, and remembers nothing
    if document == "README.md":
        shutil.copy(fetch("squeezenet1_1"), "model.onnx")
        shutil.copy(fetch("photo_sample"), "picture.png")
    else:
        for name in ("vgg16_tumour", "squeezenet1_1"):
            fetch(name)  # beforehand, so that the examples' own time is theirs
    found = blocks(document)
    assert sum(kind == "sh" for kind, _ in found) >= 2
    assert any(kind == "python" for kind, _ in found)
    namespace: dict[str, object] = {}
    for kind, code in found:
        if kind == "sh":
            run_shell(code)
        elif kind == "python":
            exec(compile(code, document, "exec"), namespace)


SCRIPTS = sorted(
    f"benchmarks.{path.parent.name}.{path.stem}"
    for folder in ("kernels", "lib", "maps")
    for path in (ROOT / "benchmarks" / folder).glob("*.py")
    if path.stem != "__init__"
)


@pytest.mark.parametrize("module", ["examples.demo", *SCRIPTS])
def test_scripts_can_be_imported(module):
    pytest.importorskip("torch")
    importlib.import_module(module)


PAGES = ("README.md", "CHANGELOG.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("document", PAGES)
def test_links_lead_somewhere(document):
    path = ROOT / document
    for target, anchor in LINK.findall(path.read_text(encoding="utf-8")):
        page = path.parent / target if target else path
        assert page.exists(), f"{document}: {target}"
        assert not anchor or anchor in headings(page), f"{document}: {target}#{anchor}"


@pytest.mark.parametrize("document", PAGES)
def test_prose_has_at_most_100_columns(document):
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    prose = [line for line in text.splitlines() if not line.lstrip().startswith("|") and not line.startswith("    ")]
    too_long = [line for line in prose if len(line) > 100]
    assert too_long == []
