"""Tuning on a small network and random images: the bound is kept, the parts are disjoint, and bad input is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from krypton_compile.cli import explain as explain_cli
from krypton_compile.cli import tune as tune_cli
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.approximation.bounds import Bound, Goal, Quality
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import Approximation, DrillDown, read_settings, write_settings
from krypton_compile.runtime.maps.quality import compare
from krypton_compile.runtime.tuning import screening, search
from krypton_compile.runtime.tuning.replay import Explainer, Sample
from krypton_compile.runtime.tuning.tuner import UnreachableError, clopper_pearson, tune
from tests.support.small import SHAPE

PATCH, STRIDE = (6, 5), (1, 1)


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little to search, in which the clock has no say: on a busy machine no map of a few milliseconds may be faster."""
    monkeypatch.setattr(search, "_SLOWER", np.inf)
    monkeypatch.setattr(screening, "TAUS", (1.0, 0.7, 0.4))
    monkeypatch.setattr(screening, "EPSES", (0.0, 0.01, 0.1))
    monkeypatch.setattr(screening, "DRILL_SHARES", (0.5, 0.1))
    monkeypatch.setattr(screening, "DRILL_STEPS", (2, 4))


def smooth_images(count: int) -> list[np.ndarray]:
    """A bright spot somewhere on a dim plane."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: SHAPE[2], : SHAPE[3]]
    images = []
    for _ in range(count):
        spot = np.exp(-((y - rng.uniform(4, 16)) ** 2 + (x - rng.uniform(4, 20)) ** 2) / 12)
        images.append((3 * spot[None] * rng.uniform(0.5, 1, (3, 1, 1)) + 0.2)[None].astype(np.float32))
    return images


def samples(count: int) -> list[Sample]:
    images = smooth_images(count)
    return [Sample(f"image {i}", image, np.zeros_like(image)) for i, image in enumerate(images)]


@pytest.mark.usefixtures("few_candidates")
def test_the_bound_is_kept_and_the_parts_are_disjoint(session: OcclusionSession) -> None:
    given = samples(7)
    bounds = [Bound("ssim", 0.8)]
    found = tune(session, given, Goal(tuple(bounds)), patch_size=PATCH, stride=STRIDE)
    assert not found.chosen.exact
    assert len(found.tuning_images) == 4
    assert sorted(found.tuning_images + found.check_images) == sorted(sample.name for sample in given)
    kept = 0
    for sample in given:
        exact, fast = (
            session.explain(sample.image, PATCH, STRIDE, sample.baseline, approximation=one).heatmap()
            for one in (Approximation(), found.chosen)
        )
        holds = bounds[0].holds(compare(exact, fast))
        kept += holds and sample.name in found.check_images
        assert holds or sample.name in found.check_images
    assert found.kept == kept
    assert found.interval == clopper_pearson(kept, 3, 0.95)
    assert found.tuning_quality.ssim >= 0.8
    assert any(one.confirmed and one.approximation == found.chosen for one in found.curve)
    assert found.baseline is not None


@pytest.mark.usefixtures("few_candidates")
def test_a_share_of_the_images_may_be_kept(session: OcclusionSession) -> None:
    given, bounds = samples(8), [Bound("ssim", 0.9)]
    strict = tune(session, given, Goal(tuple(bounds)), patch_size=PATCH, stride=STRIDE)
    loose = tune(session, given, Goal(tuple(bounds), 0.5), patch_size=PATCH, stride=STRIDE)
    assert (strict.broken, strict.goal.keep) == (0, 1.0)
    assert loose.broken <= 2
    assert loose.tuning_quality.ssim <= strict.tuning_quality.ssim + 1e-6


def test_a_goal_counts_the_images_that_may_break_it() -> None:
    goal = Goal((Bound("ssim", 0.9), Bound("error", 0.2)), 0.75)
    qualities = [Quality(ssim, 1, 1, 1, error) for ssim, error in ((0.95, 0.1), (0.91, 0.3), (0.92, 0.1), (0.99, 0.19))]
    assert [goal.breakable(images) for images in (1, 3, 4, 8)] == [0, 0, 1, 2]
    assert [goal.holds(one) for one in qualities] == [True, False, True, True]
    assert goal.slack(qualities) == pytest.approx(0.01)
    assert Goal(goal.bounds).slack(qualities) == pytest.approx(-0.1)


def test_what_is_hopeless_is_not_played(session: OcclusionSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once thresholds break the bound, stronger ones are left out; tau alone is kept, to fit the parabola."""
    monkeypatch.setattr(screening, "TAUS", (1.0, 0.5, 0.1))
    monkeypatch.setattr(screening, "EPSES", (0.0, 0.3, 0.9))
    explain = Explainer(session.scorer, PATCH, STRIDE)
    given = samples(1)
    exact = {given[0].name: explain(given[0], Approximation())}
    screened = screening.Screening(explain, exact, Goal((Bound("ssim", 0.999),)))
    screened.screen(given, lambda _: None)
    played = {(one.tau, one.eps) for one in screened.plays}
    assert {(1.0, 0.0), (0.5, 0.0), (0.1, 0.0), (1.0, 0.3)} <= played
    assert not {(1.0, 0.9), (0.1, 0.9)} & played


