"""krypton-explain interrupted, without room on the disk, and asked for what it refuses."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from krypton_compile.cli import explain as explain_cli
from tests.support.explaining import SIZE, run, session, written

pytestmark = pytest.mark.usefixtures("folder")


def test_an_interrupt_leaves_no_half_written_file(folder, monkeypatch, capsys):
    """While the second of three files is written: none of the three appears, an older one stays as it was."""
    older = '{"reduce": "mean", "upsample": null, "base_score": 1}'
    Path("scan_result.json").write_text(older)
    opened = Path.open

    def interrupted(self, mode="r", *arguments, **options):
        if "x" in mode and "heatmap" in self.name:
            raise KeyboardInterrupt
        return opened(self, mode, *arguments, **options)

    before = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(Path, "open", interrupted)
    assert run() == 130
    assert "nothing was written" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before
    assert Path("scan_result.json").read_text() == older


def test_a_full_disk_is_said_and_leaves_nothing(folder, monkeypatch, capsys):
    opened = Path.open

    def full(self, mode="r", *arguments, **options):
        if "x" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, mode, *arguments, **options)

    before = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(Path, "open", full)
    assert run() == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert "scan_overlay.png" in err
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patch-size", "64"], "patch height 64 exceeds the image's height 20"),
        (["--stride", "0"], "--stride: '0'; expected a number of pixels"),
        (["--patch-size", "big"], "'big'; expected a number of pixels or HEIGHTxWIDTH"),
        (["--patch-size", "1x2x3"], "expected a number of pixels or HEIGHTxWIDTH"),
        (["--patch-size", "4,6", "--stride", "1,2,3"], "2 patch sizes and 3 strides"),
        (["--edge", "wrap"], "invalid choice"),
        (["--baseline", "300"], "0 to 255"),
        (["--baseline", "purple"], "expected black, white, gray"),
        (["--baseline", "1,2"], "2 numbers for a model of 3 channels"),
        (["--baseline", "nowhere.png"], "nowhere.png"),
        (["--baseline", "pda", "--samples", "0"], "--samples: '0'; expected a whole number from 1"),
        (["--target", "7"], "expected a class from 0 to 4"),
        (["--target", "glomia"], "glioma"),
        (["--activation", "relu"], "invalid choice"),
        (["--roi", "0,0,99,99"], "roi"),
        (["--roi", "1,2,3"], "expected four pixels"),
        (["--segments", "slic:many"], "slic:N"),
        (["--segments", "nowhere.png"], "nowhere.png"),
        (["--segments", "slic:8", "--patch-size", "4,6"], "expected regions or windows"),
        (["--roi", "0,0,9,9", "--reduce", "none"], "take mean or sum"),
        (["--original", "nowhere.onnx", "--verify", "3"], "no such file"),
        (["--baseline", "blur:inf"], "finitely many"),
        (["--target", "²"], "²"),
        (["--target=--5"], "--5"),
        (["--baseline", "pda", "--segments", "slic:8"], "samples windows, not regions"),
        (["--upsample", "bilinear"], "--upsample bilinear is for the grid of --reduce none"),
        (["--std", "0"], "other than 0"),
        (["--mean", "a,b"], "one number, or several with commas"),
        (["--mode", "exact", "--tau", "0.5"], "--mode exact leaves nothing out"),
        (["--mode", "progressive", "--eps", "0.1"], "--mode progressive leaves nothing out"),
        (["--mode", "progressive", "--patch-size", "4,6"], "--mode progressive takes one patch size"),
        (["--quality", "ssim>=0.9", "--eps", "0.1"], "--quality chooses the settings"),
        (["--segments", "slic:8", "--quality", "ssim>=0.9"], "regions of a label map are no grid"),
        (["--sample", "0"], "expected a share above 0"),
        (["--sample", "0.1", "--drilldown", "0.25,16"], "a drill-down or sampling, found both"),
        (["--quality", "good"], "expected MEASURE>=VALUE"),
        (["--drilldown", "0.25"], "expected R,STRIDE"),
        (["--drilldown", "2,16"], "expected R,STRIDE"),
        (["--mode", "fast"], "invalid choice"),
        (["--mean", "1,2"], "mean has 2 numbers"),
        (["--short-side", "20"], "crop"),
        (["--output", "missing/out"], "--output or --output-dir: missing/out_overlay.png: there is no folder missing"),
        (["--output", "."], "expected a directory and the start of a file name"),
        (["--output", "x", "--output-dir", "y"], "names one picture's results"),
        (["--preprocess", "vgg"], "vgg"),
        (["--layout", "NHWC"], "was compiled as NCHW"),
        (["--labels", "nowhere.txt"], "nowhere.txt"),
        (["--verify", "0"], "--verify: '0'; expected a whole number from 1"),
        (["--batch-size", "0"], "--batch-size: '0'; expected a whole number from 1"),
        (["--threads", "0"], "--threads: '0'; expected a whole number from 1"),
        (["--threads", "1000000000000"], "--threads: '1000000000000'; expected a whole number"),
        (["--baseline", "blur:1e9"], "at most 1000"),
        (["--baseline", "noise:" + "9" * 30], "expected a seed of at most"),
        (["--segments", "slic:" + "9" * 5000], "at most 480, the pixels"),
        (["--wrong"], "unrecognized arguments: --wrong"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(folder, capsys, arguments, message):
    before = sorted(path.name for path in folder.iterdir())
    try:
        code = run(*arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    _, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert [name for name in sorted(path.name for path in folder.iterdir()) if name not in before] == []


def test_labels_of_another_number_are_refused(capsys):
    Path("three.txt").write_text("a\nb\nc\n")
    assert run("--labels", "three.txt") == 2
    err = capsys.readouterr().err
    assert "3" in err
    assert "5" in err


def test_an_unwritable_folder_is_refused_before_any_work(capsys, monkeypatch):
    Path("locked").mkdir()

    def refuse(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert run("--output-dir", "locked") == 2
    assert "--output-dir: locked/scan_overlay.png: Permission denied" in capsys.readouterr().err


PICTURES = {
    "missing": (None, "No such file"),
    "empty": (b"", "cannot be read"),
    "no picture": (b"no picture", "cannot be read"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_bad_pictures_are_skipped_with_exit_code_1(folder, capsys, kind):
    content, message = PICTURES[kind]
    (folder / "scan.png").unlink()
    if content is not None:
        (folder / "scan.png").write_bytes(content)
    assert run() == 1
    err = capsys.readouterr().err
    assert "skipped scan.png" in err
    assert message in err
    assert not list(folder.glob("scan_*"))


@pytest.mark.parametrize(
    ("mode", "message"),
    [("I;16", "8 bits a channel"), ("RGBA", "transparent"), ("F", "8 bits a channel"), ("animated", "frames")],
)
def test_pictures_that_need_a_decision_are_refused_with_it(capsys, mode, message):
    if mode == "animated":
        frames = [Image.new("RGB", (24, 20), (i, 0, 0)) for i in (0, 200)]
        frames[0].save("odd.gif", save_all=True, append_images=frames[1:])
    elif mode == "RGBA":
        Image.new("RGBA", (24, 20), (1, 2, 3, 99)).save("odd.png")
    elif mode == "F":
        Image.fromarray(np.ones((20, 24), np.float32)).save("odd.tif")
    else:
        Image.fromarray(np.full((20, 24), 4000, np.uint16)).save("odd.png")
    name = next(str(path) for path in Path().glob("odd.*"))
    assert explain_cli.main(["small.krypton.onnx", name]) == 1
    assert message in capsys.readouterr().err


def test_grey_pictures_are_pictures(folder):
    grey = np.random.default_rng(2).integers(0, 256, SIZE, np.uint8)
    Image.fromarray(grey).save("scan.png")
    assert run() == 0
    expected = session().explain(np.repeat(grey[..., None], 3, axis=2), 6, 3).heatmap()
    np.testing.assert_array_equal(written()[0], expected)


def test_the_input_is_never_overwritten(folder, capsys):
    (folder / "scan.png").rename(folder / "scan_overlay.png")
    before = (folder / "scan_overlay.png").read_bytes()
    assert explain_cli.main(["small.krypton.onnx", "scan_overlay.png", "--output", "scan"]) == 2
    assert (folder / "scan_overlay.png").read_bytes() == before
    assert "choose another" in capsys.readouterr().err
