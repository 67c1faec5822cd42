"""What commands print, when they end, and which pictures they skip."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from krypton_compile import compile
from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli import explain as explain_cli
from krypton_compile.cli import explain_pictures
from krypton_compile.cli import tune as tune_cli
from krypton_compile.cli.frame.terminal import shown
from krypton_compile.errors import OcclusionError
from tests.support.explaining import UNIT, run
from tests.support.small import small_model

pytestmark = pytest.mark.usefixtures("folder")
FORGED = "cat\x1b[2K\rverified         20 windows\nwritten          all\u202e\x07"


@given(st.text())
def test_what_is_shown_is_one_printable_line_that_says_the_same(text):
    line = shown(text)
    assert line.isprintable()
    assert text.isprintable() <= (line == text)
    assert line.encode("utf-8").decode() == line


def call(program: str, *words: str, **options):
    script = f"import sys; from krypton_compile.cli.entry import {program} as main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", script, *words], check=False, **options)


EXPLAIN = ("small.krypton.onnx", "scan.png", "--patch-size", "6", "--stride", "6")


def test_labels_and_names_cannot_write_lines_of_ours(folder, capsys):
    model = small_model()
    model.graph.node[0].name = FORGED
    compile(model, "forged.krypton.onnx", preprocessing=UNIT, labels=[FORGED] * 5)
    shutil.copy("scan.png", "a\x1b[1mb.png")
    assert explain_cli.main(["forged.krypton.onnx", "a\x1b[1mb.png", "scan.png", *EXPLAIN[2:]]) == 0
    Path("model.onnx").write_bytes(model.SerializeToString())
    assert compile_cli.main(["model.onnx"]) == 0
    assert explain_cli.main(["forged.krypton.onnx", "scan.png", "--target", "x\x1b[1m"]) == 2
    assert explain_cli.main(["forged.krypton.onnx", "none\x1b[1m.png"]) == 1
    out, err = capsys.readouterr()
    assert "\\x1b[2K\\rverified" in out
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert not [line for line in out.split("\n") if line.startswith(("verified", "written          all"))]


@pytest.mark.parametrize("way", ["ascii", "closed", "no room", "broken", "nothing"])
def test_no_stream_ends_a_batch(folder, way):
    shutil.copy("scan.png", "schnitt_ä.png")
    words = [*EXPLAIN[:2], "schnitt_ä.png", *EXPLAIN[2:]]
    options: dict = {"stderr": subprocess.PIPE}
    if way == "ascii":
        options |= {"stdout": subprocess.PIPE, "env": os.environ | {"PYTHONIOENCODING": "ascii:strict"}}
    elif way == "closed":
        options |= {"preexec_fn": lambda: os.close(1)}
    elif way == "no room":
        options |= {"stdout": os.open("/dev/full", os.O_WRONLY)}
    elif way == "broken":
        reading, writing = os.pipe()
        os.close(reading)
        options |= {"stdout": writing}
    else:
        options = {"preexec_fn": lambda: [os.close(number) for number in range(3)]}
    done = call("explain", *words, **options)
    assert (done.returncode, done.stderr or b"") == (0, b"")
    assert Path("scan_result.json").exists()
    assert Path("schnitt_ä_result.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("compile", ("small.onnx", "-o", "new.onnx")),
        ("explain", EXPLAIN),
        ("explain", (*EXPLAIN, "--mode", "progressive")),
        ("tune", ("small.krypton.onnx", "scan.png", "--quality", "ssim>=0.1")),
    ],
)
def test_a_signal_is_one_line_whenever_it_comes(folder, program, words, number):
    """It comes at the first import of the work, which is where an exception would be printed or lost."""
    before = {path.name for path in folder.iterdir()}
    script = f"""
import builtins, os, sys
from krypton_compile.cli.entry import {program} as main
real = builtins.__import__
def ending(name, *arguments):
    if name == "numpy":
        builtins.__import__ = real
        os.kill(os.getpid(), {number})
    return real(name, *arguments)
