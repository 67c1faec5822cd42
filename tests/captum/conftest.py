"""A cache of compiled files of the tests' own."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KRYPTON_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
