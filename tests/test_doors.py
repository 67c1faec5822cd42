"""What a user names is opened by krypton_compile/disk alone, and what a command says is printed by one module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("krypton_compile", "passes", "runtime")

OPENING = frozenset(
    "open write_text write_bytes read_text read_bytes savefig imread imsave fromfile tofile loadtxt savetxt memmap "
    "mkstemp mkdtemp NamedTemporaryFile TemporaryDirectory TemporaryFile mkdir makedirs replace rename link symlink "
    "unlink remove rmtree copy copyfile move load save load_model save_model truncate".split()
)
"""Names of functions and methods that open, make, move or delete files; those of strings and models are told apart."""
SAYING = frozenset({"print", "stdout", "stderr", "__stdout__", "__stderr__", "Console"})

OPENS = {
    "krypton_compile/captum/functions.py": "temporary files of its own",
    "krypton_compile/cli/entry.py": "the null device",
    "krypton_compile/cli/frame/terminal.py": "likewise",
    "krypton_compile/cli/explain_pictures.py": "makes the folder of --output-dir",
    "krypton_compile/compiler/alone.py": "locks of the cache",
    "krypton_compile/compiler/cache.py": "the cache's own folder",
    "krypton_compile/compiler/entries.py": "likewise",
    "krypton_compile/compiler/private.py": "likewise",
    "krypton_compile/compiler/remembered.py": "likewise",
    "krypton_compile/compiler/trace.py": "the trace's own folder, whose files are deleted and made by the writer",
    "krypton_compile/files/loading.py": "onnx reads what the reader has looked at",
    "krypton_compile/from_torch/export.py": "the null device",
    "krypton_compile/opening.py": "a temporary folder of its own",
    "krypton_compile/ort/library.py": "what the processor can do",
    "krypton_compile/ort/plain_session.py": "temporary files of its own",
    "krypton_compile/ort/shared_object.py": "the package's own library",
    "passes/frontend/check_model.py": "likewise",
    "runtime/engine/cores.py": "what the kernel says of processors",
    "runtime/maps/figure.py": "draws into memory",
    "runtime/maps/save.py": "saves into memory",
    "runtime/sweep/original_model.py": "onnx reads what the reader has looked at",
    "runtime/tuning/plot.py": "draws into memory",
}
SAYS = {
    "krypton_compile/captum/progress.py": "in a notebook, where there is no command",
    "krypton_compile/cli/entry.py": "flushes what the commands have said",
    "krypton_compile/cli/options.py": "argparse's own text",
    "runtime/sweep/progress.py": "the progress bar",
}


def calls(text: str) -> Iterator[tuple[str, str]]:
    """Yield the functions that Python source calls by their last name, and what they are called on."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id, ""
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr, ast.unparse(node.func.value)


def opened(text: str) -> set[str]:
    """Name what Python source calls that opens, makes, moves or deletes a file."""
    found = set()
    for name, of in calls(text):
        if (name == "open" and not of) or (of and name in OPENING and not is_harmless(name, of)):
            found.add(f"{of}.{name}")
    return found


def is_harmless(name: str, of: str) -> bool:
    """Tell methods of the same names that are not about files: of texts, lists, arrays and sessions."""
    last = of.rpartition(".")[2]
    if name in {"copy", "remove"}:
        return of not in ("os", "shutil")
    if name == "replace":
        return not (of in ("os", "shutil") or last in ("path", "temporary", "folder", "file"))
    if name == "load":
        return of not in ("np", "numpy", "onnx")
    return (name, last) in {("open", "origin"), ("open", "_origin")}


def said(text: str) -> set[str]:
    """Name the ways to print that Python source uses."""
    tree = ast.parse(text)
    names = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    names |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys"
    }
    return names & SAYING


def modules() -> dict[str, str]:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in paths}


def test_files_are_opened_by_the_doors_alone() -> None:
    found = {name: opened(text) for name, text in modules().items() if not name.startswith("krypton_compile/disk/")}
    wrong = {name: names for name, names in found.items() if names and name not in OPENS}
    assert not wrong
    assert not {name for name in OPENS if not found.get(name)}, "exceptions that are not needed"


def test_commands_print_through_one_module() -> None:
    door = "krypton_compile/cli/frame/terminal.py"
    found = {name: said(text) for name, text in modules().items() if name != door}
    wrong = {name: names for name, names in found.items() if names and name not in SAYS}
    assert not wrong
    assert not {name for name in SAYS if not found.get(name)}, "exceptions that are not needed"


@pytest.mark.parametrize(
    "text",
    [
        "open(name, 'w')",
        "path.write_text('x')",
        "Image.open(name)",
        "figure.savefig(name)",
        "np.save(name, array)",
        "os.replace(a, b)",
        "temporary.replace(path)",
        "onnx.load_model(path)",
    ],
)
def test_each_way_to_open_one_is_seen(text: str) -> None:
    assert opened(text)


@pytest.mark.parametrize("text", ["print(1)", "sys.stdout.write('x')", "f(file=sys.stderr)"])
def test_each_way_to_print_is_seen(text: str) -> None:
    assert said(text)
