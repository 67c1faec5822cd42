"""``krypton-explain``: what it asks of the session, what it writes and says, and how it refuses bad input.

The session is a stand-in whose scores are known, so these tests need no compiled model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from krypton_compile.errors import KryptonError
from krypton_compile.geometry import occlusion_grid
from krypton_compile.runtime import cli
from krypton_compile.runtime.approximation import EXACT, UNTUNED, Approximation, DrillDown
from krypton_compile.runtime.bounds import parse_bound
from krypton_compile.runtime.explanation import Check
from krypton_compile.runtime.heatmap import accumulate
from krypton_compile.runtime.sampling import Sampling

SIZE = (24, 32)


@dataclass
class FakeSession:
    """Hiding the centre pixel costs class 1 half of its score; the final Softmax's input is ten times that."""

    layout: str = "NCHW"
    calls: list = field(default_factory=list)

    image_size = SIZE
    tuning = None
    tuned = None

    @property
    def image_shape(self):
        return (1, 3, *SIZE) if self.layout == "NCHW" else (1, *SIZE, 3)

    def explain_progressively(self, image, **options):
        for share in (0.2, 1.0):
            found = self.explain(image, approximation=EXACT, progress=None, **options)
            found.scored[: int((1 - share) * len(found.scored))] = False
            found.exact, found.estimated_error = share == 1, 0.0 if share == 1 else 0.05
            found.estimated_quality = {"ssim": 0.876}
            yield found

    def explain(self, image, *, patch_size, stride, baseline, target, progress, approximation=EXACT):
        self.calls.append(
            SimpleNamespace(
                image=image, baseline=baseline, target=target, progress=progress, approximation=approximation
            )
        )
        pair = [n if isinstance(n, tuple) else (n, n) for n in (patch_size, stride)]
        boxes = occlusion_grid(SIZE, *pair)
        y0, x0, h, w = boxes.T
        hit = (y0 <= 12) & (y0 + h > 12) & (x0 <= 16) & (x0 + w > 16)
        columns = len(np.unique(x0))
        one = np.where(hit, 0.4, 0.8).astype(np.float32).reshape(-1, columns)
        scores, base = np.stack([1 - one, one], axis=2), np.array([[0.2, 0.8]], np.float32)
        target = 1 if target is None else target
        if not 0 <= target < 2:
            raise ValueError(f"target {target}; the model has 2 classes, 0 to 1")
        return SimpleNamespace(
            scores=scores,
            base_scores=base,
            logits=10 * scores,
            base_logits=10 * base,
            boxes=boxes,
            target=target,
            patch_size=patch_size,
            stride=stride,
            seconds=0.5,
            precision="float32",
            error=float("nan"),
            changed=float(hit.mean()),
            approximation=approximation,
            exact=approximation.exact,
            scored=np.ones(one.shape, bool),
            estimated_quality={} if approximation.exact else {"ssim": 0.912},
            check=None if approximation.exact else Check(8, 0.25, 0.125, 0.5, 0.75),
            heatmap=lambda: accumulate((base[0, target] - scores[..., target]).ravel(), boxes, SIZE),
        )


@pytest.fixture(autouse=True)
def session(monkeypatch):
    """Every test's compiled model, whatever path it gives."""
    fake = FakeSession()
    monkeypatch.setattr(cli, "OcclusionSession", lambda *_, **__: fake)
    return fake


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory with one picture."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40), (255, 128, 0)).save("scan.png")
    return tmp_path


def run(*arguments):
    return cli.main(["model.onnx", "scan.png", *arguments])


def test_writes_the_map_and_its_picture(session, capsys):
    assert run("--patch-size", "8", "--stride", "4") == 0
    heatmap = np.load("scan_heatmap.npy")
    assert heatmap.dtype == np.float32
    assert heatmap.shape == SIZE
    assert heatmap[12, 16] == pytest.approx(0.4)
    assert heatmap[0, 0] == 0
    with Image.open("scan_overlay.png") as picture:
        assert picture.format == "PNG"
    out, err = capsys.readouterr()
    for text in ("predicted class  1, score 0.8", "5 x 7 = 35", "0.50 s", "88.6 %", "scan_overlay.png"):
        assert text in out
    assert err == ""
    assert session.calls[0].progress is None