builtins.__import__ = ending
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    what = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert (done.returncode, done.stderr) == (128 + number, f"krypton-{program}: {what}; nothing was written\n")
    assert {path.name for path in folder.iterdir()} == before


def test_debug_shows_the_traceback_that_users_are_spared(capsys, monkeypatch):
    assert run("--target", "7") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run("--target", "7", "--debug") == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("krypton-explain: error: target 7")

    def surprise(*_):
        raise KeyError("surprise")

    monkeypatch.setattr(explain_pictures, "open_model", surprise)
    assert run() == 70
    what = "error: a mistake of this package (KeyError: 'surprise'); --debug shows where, please report it"
    assert capsys.readouterr().err == f"krypton-explain: {what}\n"


def pictures(count: int) -> list[str]:
    names = [f"p{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(name)
    return names


def test_whatever_a_decoder_raises_skips_the_picture(capsys, monkeypatch):
    real = explain_pictures.read_input

    def failing(path, *arguments):
        if path.name == "p1.png":
            raise SystemError("a decoder's own")
        return real(path, *arguments)

    monkeypatch.setattr(explain_pictures, "read_input", failing)
    assert explain_cli.main(["small.krypton.onnx", *pictures(3), *EXPLAIN[2:]]) == 1
    assert "skipped p1.png: a decoder's own" in capsys.readouterr().err
    assert Path("p2_result.json").exists()


@pytest.mark.parametrize("wrong", [{"p0.png"}, {"p2.png"}, {"p0.png", "p1.png"}])
def test_a_picture_that_cannot_be_explained_ends_no_batch(capsys, monkeypatch, wrong):
    real = explain_pictures._Run.explain

    def failing(self, path, *arguments):
        if path.name in wrong:
            raise OcclusionError("too little structure")
        real(self, path, *arguments)

    monkeypatch.setattr(explain_pictures._Run, "explain", failing)
    names = pictures(4)
    assert explain_cli.main(["small.krypton.onnx", *names, *EXPLAIN[2:]]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == len(wrong)
    assert all(f"skipped {name}: too little structure" in err for name in wrong)
    assert {name for name in names if Path(name.replace(".png", "_result.json")).exists()} == {*names} - wrong


def test_an_option_that_is_wrong_for_all_is_one_line(capsys):
    assert explain_cli.main(["small.krypton.onnx", *pictures(5), "--patch-size", "64"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_full_disk_ends_the_batch(capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(explain_pictures, "write_all", full)
    assert explain_cli.main(["small.krypton.onnx", *pictures(2), *EXPLAIN[2:]]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("worth_tuning")
@pytest.mark.parametrize(
    ("main", "words", "place"),
    [
        (compile_cli.main, ["small.onnx", "-o", "precious"], "precious"),
        (compile_cli.main, ["small.onnx", "-o", "new.onnx", "--report", "precious"], "precious"),
        (explain_cli.main, [*EXPLAIN, "--output", "o"], "o_overlay.png"),
        (explain_cli.main, [*EXPLAIN, "--output", "o"], "o_heatmap.npy"),
        (explain_cli.main, [*EXPLAIN, "--output", "o"], "o_result.json"),
        (tune_cli.main, [*EXPLAIN, "--quality", "ssim>=0.1", "--output", "o.onnx"], "o.tuning.png"),
    ],
)
def test_what_no_earlier_run_has_written_needs_force(capsys, main, words, place):
    Image.new("RGB", (4, 4)).save("precious", "PNG")
    content = Path("precious").read_bytes() if not place.endswith(("npy", "json")) else json.dumps([1]).encode()
    Path(place).write_bytes(content)
    assert main(words) == 2
    assert f"{place} exists and is no" in capsys.readouterr().err
    assert Path(place).read_bytes() == content
    assert main([*words, "--force"]) == 0
    assert main(words) == 0  # it is an earlier one now
    assert Path(place).read_bytes() != content
