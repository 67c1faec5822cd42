"""Packaging: what is installed works on its own, whatever machine it was built on.

The tree is built once, as a user's pip would: sdist first, and the wheel out of that sdist, so that a
file missing from the sdist fails here. The wheel then goes into a fresh virtual environment in which
neither a compiler nor onnxruntime's headers can be reached.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.network]

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "krypton_compile": "krypton_compile",
    "passes": "krypton_compile/passes",
    "runtime": "krypton_compile/runtime",
}
"""Of the repository, and where they lie in the wheel."""
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
OLDEST = EXTRAS["cpu"][0].replace(">=", "==")
NEWEST = "onnxruntime"

# Registers the library of the installed package and runs one op of it.
RUN_ONE_OP = """
import numpy, onnx.parser, onnxruntime
import krypton_compile

library = krypton_compile.get_library_path()
model = onnx.parser.parse_model('''
    <ir_version: 8, opset_import: ["": 17, "krypton": 1]>
    grow (int32[P, 4] boxes) => (int32[P, 4] grown) {
        grown = krypton.WindowBoxes <kernel_shape = [3, 3], strides = [1, 1], pads = [1, 1, 1, 1],
            dilations = [1, 1], input_shape = [8, 8], output_shape = [8, 8]> (boxes)
    }''')
options = onnxruntime.SessionOptions()
options.register_custom_ops_library(str(library))
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
boxes = numpy.array([[2, 3, 1, 1], [0, 7, 8, 1]], numpy.int32)
print(onnxruntime.__version__, library, session.run(None, {"boxes": boxes})[0].tolist())
"""


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    """A command's standard output; all that it said, when it fails."""
    done = subprocess.run(command, check=False, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class CleanEnvironment:
    """A fresh virtual environment and nothing else: no tool of the machine is on its PATH."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.folder = folder
        cache = run([sys.executable, "-m", "pip", "cache", "dir"], folder).strip()
        keep = {
            name: value for name, value in os.environ.items() if name.startswith("PIP_") or name in ("HOME", "LANG")
        }
        self.env = keep | {
            "PATH": str(folder / "bin"),
            "CC": "/bin/false",
            "CXX": "/bin/false",
            "ONNXRUNTIME_INCLUDE_DIR": "/nowhere",
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PIP_CACHE_DIR": cache,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ONLY_BINARY": ":all:",
        }

    def run(self, program: str, *arguments: str) -> str:
        return run([str(self.folder / "bin" / program), *arguments], self.folder, self.env)

    def python(self, code: str) -> str:
        return self.run("python", "-c", code)


def sources() -> list[str]:
    """Name the package's files as they lie in the wheel."""
    return sorted(
        f"{target}/{path.relative_to(ROOT / folder)}"
        for folder, target in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    )


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], folder)
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="session")
def environment(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """A clean environment with the wheel and the oldest onnxruntime that it declares."""
    clean = CleanEnvironment(tmp_path_factory.mktemp("clean"))
    clean.run("pip", "install", "--no-compile", f"{distributions[1]}[cpu]", OLDEST)
    return clean


def test_sdist_holds_what_a_build_needs(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {
        str(path.relative_to(ROOT))
        for folder in ("custom_ops", "krypton_compile", "passes", "runtime", "tests")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".cc", ".h", ".cu", ".def", ".map", ".cmake", ".py", ".typed"}
    }
    needed = tracked | {"custom_ops/CMakeLists.txt", "scripts/fetch_onnxruntime_headers.py", "LICENSE", "README.md"}
    assert needed <= names, sorted(needed - names)
    assert not [name for name in names if name.startswith(("build/", ".venv", "dist/"))]


def test_wheel_holds_one_package_and_its_library(distributions: tuple[Path, Path]) -> None:
    wheel = distributions[1]
    assert wheel.name.startswith("krypton_compile-0.1.0-py3-none-linux_"), wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        library = archive.read("krypton_compile/lib/libkrypton_ops.so")
    assert {name.split("/")[0] for name in names} == {"krypton_compile", "krypton_compile-0.1.0.dist-info"}
    assert {name for name in names if name.endswith(".py")} == set(sources())
    assert "krypton_compile/py.typed" in names
    assert not [name for name in names if name.endswith((".cc", ".h", ".cu"))]
    # onnxruntime is the loading process's own; a second one, linked to, would clash with it.
    assert b"libonnxruntime" not in library


@pytest.mark.parametrize("onnxruntime", [OLDEST, NEWEST])
def test_wheel_runs_without_compiler_and_headers(environment: CleanEnvironment, onnxruntime: str) -> None:
    environment.run("pip", "install", "--no-compile", "--upgrade", onnxruntime)
    version, library, grown = environment.python(RUN_ONE_OP).strip().split(" ", 2)
    assert library == str(next(environment.folder.rglob("libkrypton_ops.so")))
    assert grown == "[[1, 2, 3, 3], [0, 6, 8, 2]]"
    if "==" in onnxruntime:
        assert version.startswith(onnxruntime.partition("==")[2])


def test_parts_of_the_package_are_no_modules_of_their_own(environment: CleanEnvironment) -> None:
    code = "from importlib.util import find_spec; print(*[find_spec(n) for n in {}])"
    assert environment.python(code.format(["passes", "runtime", "custom_ops"])).split() == ["None"] * 3
    inside = environment.python(code.format(["krypton_compile.passes", "krypton_compile.runtime"]))
    assert inside.count("ModuleSpec") == 2


def test_every_module_can_be_imported(environment: CleanEnvironment) -> None:
    """Without torch, which the extra for Captum brings."""
    names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources()]
    names = [name for name in names if not name.startswith(("krypton_compile.captum", "krypton_compile.from_torch"))]
    code = "import importlib, sys; print(*[importlib.import_module(name).__name__ for name in sys.argv[1:]])"
    assert environment.run("python", "-c", code, *names).split() == names


@pytest.mark.parametrize("command", PYPROJECT["project"]["scripts"])
def test_commands_are_installed(environment: CleanEnvironment, command: str) -> None:
    assert "usage" in environment.run(command, "--help").lower()


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_extras_resolve(distributions: tuple[Path, Path], environment: CleanEnvironment, extra: str) -> None:
    report = environment.run(
        *("pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"),
        f"{distributions[1]}[{extra}]",
    )
    names = {item["metadata"]["name"] for item in json.loads(report)["install"]}
    assert EXTRAS[extra][0].partition(">=")[0] in names
    assert "torch" not in names
