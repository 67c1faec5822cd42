"""krypton-explain on a small real network: what it writes and what it says."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from PIL import Image

from krypton_compile.cli import explain as explain_cli
from krypton_compile.cli import explain_pictures
from krypton_compile.runtime import OcclusionSession, Preprocessing
from krypton_compile.runtime.approximation import calibration
from krypton_compile.runtime.approximation.bounds import parse_bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import UNTUNED, Approximation, DrillDown
from tests.support.explaining import ENDINGS, LABELS, SIZE, run, session, written

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def settings(monkeypatch):
    """What each explanation is asked to leave out."""
    seen = []
    explain = explain_pictures.explain

    def spy(scorer, image, request, **options):
        seen.append(request.approximation)
        return explain(scorer, image, request, **options)

    monkeypatch.setattr(explain_pictures, "explain", spy)
    return seen


def test_writes_the_map_its_picture_and_the_facts(folder, capsys):
    assert run() == 0
    heatmap, facts = written()
    expected = session().explain("scan.png", 6, 3)
    np.testing.assert_array_equal(heatmap, expected.heatmap())
    with Image.open("scan_overlay.png") as picture:
        assert picture.format == "PNG"
    assert facts["label"] == LABELS[expected.target]
    assert facts["image"] == "scan.png"
    assert facts["patch_size"] == [6, 6]
    out, err = capsys.readouterr()
    for text in (f"predicted class  {expected.target} ({LABELS[expected.target]})", "6 x 7 = 42", "scan_overlay.png"):
        assert text in out
    assert err == ""  # no bar where there is no terminal
    assert sorted(path.name for path in folder.glob("scan_*")) == [f"scan{ending}" for ending in ENDINGS]


OPTIONS = {
    "rectangles": (["--patch-size", "4x8", "--stride", "2x5"], {"patch_size": (4, 8), "stride": (2, 5)}),
    "edge": (["--edge", "shift", "--patch-size", "7"], {"patch_size": 7, "edge": "shift"}),
    "roi": (["--roi", "2,3,9,11"], {"roi": (2, 3, 9, 11)}),
    "baseline": (["--baseline", "10,20,30"], {"baseline": "10,20,30"}),
    "input space": (["--baseline", "-0.5", "--baseline-space", "input"], {"baseline": -0.5, "baseline_space": "input"}),
    "samples": (["--baseline", "pda", "--samples", "2"], {"baseline": "pda", "samples": 2}),
    "target by name": (["--target", "pituitary"], {"target": 3}),
    "target by index": (["--target", "2"], {"target": 2}),
    "score": (["--value", "score"], {"value": "score"}),
    "logits": (["--activation", "pre"], {"activation": "pre"}),
    "segments": (["--segments", "slic:8"], {"segments": "slic:8"}),
    "batch size": (["--batch-size", "3"], {}),
    "sizes": (["--patch-size", "4,6,8x5"], {"patch_sizes": [4, 6, (8, 5)]}),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_options_mean_what_python_means(kind):
    given, options = OPTIONS[kind]
    assert run(*given) == 0
    expected = session().explain("scan.png", **{"patch_size": 6, "stride": 3, **options})
    np.testing.assert_allclose(written()[0], expected.heatmap(), atol=1e-6)


@pytest.mark.parametrize(("reduce", "upsample"), [("sum", None), ("none", "bilinear"), ("none", None)])
def test_other_reductions(reduce, upsample):
    given = [] if upsample is None else ["--upsample", upsample]
    assert run("--reduce", reduce, *given) == 0
    heatmap, facts = written()
    used = upsample or ("nearest" if reduce == "none" else None)
    np.testing.assert_allclose(
        heatmap, session().explain("scan.png", 6, 3).heatmap(reduce=reduce, upsample=used), atol=1e-6
    )
    assert (facts["reduce"], facts["upsample"]) == (reduce, used)


def test_grids_of_several_sizes_are_upsampled_to_have_a_mean():
    assert run("--patch-size", "6,8", "--reduce", "none") == 0
    expected = session().explain("scan.png", patch_sizes=[6, 8], stride=3).heatmap(reduce="none", upsample="nearest")
    np.testing.assert_allclose(written()[0], expected, atol=1e-6)


def test_all_classes_are_one_array():
    assert run("--target", "all") == 0
    heatmap, facts = written()
    assert heatmap.shape == (5, *SIZE)
    np.testing.assert_allclose(heatmap[2], session().explain("scan.png", 6, 3, target=2).heatmap(), atol=1e-6)
    assert facts["classes"] == [0, 1, 2, 3, 4]


def test_a_plain_model_is_compiled_once(capsys):
    assert run("--preprocess", "unit", model="small.onnx") == 0
    first = capsys.readouterr().out
    assert "compiled into the cache" in first
    assert "remembered       preprocessing for" in first
    assert run(model="small.onnx") == 0
    again = capsys.readouterr().out
    assert "found compiled in the cache" in again
    assert "remembered" not in again
    np.testing.assert_array_equal(written()[0], session().explain("scan.png", 6, 3).heatmap())


def test_what_is_said_once_is_known(capsys):
    before = Path("bare.krypton.onnx").read_bytes()
    assert run(model="bare.krypton.onnx") == 2
    assert "give --preprocess imagenet|unit|tf|caffe" in capsys.readouterr().err
    Path("labels.txt").write_text("\n".join(LABELS))
    assert run("--preprocess", "unit", "--labels", "labels.txt", model="bare.krypton.onnx") == 0
    assert "remembered       preprocessing and labels for bare.krypton.onnx" in capsys.readouterr().out
    assert run("--target", "glioma", model="bare.krypton.onnx") == 0
    assert "remembered" not in capsys.readouterr().out
    assert Path("bare.krypton.onnx").read_bytes() == before
    expected = session().explain("scan.png", 6, 3, target=0).heatmap()
    np.testing.assert_allclose(written()[0], expected, atol=1e-6)


def test_another_preprocessing_wins_for_this_run_and_is_said(capsys):
    before = Path("small.krypton.onnx").read_bytes()
    assert run("--preprocess", "tf") == 0
    assert "the file's own preprocessing is another one" in capsys.readouterr().out
    assert Path("small.krypton.onnx").read_bytes() == before
    other = session(preprocessing=Preprocessing(scale=127.5, mean=(1.0,)))
    np.testing.assert_allclose(written()[0], other.explain("scan.png", 6, 3).heatmap(), atol=1e-6)


def test_an_activation_applied_twice_is_warned_of(capsys):
    assert run("--activation", "softmax") == 0
    assert "note             activation 'softmax'" in capsys.readouterr().out


def test_a_map_below_the_resolution_is_said_to_be(capsys):
    assert run("--baseline", "scan.png") == 0
    out = capsys.readouterr().out
    assert "no window changes the score by more than the numerical resolution; where scores saturate" in out
    assert run() == 0
    assert "numerical resolution" not in capsys.readouterr().out


def test_the_plan_counts_and_stops(folder, capsys):
    assert run("--plan") == 0
    out = capsys.readouterr().out
    assert "plan             42 windows, 42 to score, about" in out
    assert not list(folder.glob("scan_*"))


@pytest.mark.parametrize("original", [[], ["--original", "small.onnx"]])
def test_verification_finds_the_original_beside_the_file(capsys, original):
    assert run("--verify", "5", *original) == 0
    assert "verified         5 random windows on small.onnx differ by" in capsys.readouterr().out
    assert written()[1]["verification"]["largest"] < 1e-5


def test_verification_without_the_original_says_so(capsys):
    Path("small.onnx").write_bytes(b"another file")
    assert run("--verify", "5") == 0
    assert "on the compiled file's base graph" in capsys.readouterr().out


def test_many_pictures_share_a_session_and_bad_ones_are_skipped(folder, capsys, monkeypatch):
    opened = []
    init = OcclusionSession.__init__

    def counting(self, *arguments, **options):
        opened.append(arguments)
        init(self, *arguments, **options)

    monkeypatch.setattr(OcclusionSession, "__init__", counting)
    (folder / "scans").mkdir()
    for name in ("b.png", "a.png"):
        shutil.copy("scan.png", folder / "scans" / name)
    (folder / "scans" / "broken.jpg").write_bytes(b"no picture")
    (folder / "scans" / "notes.txt").write_text("not taken for a picture")
    assert explain_cli.main(["small.krypton.onnx", "scans", "scan.png", "--stride", "9", "--output-dir", "maps"]) == 1
    out, err = capsys.readouterr()
    assert len(opened) == 1
    assert [line.partition(":")[0] for line in out.splitlines()] == ["scans/a.png", "scans/b.png", "scan.png"]
    for name in ("a", "b", "scan"):  # what is written is named
        assert all(f"maps/{name}{ending}" in out for ending in ENDINGS)
    assert err.count("\n") == 1
    assert "skipped scans/broken.jpg" in err
    expected = sorted(f"{name}{ending}" for name in ("a", "b", "scan") for ending in ENDINGS)
    assert sorted(path.name for path in Path("maps").iterdir()) == expected
    # The overlays of an earlier run are no pictures.
    assert explain_cli.main(["small.krypton.onnx", "maps"]) == 2


def test_a_bad_picture_is_told_at_once(folder, capsys, monkeypatch):
    (folder / "bad.png").write_bytes(b"no picture")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(explain_pictures, "explain", interrupt)
    assert explain_cli.main(["small.krypton.onnx", "bad.png", "scan.png"]) == 130
    assert "skipped bad.png" in capsys.readouterr().err


def test_a_failed_run_stores_nothing(capsys):
    before = Path("bare.krypton.onnx").read_bytes()
    Path("labels.txt").write_text("\n".join(LABELS))
    assert run("--preprocess", "unit", "--labels", "labels.txt", "--target", "x", model="bare.krypton.onnx") == 2
    assert Path("bare.krypton.onnx").read_bytes() == before


def test_other_labels_are_said_to_be(capsys):
    Path("labels.txt").write_text("\n".join(reversed(LABELS)))
    assert run("--labels", "labels.txt") == 0
    assert "the file's own list of labels is another one" in capsys.readouterr().out


def test_a_name_that_is_no_text_is_drawn(folder):
    odd = folder / "b\udcff.png"
    shutil.copy("scan.png", odd)
    assert explain_cli.main(["small.krypton.onnx", str(odd), "--stride", "9", "--output", "odd"]) == 0


def test_the_result_says_how_the_picture_became_the_input():
    assert run("--baseline", "-0.5", "--baseline-space", "input") == 0
    facts = written()[1]
    assert facts["preprocessing"]["scale"] == 255
    assert facts["baseline"] == "input -0.5"


def test_a_model_of_four_channels_takes_no_pictures(folder, capsys):
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 17]>
        four (float[N, 4, 20, 24] x) => (float[N, 2] y)
        <float[2, 4, 3, 3] w>
        { c = Conv (x, w)  m = GlobalAveragePool (c)  y = Flatten (m) }
    """)
    weights = np.random.default_rng(0).standard_normal((2, 4, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, "four.onnx")
    assert run("--preprocess", "unit", model="four.onnx") == 2
    assert "its input has 4 channels; pictures have 3" in capsys.readouterr().err


def test_pictures_of_one_stem_keep_their_suffix():
    shutil.copy("scan.png", "scan.bmp")
    assert explain_cli.main(["small.krypton.onnx", "scan.png", "scan.bmp", "--stride", "9"]) == 0
    assert Path("scan_png_overlay.png").exists()
    assert Path("scan_bmp_overlay.png").exists()


def test_approximate_settings_by_hand(settings, capsys):
    assert run("--tau", "0.5,1,1", "--eps", "0.01", "--drilldown", "0.25,6x9") == 0
    expected = Approximation((0.5, 1.0, 1.0), 0.01, DrillDown(0.25, (6, 9)))
    assert settings == [expected]
    out = capsys.readouterr().out
    for text in ("APPROXIMATE", expected.describe(), "8 random windows"):
        assert text in out
    assert written()[1]["exact"] is False
    assert written()[1]["approximation"]["eps"] == 0.01


def test_approximate_mode_without_tuning_says_what_it_uses(settings, capsys):
    assert run("--mode", "approximate") == 0
    assert settings == [UNTUNED]
    assert f"never tuned; uses {UNTUNED.describe()}" in capsys.readouterr().out


def test_approximate_mode_as_tuned(settings, monkeypatch, capsys):
    tuned = Approximation(0.5)
    tuning = SimpleNamespace(bounds=("ssim>=0.9", "error<=0.2"), patch_size=(6, 6), stride=(3, 3))
    monkeypatch.setattr(OcclusionSession, "tuned", tuned)
    monkeypatch.setattr(OcclusionSession, "tuning", tuning)
    for arguments in (["--mode", "approximate"], ["--quality", "ssim>=0.85"], ["--quality", "error<=0.2"]):
        assert run(*arguments) == 0
        assert settings[-1] == tuned
    assert "tuned for patch" not in capsys.readouterr().out
    assert run("--mode", "approximate", "--patch-size", "8") == 0
    assert "tuned for patch 6, stride 3" in capsys.readouterr().out
    monkeypatch.delitem(calibration.TABLE, ("error", 4.0))
    assert run("--quality", "error<=0.1") == 2
    assert "nothing is promised for error of an untuned model" in capsys.readouterr().err
    for stricter in ("ssim>=0.95", "rank>=0.5"):
        assert run("--quality", stricter) == 0
        assert settings[-1] == Approximation(sampling=Sampling(bounds=(parse_bound(stricter),)))
        out = capsys.readouterr().out
        assert f"tuned for ssim>=0.9, error<=0.2; uses tau 1, eps 0, windows until {stricter} (estimated)" in out
        assert "estimated        " in out or "every window     " in out


def test_a_share_of_the_windows_by_hand(settings, capsys):
    assert run("--sample", "0.2", "--eps", "0.001") == 0
    expected = Approximation(eps=0.001, sampling=Sampling(share=0.2))
    assert settings == [expected]
    assert expected.describe() in capsys.readouterr().out


def test_progressive_maps_are_written_one_after_the_other(monkeypatch, capsys):
    monkeypatch.setattr(explain_pictures, "DRAWN_EVERY", 0.0)
    assert run("--mode", "progressive") == 0
    out = capsys.readouterr().out
    assert "first map" in out
    assert "42 of 42 windows" in out
    assert "exact" in out
    np.testing.assert_array_equal(written()[0], session().explain("scan.png", 6, 3).heatmap())


def test_an_interrupted_progressive_run_keeps_its_last_map(monkeypatch, capsys):
    maps = explain_pictures.refine

    def one_map_then_interrupt(scorer, image, request):
        yield next(maps(scorer, image, request))
        raise KeyboardInterrupt

    monkeypatch.setattr(explain_pictures, "refine", one_map_then_interrupt)
    assert run("--mode", "progressive") == 130
    assert "the last map stays" in capsys.readouterr().err
    assert written()[0].shape == SIZE