def test_preprocessing_and_baseline_reach_the_session(session):
    assert run("--preset", "tensorflow", "--baseline", "gray", "--target", "0") == 0
    call = session.calls[0]
    np.testing.assert_allclose(call.image[0, :, 0, 0], [1, 128 / 127.5 - 1, -1], atol=1e-6)
    np.testing.assert_allclose(call.baseline, np.full((1, 3, *SIZE), 128 / 127.5 - 1), atol=1e-6)
    assert call.target == 0


def test_options_win_over_the_preset(session):
    session.layout = "NHWC"
    assert run("--preset", "imagenet", "--mean", "1,2,3", "--std", "2", "--scale", "1", "--bgr") == 0
    np.testing.assert_allclose(session.calls[0].image[0, 0, 0], [-0.5, 63, 126], atol=1e-5)


def test_patches_need_not_be_square(folder, capsys):
    assert run("--patch-size", "8x16", "--stride", "4x8", "--output", "out") == 0
    assert "5 x 3 = 15 of 8 x 16 pixels, stride 4 x 8" in capsys.readouterr().out
    assert (folder / "out_heatmap.npy").exists()


def test_logits_give_the_map_before_softmax():
    assert run("--patch-size", "8", "--logits") == 0
    assert np.load("scan_heatmap.npy")[12, 16] == pytest.approx(4.0)


def test_a_map_below_the_error_bound_is_said_to_be(session, capsys):
    assert run("--patch-size", "8") == 0
    assert "below numerical resolution" not in capsys.readouterr().out
    explanation = session.explain(None, patch_size=8, stride=4, baseline=0, target=None, progress=None)
    assert "--logits shows more" in cli.summary(explanation, np.full(SIZE, 1e-4, np.float32))


def test_approximate_settings_by_hand(session, capsys):
    assert run("--tau", "0.5,1", "--eps", "0.01", "--drilldown", "0.25,16x8") == 0
    expected = Approximation((0.5, 1.0), 0.01, DrillDown(0.25, (16, 8)))
    assert session.calls[0].approximation == expected
    out = capsys.readouterr().out
    for text in ("APPROXIMATE", expected.describe(), "8 random windows", "0.25 at most", "50 %", "75 %"):
        assert text in out


def test_approximate_mode_without_tuning_says_what_it_uses(session, capsys):
    assert run("--mode", "approximate") == 0
    assert session.calls[0].approximation == UNTUNED
    assert f"never tuned; uses {UNTUNED.describe()}" in capsys.readouterr().out


def test_approximate_mode_as_tuned(session, capsys):
    session.tuned = Approximation(0.5)
    session.tuning = SimpleNamespace(bounds=("ssim>=0.9", "error<=0.2"), patch_size=(16, 16), stride=(4, 4))
    for arguments in (["--mode", "approximate"], ["--quality", "ssim>=0.85"], ["--quality", "error<=0.2"]):
        assert run(*arguments) == 0
        assert session.calls[-1].approximation == session.tuned
    assert "tuned for patch" not in capsys.readouterr().out
    assert run("--mode", "approximate", "--patch-size", "8") == 0
    assert "tuned for patch 16 x 16, stride 4 x 4" in capsys.readouterr().out
    for stricter in ("ssim>=0.95", "error<=0.1", "rank>=0.5"):
        assert run("--quality", stricter) == 0
        sampling = Sampling(bounds=(parse_bound(stricter),))
        assert session.calls[-1].approximation == Approximation(sampling=sampling)
        out = capsys.readouterr().out
        assert f"tuned for ssim>=0.9, error<=0.2; uses tau 1, eps 0, windows until {stricter} (estimated)" in out
        assert "estimated        ssim about 0.91 to the exact map" in out


def test_a_share_of_the_windows_by_hand(session, capsys):
    assert run("--sample", "0.2", "--eps", "0.001") == 0
    expected = Approximation(eps=0.001, sampling=Sampling(share=0.2))
    assert session.calls[0].approximation == expected
    assert expected.describe() in capsys.readouterr().out


