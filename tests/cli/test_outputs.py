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
from krypton_compile.files.metadata import read_metadata
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


def state(folder):
    kinds = {path.name: path.lstat() for path in folder.iterdir()}
    return {name: (status.st_mode, status.st_ino, status.st_mtime_ns) for name, status in kinds.items()}


@pytest.mark.parametrize("place", ["pipe", "null", "missing/x", "loop", "notes.onnx/x"])
@pytest.mark.parametrize(
    ("main", "line", "option"),
    [
        (compile_cli.main, ["small.onnx"], "--output"),
        (compile_cli.main, ["small.onnx"], "--report"),
        (tune_cli.main, TUNE, "--output"),
    ],
)
def test_a_place_that_is_no_file_is_refused_with_its_option_before_the_work(
    folder, capsys, monkeypatch, main, line, option, place
):
    """A device is not replaced, even by root; nothing is compiled or tuned first."""
    os.mkfifo("pipe")
    Path("null").symlink_to(os.devnull)
    Path("loop").symlink_to("loop")
    before = state(folder)
    for work in ("krypton_compile.compiler.pipeline.compile", "krypton_compile.cli.tune_model.tune"):
        monkeypatch.setattr(work, lambda *_, **__: pytest.fail("worked before the place was proved"))
    assert main([*line, option, place]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"error: {option}: {place}: " in err
    assert state(folder) == before
    assert Path(os.devnull).is_char_device()


def test_the_name_of_a_device_is_no_start_of_names(folder, capsys):
    assert explain_cli.main(["small.krypton.onnx", "scan.png", "--output", os.devnull]) == 2
    assert "--output /dev/null: expected the start of file names, found a device" in capsys.readouterr().err


@pytest.mark.usefixtures("worth_tuning")
def test_a_link_stays_a_link_in_place(folder):
    Path("link.krypton.onnx").symlink_to("small.krypton.onnx")
    line = ["link.krypton.onnx", *TUNE[1:], "--patch-size", "6", "--stride", "12", "--in-place"]
    before = Path("small.krypton.onnx").read_bytes()
    assert tune_cli.main(line) == 0
    assert Path("link.krypton.onnx").is_symlink()
    assert Path("small.krypton.onnx").read_bytes() != before
    assert "krypton.tuning" in read_metadata("small.krypton.onnx")


def test_a_model_is_kept_where_its_picture_cannot_be_written(folder, capsys):
    """It was changed before, and the exit code said that nothing went well."""
    Path("small.krypton.tuning.png").mkdir()
    before = Path("small.krypton.onnx").read_bytes()
    assert tune_cli.main([*TUNE, "--in-place"]) == 2
    assert "small.krypton.tuning.png is a folder" in capsys.readouterr().err
    assert Path("small.krypton.onnx").read_bytes() == before


def test_no_folder_is_made_for_nothing(folder):
    assert explain_cli.main(["small.krypton.onnx", "scan.png", "--patch-size", "64", "--output-dir", "maps/deep"]) == 2
    assert not Path("maps").exists()
    assert explain_cli.main(["small.krypton.onnx", "scan.png", "--plan", "--output-dir", "maps"]) == 0
    assert not Path("maps").exists()


def test_an_input_in_the_folder_of_a_trace_is_not_deleted(folder, capsys):
    assert compile_cli.main(["small.onnx", "--trace", "trace"]) == 0
    capsys.readouterr()
    first = sorted(Path("trace").glob("*.onnx"))[0]
    assert compile_cli.main([str(first), "-o", "new.onnx", "--trace", "trace"]) == 2
    assert "an input" in capsys.readouterr().err
    assert first.exists()


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


@pytest.mark.usefixtures("worth_tuning")
def test_what_tuning_writes_is_named(folder, capsys):
    Image.open("scan.png").rotate(90).save("other.png")
    before = set(folder.iterdir())
    assert tune_cli.main([*TUNE[:2], "other.png", *TUNE[2:], "--patch-size", "6", "--stride", "6"]) == 0
    written = {path.name for path in set(folder.iterdir()) - before}
    assert written == {"small.krypton.tuned.onnx", "small.krypton.tuned.tuning.png"}
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "written          small.krypton.tuned.onnx, small.krypton.tuned.tuning.png"
