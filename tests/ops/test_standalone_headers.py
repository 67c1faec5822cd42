"""Formulas and geometry stand alone: their headers compile by themselves, and know nothing of onnxruntime."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ops.ops_def import SOURCES

COMPILER = shutil.which(os.environ.get("CXX", "c++"))
HEADERS = [path for folder in ("math", "geometry") for path in sorted((SOURCES / folder).glob("*.h"))]
SOURCE_FILES = [path for folder in ("math", "geometry") for path in sorted((SOURCES / folder).iterdir())]
INSIDE = """#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "math/functions.h"

namespace krypton {
namespace {
#include "math/clip_rule.inl.h"
#include "math/functions.inl.h"
}  // namespace
float Use(float d, float z) {
  float y = ClipRuleScalar(d, z, 0.0f, 1.0f), b = 1.0f;
  ActivationRow(&y, &d, &z, 1, {Function::kTanh, 1.0f, 1.0f});
  ProductRow(&y, &z, &d, &b, &d, 1);
  return y;
}
}  // namespace krypton
"""
"""Those that each instruction set includes into a namespace of its own."""


@pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.name)
def test_a_header_compiles_alone(path: Path, tmp_path: Path) -> None:
    source = tmp_path / "alone.cc"
    included = f'#include "{path.relative_to(SOURCES)}"\n'
    source.write_text(INSIDE if path.name.endswith(".inl.h") else included * 2)
    command = [COMPILER, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{SOURCES}", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SOURCE_FILES, ids=lambda path: path.name)
def test_they_include_each_other_and_the_standard_library_alone(path: Path) -> None:
    included = re.findall(r'#include "([^"]+)"', path.read_text())
    assert {name.split("/")[0] for name in included} <= {"math", "geometry"}
    assert "Ort::" not in path.read_text()


def test_math_knows_no_geometry() -> None:
    for path in (SOURCES / "math").iterdir():
        assert '"geometry/' not in path.read_text(), path
