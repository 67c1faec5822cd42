"""krypton-explain on the small network, as the tests of the command run it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from krypton_compile.cli import explain as explain_cli
from krypton_compile.runtime import OcclusionSession, Preprocessing
from tests.support.small import SHAPE

UNIT = Preprocessing(scale=255.0)
SIZE = SHAPE[2:]
LABELS = ["glioma", "meningioma", "no tumour", "pituitary", "something else"]
ENDINGS = ("_heatmap.npy", "_overlay.png", "_result.json")


def run(*arguments, model="small.krypton.onnx"):
    return explain_cli.main([model, "scan.png", "--patch-size", "6", "--stride", "3", *arguments])


def session(**options):
    return OcclusionSession("small.krypton.onnx", **options)


def written(prefix="scan"):
    """The map and the facts."""
    return np.load(f"{prefix}_heatmap.npy"), json.loads(Path(f"{prefix}_result.json").read_text())