def test_exact_is_the_default(session, capsys):
    assert run() == 0
    assert session.calls[0].approximation == EXACT
    assert "APPROXIMATE" not in capsys.readouterr().out


def test_progressive_maps_are_written_one_after_the_other(folder, capsys):
    assert run("--mode", "progressive", "--patch-size", "8") == 0
    out = capsys.readouterr().out
    assert "error about 0.05, ssim about 0.88" in out
    assert "35 of 35 windows, 0.50 s, exact" in out
    assert np.load("scan_heatmap.npy")[12, 16] == pytest.approx(0.4)


def test_an_interrupted_progressive_run_keeps_its_last_map(session, monkeypatch, capsys):
    maps = session.explain_progressively

    def one_map_then_interrupt(image, **options):
        yield next(maps(image, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "explain_progressively", one_map_then_interrupt)
    assert run("--mode", "progressive", "--patch-size", "8") == 130
    assert "the last map stays" in capsys.readouterr().err
    assert np.load("scan_heatmap.npy").shape == SIZE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patch-size", "64"], "patch height 64 exceeds the image's height 24"),
        (["--stride", "0"], "stride 0"),
        (["--patch-size", "big"], "'big'; expected a number of pixels or HEIGHTxWIDTH"),
        (["--patch-size", "1x2x3"], "expected a number of pixels or HEIGHTxWIDTH"),
        (["--baseline", "300"], "between 0 and 255"),
        (["--baseline", "purple"], "expected black, gray or"),
        (["--target", "7"], "target 7; the model has 2 classes"),
        (["--std", "0"], "other than 0"),
        (["--mean", "a,b"], "one number, or several with commas"),
        (["--mode", "exact", "--tau", "0.5"], "--mode exact leaves nothing out"),
        (["--mode", "progressive", "--eps", "0.1"], "--mode progressive leaves nothing out"),
        (["--quality", "ssim>=0.9", "--eps", "0.1"], "--quality chooses the settings"),
        (["--sample", "0"], "expected a share above 0"),
        (["--sample", "0.1", "--drilldown", "0.25,16"], "a drill-down or sampling, found both"),
        (["--quality", "good"], "expected MEASURE>=VALUE"),
        (["--drilldown", "0.25"], "expected R,STRIDE"),
        (["--drilldown", "2,16"], "expected R,STRIDE"),
        (["--mode", "fast"], "invalid choice"),
        (["--mean", "1,2"], "mean has 2 numbers"),
        (["--short-side", "20"], "crop"),
        (["--output", "missing/out"], "missing is no directory"),
        (["--output", "."], "expected a directory and the start of a file name"),
        (["--preset", "caffe"], "invalid choice: 'caffe'"),
        (["--wrong"], "unrecognized arguments: --wrong"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(folder, capsys, arguments, message):
    try:
        code = run(*arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert [path.name for path in folder.iterdir()] == ["scan.png"]


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_bad_images(folder, capsys, content):
    if content is None:
        (folder / "scan.png").unlink()
    else:
        (folder / "scan.png").write_bytes(content)
    before = sorted(folder.iterdir())
    assert run() == 2
    assert "scan.png" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_errors_of_ours_keep_their_words_on_one_line(monkeypatch, capsys):
    def refuse(*_, **__):
        raise KryptonError("model.onnx is no compiled model;\n  compile it with krypton-compile")

    monkeypatch.setattr(cli, "OcclusionSession", refuse)
    assert run() == 2
    expected = "krypton-explain: error: model.onnx is no compiled model; compile it with krypton-compile\n"
    assert capsys.readouterr().err == expected


def test_the_input_is_never_overwritten(folder, capsys):
    (folder / "scan.png").rename(folder / "scan_overlay.png")
    before = (folder / "scan_overlay.png").read_bytes()
    assert cli.main(["model.onnx", "scan_overlay.png", "--output", "scan"]) == 2
    assert (folder / "scan_overlay.png").read_bytes() == before
    assert "choose another prefix" in capsys.readouterr().err
