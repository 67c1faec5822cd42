"""A working directory with the small network and a picture."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest
from PIL import Image

from krypton_compile import compile
from tests.support.explaining import LABELS, UNIT
from tests.support.small import small_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The small network: plain, compiled, and compiled with preprocessing and labels stored."""
    folder = tmp_path_factory.mktemp("models")
    onnx.save(small_model(), folder / "small.onnx")
    compile(folder / "small.onnx", folder / "bare.krypton.onnx")
    compile(folder / "small.onnx", folder / "small.krypton.onnx", preprocessing=UNIT, labels=LABELS)
    return folder


@pytest.fixture
def folder(tmp_path, models, monkeypatch):
    """A working directory with one picture and the models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "cache"))
    for path in models.iterdir():
        shutil.copy(path, tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    Image.fromarray(pixels).resize((36, 30), Image.Resampling.NEAREST).save("scan.png")
    return tmp_path
