"""Options that change what is compiled: every command that compiles takes them, and no error advises another one."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import krypton_compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli import explain as explain_cli
from krypton_compile.cli import explain_options, model_options, tune
from krypton_compile.cli import tune as tune_cli
from krypton_compile.compiler.cache import cache_folder
from krypton_compile.opening import Export
from krypton_compile.runtime import OcclusionSession
from tests.support.explaining import run, written

ROOT = Path(krypton_compile.__file__).resolve().parents[1]
PARSERS = {"compile": compile_cli._parser, "explain": explain_options.explain_parser, "tune": tune._parser}
FLAGS = model_options.model_flags()

HEADS = """
    <ir_version: 9, opset_import: ["" : 17]>
    heads (float[N, 3, H, W] left, float[N, 3, 8, 8] right, float[N] age) => (float[N, K] y, float[N, K] z)
    <float[4, 3, 3, 3] w, float[4, 3, 3, 3] v>
    {
        c = Conv <strides = [2, 2]> (left, w)  m = GlobalAveragePool (c)  f = Flatten (m)
        d = Conv (right, v)  n = GlobalAveragePool (d)  g = Flatten (n)
        h = Mul (f, age)  k = Add (h, g)
        y = Relu (k)  z = Neg (k)
    }
"""
"""Two images, a number, two outputs, sizes left open."""
ANSWER = {
    "--input-name": ["--input-name", "left"],
    "--hold": ["--hold", "right=0.25", "--hold", "age=2"],
    "--output-name": ["--output-name", "z"],
    "--image-size": ["--image-size", "20", "24"],
}
ANSWERS = [*(word for words in ANSWER.values() for word in words), "--layout", "NCHW", "--chunk", "7"]


def advised(node: ast.AST) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", ast.unparse(node)))


def texts(path: Path) -> list[ast.AST]:
    """The strings of a module but for its docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    told = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    bare = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)} | told
    return [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr) and node not in bare]


CONVERTERS = {"--saved-model", "--tflite", "--tfjs", "--graphdef", "--output", "--model"}
"""Options of tf2onnx and optimum-cli."""


def options_of(command: str) -> set[str]:
    return {text for action in PARSERS[command]()._actions for text in action.option_strings}


def commands_of(folder: str, option: str) -> tuple[str, ...]:
    """The commands that can end in an error of a folder: all compile; sessions and pictures are explain's and tune's.

    --target is krypton-compile's own: the others choose it by --device. Of converters that a file's kind names, none.
    """
    if folder == "files" and option in CONVERTERS:
        return ()
    if option == "--target":
        return ("compile",)
    if folder == "runtime":
        return ("explain",)
    return ("compile", "explain", "tune")


@pytest.mark.parametrize("folder", ["passes", "compiler", "contract", "files", "ort", "runtime", "opening.py"])
def test_every_option_that_an_error_advises_is_there(folder: str) -> None:
    home = next(at for at in (ROOT / folder, ROOT / "krypton_compile" / folder) if at.exists())
    for path in sorted(home.rglob("*.py")) if home.is_dir() else [home]:
        if path.name == "file_kind.py":  # options of the programs that convert a file
            continue
        for node in texts(path):
            for option in advised(node):
                for command in commands_of(folder, option):
                    assert option in options_of(command), f"{path}:{node.lineno} advises {option}, not of {command}"


def test_the_search_finds_advice() -> None:
    found = {option for node in texts(ROOT / "passes" / "interface.py") for option in advised(node)}
    assert found >= {"--hold", "--output-name"}


@pytest.mark.parametrize("command", PARSERS)
def test_all_commands_take_what_changes_the_compiled_model(command: str) -> None:
    assert set(FLAGS.values()) <= options_of(command)


def test_an_option_is_an_argument_of_compile_and_of_an_export() -> None:
    assert set(FLAGS) <= set(inspect.signature(krypton_compile.compile).parameters)
    assert set(FLAGS) == {field.name for field in dataclasses.fields(Export)}


@pytest.mark.parametrize(("words", "size"), [(["9"], (9,)), (["8", "9"], (8, 9)), (["7", "8", "9"], (7, 8, 9))])
@pytest.mark.parametrize("after", [["--hold", "a=1"], ["model.onnx"], []])
def test_a_size_has_as_many_numbers_as_are_given(words: list[str], size: tuple[int, ...], after: list[str]) -> None:
    line = ["--image-size", *words, *after]
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    model_options.add_model_options(parser, line)
    assert model_options.model_arguments(parser.parse_args(line))["image_size"] == size


def test_nothing_is_passed_on_that_was_not_given() -> None:
    assert model_options.model_arguments(compile_cli._parser().parse_args(["model.onnx"])) == {}