@pytest.mark.usefixtures("few_candidates")
def test_a_single_image_is_not_checked(session: OcclusionSession) -> None:
    found = tune(session, samples(1), Goal((Bound("ssim", 0.5),)), patch_size=PATCH, stride=STRIDE)
    assert found.check_images == ()
    assert found.check_quality is None
    assert found.interval == (0.0, 1.0)


@pytest.mark.usefixtures("few_candidates")
def test_a_bound_out_of_reach_names_the_best(session: OcclusionSession) -> None:
    noise = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    goal = Goal((Bound("ssim", 0.999999),))
    with pytest.raises(UnreachableError) as caught:
        tune(session, [Sample("a", noise, 0 * noise)], goal, patch_size=PATCH, stride=STRIDE)
    assert 0 < caught.value.best.ssim < 0.999999


def test_bad_arguments_are_refused(session: OcclusionSession) -> None:
    for given, bounds, confidence in (([], [Bound("ssim", 0.9)], 0.95), (samples(1), [], 0.95),
                                      (samples(1), [Bound("ssim", 0.9)], 1.0)):  # fmt: skip
        with pytest.raises(OcclusionError, match="tuning"):
            tune(session, given, Goal(tuple(bounds)), confidence=confidence)
    with pytest.raises(OcclusionError, match="share of images"):
        tune(session, samples(1), Goal((Bound("ssim", 0.9),), keep=0))


