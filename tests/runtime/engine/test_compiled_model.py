"""What a compiled file says of itself, where a release knows less than the one that tuned it."""

from __future__ import annotations

import onnx
import pytest

from krypton_compile import features
from krypton_compile.contract.annotations import TUNING_KEY, TuningAnnotation, write_tuning
from krypton_compile.runtime import Approximation, DrillDown, OcclusionSession
from krypton_compile.runtime.approximation.settings import write_settings


@pytest.fixture
def tuned(compiled, tmp_path):
    """The small network as if it had been tuned to drill down."""
    tuning = TuningAnnotation(
        settings=write_settings(Approximation(tau=0.5, drill_down=DrillDown(0.25, (6, 6)))),
        bounds=("ssim>=0.9",),
        keep=1.0,
        confidence=0.95,
        patch_size=(6, 6),
        stride=(3, 3),
        tuning_images=(),
        check_images=(),
        kept=0,
        interval=(0.0, 1.0),
        exact_seconds=1.0,
        seconds=0.5,
        tuning_quality={},
        check_quality=None,
        curve=(),
    )
    model = onnx.load(str(compiled))
    model.metadata_props.add(key=TUNING_KEY, value=write_tuning(tuning))
    onnx.save(model, tmp_path / "tuned.krypton.onnx")
    return tmp_path / "tuned.krypton.onnx"


def test_a_file_tuned_to_drill_down_opens_without_it(tuned, image, monkeypatch):
    session = OcclusionSession(tuned)
    assert (
        session.settings_for("ssim>=0.9") == session.tuned == Approximation(tau=0.5, drill_down=DrillDown(0.25, (6, 6)))
    )
    monkeypatch.setattr(features, "DRILL_DOWN", False)
    with pytest.warns(UserWarning, match=r"drill down, which this release does not offer; run krypton-tune again"):
        without = OcclusionSession(tuned)
    assert without.tuned is None
    assert without.settings_for("ssim>=0.9").sampling is not None
    assert without.explain(image, 6, 3).exact
