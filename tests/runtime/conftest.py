"""Sessions of small networks that several modules of tests explain with."""

from __future__ import annotations

import pytest

from krypton_compile import compile
from krypton_compile.runtime import OcclusionSession, Preprocessing
from tests.support.linear import linear_model
from tests.support.small import small_model


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    path = tmp_path_factory.mktemp("linear") / "linear.krypton.onnx"
    compile(linear_model(), path, labels=["sum", "pixel", "nothing"])
    return OcclusionSession(path, threads=2)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.krypton.onnx"
    compile(small_model(), path, preprocessing=Preprocessing(scale=255.0))
    return OcclusionSession(path, threads=2)
