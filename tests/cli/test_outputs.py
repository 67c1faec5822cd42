"""No command writes over what it reads, or over a file that is none of its own; what it writes, it names."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import onnx
import pytest
from PIL import Image

from krypton_compile.cli import compile as compile_cli
from krypton_compile.cli import explain as explain_cli
from krypton_compile.cli import tune as tune_cli
from tests.support.explaining import ENDINGS, LABELS
from tests.support.small import small_model

pytestmark = pytest.mark.usefixtures("folder")
TUNE = ["small.krypton.onnx", "scan.png", "--quality", "ssim>=0.1"]


@pytest.fixture(autouse=True)
def _inputs(folder):
    Path("labels.txt").write_text("\n".join(LABELS))
    onnx.save_model(small_model(), "outside.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    os.link("small.onnx", "linked.onnx")
    Path("symbolic.onnx").symlink_to("small.onnx")
    Path("folder.onnx").mkdir()
    Path("notes.onnx").write_text("not a model")
    shutil.copy("scan.png", "x_overlay.png")
    shutil.copy("labels.txt", "y_result.json")


@pytest.mark.parametrize(
    ("main", "line", "message"),
    [
        (compile_cli.main, ["small.onnx", "-o", "small.onnx"], "small.onnx would overwrite an input"),
        (compile_cli.main, ["small.onnx", "-o", "linked.onnx"], "linked.onnx would overwrite an input, small.onnx"),
        (compile_cli.main, ["symbolic.onnx", "-o", "./small.onnx"], "would overwrite an input, symbolic.onnx"),
        (compile_cli.main, ["outside.onnx", "-o", "weights.bin"], "weights.bin would overwrite an input"),
        (compile_cli.main, ["small.onnx", "--labels", "labels.txt", "-o", "labels.txt"], "overwrite an input"),
        (compile_cli.main, ["small.onnx", "--report", "small.onnx"], "choose another file with --report"),
        (compile_cli.main, ["small.onnx", "-o", "new.onnx", "--report", "new.onnx"], "would overwrite another output"),
        (compile_cli.main, ["small.onnx", "-o", "folder.onnx"], "folder.onnx is a folder; choose a file with --output"),
        (compile_cli.main, ["small.onnx", "-o", "notes.onnx"], "notes.onnx exists and is no compiled model"),
        (compile_cli.main, ["small.onnx", "-o", "outside.onnx"], "outside.onnx exists and is no compiled model"),
        (tune_cli.main, [*TUNE, "--output", "small.onnx"], "small.onnx exists and is no compiled model"),
        (tune_cli.main, [*TUNE, "--output", "small.krypton.onnx"], "would overwrite an input, small.krypton.onnx"),
        (tune_cli.main, [*TUNE, "--output", "scan.png"], "scan.png would overwrite an input"),
        (
            explain_cli.main,
            ["small.krypton.onnx", "x_overlay.png", "--output", "x"],
            "x_overlay.png would overwrite an input",
        ),
        (
            explain_cli.main,
            ["small.krypton.onnx", "scan.png", "--labels", "y_result.json", "--output", "y"],
            "y_result.json would overwrite an input",
        ),
    ],
)
def test_an_input_is_not_written_over(folder, capsys, main, line, message):
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(line) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_compiled_file_is_replaced_and_all_that_is_written_is_named(folder, capsys):
    before = set(folder.iterdir())
    earlier = " (in place of an earlier one)"
    for said in ("wrote new.onnx, r.json, trace\n", f"wrote new.onnx{earlier}, r.json{earlier}, trace\n"):
        assert compile_cli.main(["small.onnx", "-o", "new.onnx", "--report", "r.json", "--trace", "trace"]) == 0
        assert said in capsys.readouterr().out
    assert {path.name for path in set(folder.iterdir()) - before} == {"new.onnx", "r.json", "trace"}


@pytest.mark.parametrize("mode", ["exact", "progressive"])
def test_maps_in_place_of_earlier_ones_are_said_to_be(folder, capsys, mode):
    for more in ("", " (in place of an earlier one)"):
        line = ["small.krypton.onnx", "scan.png", "--stride", "9", "--output", "o", "--mode", mode]
        assert explain_cli.main(line) == 0
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("written")]
        assert len(said) == 1
        assert all(f"o{ending}{more}" in said[0] for ending in ENDINGS)
        assert ("earlier" in said[0]) == bool(more)


def test_a_full_disk_is_named(folder, capsys, monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    before = set(folder.iterdir())
    try:
        assert compile_cli.main(["small.onnx", "-o", "new.onnx"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    err = capsys.readouterr().err
    assert "File too large" in err
    assert "new.onnx" in err
    assert set(folder.iterdir()) == before


def test_what_tuning_writes_is_named(folder, capsys):
    Image.open("scan.png").rotate(90).save("other.png")
    before = set(folder.iterdir())
    assert tune_cli.main([*TUNE[:2], "other.png", *TUNE[2:], "--patch-size", "6", "--stride", "6"]) == 0
    written = {path.name for path in set(folder.iterdir()) - before}
    assert written == {"small.krypton.tuned.onnx", "small.krypton.tuned.tuning.png"}
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "written          small.krypton.tuned.onnx, small.krypton.tuned.tuning.png"
