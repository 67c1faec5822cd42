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
LINK = re.compile(r"\]\(([^)#:]+)\)")


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


SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("module", ["examples.demo", *(f"benchmarks.{name}" for name in SCRIPTS)])
def test_scripts_can_be_imported(module):
    pytest.importorskip("torch")
    importlib.import_module(module)


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, "docs/coming_from.md", "docs/design.md", "docs/models.md", "docs/performance.md"]
)
def test_links_lead_somewhere(document):
    path = ROOT / document
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{document}: {target}"
