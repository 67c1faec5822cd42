"""What the commands say of themselves: at once, in sentences, and with the words that the rest of the package knows."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

import pytest

from krypton_compile import features
from krypton_compile.cli import choices, compile, explain_options, tune
from krypton_compile.contract import annotations, geometry, layouts, preprocessing
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime.approximation.settings import Approximation, DrillDown
from krypton_compile.runtime.inputs import occluders, resized
from krypton_compile.runtime.maps import heatmap, score_space
from krypton_compile.runtime.sweep import request
from krypton_compile.runtime.tuning import screening

HOMES = {
    "ACTIVATIONS": score_space.ACTIVATIONS,
    "BASELINE_SPACES": occluders.SPACES,
    "DEVICES": annotations.TARGETS,
    "EDGES": geometry.EDGES,
    "INTERPOLATIONS": tuple(resized.FILTERS),
    "LAYOUTS": layouts.LAYOUTS,
    "REDUCTIONS": heatmap.REDUCTIONS,
    "RESIZE_MODES": preprocessing.RESIZE_MODES,
    "UPSAMPLINGS": heatmap.UPSAMPLINGS,
    "VALUES": request.VALUES,
}


def test_the_words_are_those_of_the_modules_that_mean_something_by_them():
    written = {name: value for name, value in vars(choices).items() if name.isupper()}
    assert {name: set(value) for name, value in written.items()} == {name: set(value) for name, value in HOMES.items()}


PARSERS = {"compile": compile._parser, "explain": explain_options.explain_parser, "tune": tune._parser}


@pytest.mark.parametrize("command", PARSERS)
def test_every_option_says_what_it_does_and_its_default(command):
    for action in PARSERS[command]()._actions:
        assert action.help, action.option_strings
        assert len(action.help.split()) >= 4, action.help
        shown = action.default not in (None, False, argparse.SUPPRESS)
        assert "default:" in action.help or not shown, action.option_strings
        assert not re.search(r"\([\w.]+\)$", action.help), f"{action.help}: a default without the word"


@pytest.mark.parametrize("command", PARSERS)
def test_help_waits_for_no_array_library(command):
    script = f"""
import sys
from krypton_compile.cli import {command}
try:
    {command}.main(["--help"])
except SystemExit as stop:
    assert stop.code == 0
slow = {{"numpy", "onnx", "onnxruntime", "scipy", "PIL"}} & set(sys.modules)
assert not slow, slow
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "default: 4" in done.stdout


def test_a_release_without_drill_down_does_not_offer_it(monkeypatch, capsys):
    drill, tried = DrillDown(0.25, (16, 16)), len(list(screening._drill_downs((4, 4))))
    assert tried == len(screening.DRILL_STEPS) * len(screening.DRILL_SHARES)
    assert "--drilldown" in explain_options.explain_parser().format_help()
    monkeypatch.setattr(features, "DRILL_DOWN", False)
    assert "rill" not in explain_options.explain_parser().format_help()
    with pytest.raises(SystemExit):
        explain_options.explain_parser().parse_args(["model.onnx", "picture.png", "--drilldown", "0.25,16"])
    assert "unrecognized arguments: --drilldown" in capsys.readouterr().err
    with pytest.raises(OcclusionError, match="this release has no drill-down; use sampling"):
        Approximation(drill_down=drill)
    assert not list(screening._drill_downs((4, 4)))
