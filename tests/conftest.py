"""Options of the test run; the small network compiled, opened, and an image for it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from krypton_compile import compile
from krypton_compile.runtime import OcclusionSession
from tests.support.small import SHAPE, small_model


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also every position of whole networks (about 20 minutes)")


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a shell's background job, and in what that starts
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    skip = pytest.mark.skip(reason="takes minutes; run with --full")
    for item in items:
        if "full" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is remembered of other runs, nor left in the user's cache; fetched models stay where they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))
        yield


@pytest.fixture
def worth_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let settings be chosen that save nothing, as none does of a network of a few layers."""
    monkeypatch.setattr("krypton_compile.runtime.tuning.search._WORTH", np.inf)
    monkeypatch.setattr("krypton_compile.runtime.tuning.search._SLOWER", np.inf)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("session") / "small.krypton.onnx"
    compile(small_model(), path)
    return path


@pytest.fixture(scope="module")
def session(compiled: Path) -> OcclusionSession:
    return OcclusionSession(compiled, threads=2)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