@pytest.fixture
def heads(folder: Path) -> Path:
    model = onnx.parser.parse_model(HEADS)
    rng = np.random.default_rng(0)
    for name in "wv":
        weights = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    onnx.save(model, folder / "heads.onnx")
    return folder / "heads.onnx"


def test_the_remedies_of_errors_work_in_the_command_that_printed_them(heads: Path, capsys) -> None:
    """From a refusal to the next, and to a map that is that of the compiled file."""
    given: dict[str, list[str]] = {}
    while run("--preprocess", "unit", *(word for words in given.values() for word in words), model="heads.onnx"):
        err = capsys.readouterr().err
        option = next((option for option in ANSWER if option in err and option not in given), None)
        assert option is not None, err
        given[option] = ANSWER[option]
    assert len(given) >= 3
    assert run("--preprocess", "unit", *ANSWERS, model="heads.onnx") == 0
    heatmap, _ = written()
    assert compile_cli.main(["heads.onnx", *ANSWERS, "--scale", "255"]) == 0
    expected = OcclusionSession("heads.krypton.onnx").explain("scan.png", 6, 3)
    np.testing.assert_array_equal(heatmap, expected.heatmap())


def test_verification_of_held_inputs_says_what_it_is_against(heads: Path, capsys) -> None:
    assert run("--preprocess", "unit", *ANSWERS, "--verify", "3", model="heads.onnx") == 0
    assert "on the compiled file's base graph (heads.onnx takes right, age too)" in capsys.readouterr().out
    options = [word for word in ANSWERS if word not in ("--output-name", "z")]
    assert compile_cli.main(["heads.onnx", *options, "--output-name", "y", "--scale", "255"]) == 0
    assert run("--verify", "3", model="heads.krypton.onnx") == 0
    assert "(heads.onnx takes right, age too)" in capsys.readouterr().out


def test_the_cache_knows_models_by_their_options(heads: Path) -> None:
    variants = [ANSWERS, [*ANSWERS, "--hold", "age=3"], [*ANSWERS, "--output-name", "y"], [*ANSWERS, "--chunk", "8"]]
    for count, options in enumerate(variants, 1):
        for _ in range(2):
            assert run("--preprocess", "unit", *options, model="heads.onnx") == 0
        assert len(list(cache_folder().glob("*.onnx"))) == count


@pytest.mark.parametrize("options", [["--output-name", "y"], ["--layout", "NCHW", "--hold", "age=1"]])
def test_a_compiled_file_takes_none_of_them(folder: Path, capsys, options: list[str]) -> None:
    named = ", ".join(option for option in ("--layout", "--output-name", "--hold") if option in options)
    tune_line = ["small.krypton.onnx", "scan.png", "--quality", "ssim>=0.9", *options]
    for main, line in (
        (explain_cli.main, ["small.krypton.onnx", "scan.png", *options]),
        (tune_cli.main, tune_line),
    ):
        assert main(line) == 2
        err = capsys.readouterr().err
        assert "small.krypton.onnx is compiled already (it was compiled as NCHW of 20 x 24)" in err
        assert all(flag in err for flag in named.split(", "))


def test_a_compiled_file_is_not_compiled_again(folder: Path, capsys) -> None:
    before = sorted(folder.iterdir())
    assert compile_cli.main(["small.krypton.onnx"]) == 2
    err = capsys.readouterr().err
    assert "small.krypton.onnx: expected a model as it was exported, found one that is compiled already" in err
    assert "krypton-explain" in err
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("worth_tuning")
def test_an_uncompiled_model_is_tuned(folder: Path, capsys) -> None:
    """As its compiled file would be: the options say what is compiled, and the settings go beside the model."""
    rng = np.random.default_rng(0)
    for index in range(3):
        pixels = rng.integers(0, 256, (5, 6, 3), np.uint8)
        Image.fromarray(pixels).resize((24, 20), Image.Resampling.NEAREST).save(f"{index}.png")
    pictures = [f"{index}.png" for index in range(3)]
    line = ["small.onnx", *pictures, "--quality", "ssim>=0.1", "--patch-size", "6", "--stride", "6"]
    assert tune_cli.main([*line, "--preprocess", "unit", "--in-place"]) == 2
    assert "--in-place: small.onnx is not compiled" in capsys.readouterr().err
    assert tune_cli.main([*line, "--preprocess", "unit", "--chunk", "9"]) == 0
    out = capsys.readouterr().out
    assert "small.krypton.tuned.onnx" in out
    session = OcclusionSession("small.krypton.tuned.onnx")
    assert session.tuning is not None
    assert session.annotation.chunk == 9