@pytest.mark.parametrize(
    ("kept", "count", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (29, 30, 0.8278, 0.9992), (0, 0, 0.0, 1.0)],
)
def test_clopper_pearson_is_that_of_the_tables(kept: int, count: int, low: float, high: float) -> None:
    assert clopper_pearson(kept, count, 0.95) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    "setting",
    [
        Approximation(),
        Approximation(0.5, (0.1, 0.2)),
        Approximation(1.0, 0.0, DrillDown(0.1, (8, 16), (32, 32))),
        Approximation(0.9, 0.1, sampling=Sampling(share=0.3)),
        Approximation(precision="bfloat16"),
        Approximation(sampling=Sampling(None, (Bound("ssim", 0.9), Bound("error", 0.2)), 1.25, (0.01, 0.0), 6)),
    ],
)
def test_settings_survive_json(setting: Approximation) -> None:
    assert read_settings(json.loads(json.dumps(write_settings(setting)))) == setting


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    names = []
    for index, image in enumerate(smooth_images(3)):
        pixels = np.clip(image[0].transpose(1, 2, 0) * 80, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(f"{index}.png")
        names.append(f"{index}.png")
    return names


OPTIONS = ("--patch-size", "6x5", "--stride", "1", "--scale", "80", "--threads", "1")


@pytest.mark.usefixtures("few_candidates")
def test_the_command_stores_what_explain_then_uses(compiled, pictures, capsys) -> None:
    before = compiled.read_bytes()
    tuned = Path("tuned.onnx")
    assert tune_cli.main([str(compiled), *pictures, "--quality", "ssim>=0.7", "--output", str(tuned), *OPTIONS]) == 0
    out = capsys.readouterr().out
    for text in ("chosen ", "quadratic fit", "check images", "| setting |", "run for real", "tuned.tuning.png"):
        assert text in out
    assert compiled.read_bytes() == before
    with Image.open("tuned.tuning.png") as picture:
        assert picture.format == "PNG"
    session = OcclusionSession(tuned)
    assert session.tuned is not None
    assert session.tuning.bounds == ("ssim>=0.7",)
    assert len(session.tuning.tuning_images) == 2
    assert len(session.tuning.check_images[0]) == 64
    assert explain_cli.main([str(tuned), pictures[0], "--quality", "ssim>=0.7", *OPTIONS]) == 0
    out = capsys.readouterr().out
    assert session.tuned.describe() in out
    assert "tuned for patch" not in out
    image = np.zeros(SHAPE, np.float32)
    untouched, itself = (OcclusionSession(path).run(image, [[0, 0, 6, 5]], 1.0).scores for path in (compiled, tuned))
    np.testing.assert_array_equal(itself, untouched)


@pytest.mark.usefixtures("few_candidates")
def test_tuning_in_place(compiled, pictures, tmp_path, capsys) -> None:
    model = tmp_path / "own.onnx"
    model.write_bytes(compiled.read_bytes())
    for bound in ("ssim>=0.5", "ssim>=0.6"):
        assert tune_cli.main([str(model), *pictures, "--quality", bound, "--in-place", *OPTIONS]) == 0
        assert OcclusionSession(model).tuning.bounds == (bound,)
    keys = [entry.key for entry in onnx.load(model).metadata_props]
    assert len(keys) == len(set(keys))


@pytest.mark.usefixtures("few_candidates")
def test_nothing_is_written_when_the_bound_is_out_of_reach(compiled, pictures, tmp_path, capsys) -> None:
    before = sorted(tmp_path.iterdir())
    assert tune_cli.main([str(compiled), *pictures, "--quality", "ssim>=0.9999999", *OPTIONS]) == 3
    assert "the best found: ssim 0." in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_pictures_need_a_preprocessing(compiled, pictures, capsys) -> None:
    assert tune_cli.main([str(compiled), *pictures, "--quality", "ssim>=0.9"]) == 2
    assert "give --preprocess imagenet|unit|tf|caffe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["0.png", "--quality", "ssim>=2"], "between 0 and 1"),
        (["0.png", "--quality", "psnr>=0.9"], "expected MEASURE>=VALUE"),
        (["0.png"], "required: --quality"),
        (["--quality", "ssim>=0.9"], "required: images"),
        (["none.png", "--quality", "ssim>=0.9"], "none.png"),
        (["0.png", "--quality", "ssim>=0.9", "--confidence", "1"], "confidence"),
        (["0.png", "--quality", "ssim>=0.9", "--keep", "1.5"], "--keep: '1.5'; expected a share"),
        (["0.png", "--quality", "ssim>=0.9", "--in-place", "--output", "x.onnx"], "--in-place and --output"),
        (["0.png", "--quality", "ssim>=0.9", "--patch-size", "64"], "patch height 64"),
        (["0.png", "--quality", "ssim>=0.9", "--baseline", "pda"], "one that is the same for all windows"),
        (["0.png", "--quality", "ssim>=0.9", "--baseline", "purple"], "expected black, white, gray"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(compiled, pictures, tmp_path, capsys, arguments, message) -> None:
    before = sorted(tmp_path.iterdir())
    try:
        code = tune_cli.main([str(compiled), "--preprocess", "unit", *arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
