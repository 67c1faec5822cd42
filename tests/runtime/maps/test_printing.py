"""How explanations show themselves: one line, a table, and HTML with their picture."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from krypton_compile.runtime import Approximation
from krypton_compile.runtime.approximation.sampling import Sampling

LABELS = ["a", "<b>", "c & d", "e", "f"]


@pytest.fixture(scope="module")
def named(session):
    return session.described(labels=LABELS)


def test_a_table_says_what_there_is_to_know(named, image):
    text = str(named.explain(image, (6, 5), 3, 0.5, target=1))
    facts = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in text.splitlines())
    assert facts["explained"].startswith("<b>, score 0.")
    assert facts["predicted"].split(",")[0] in LABELS
    assert facts["hidden by"] == "input 0.5"
    assert facts["windows"] == "6 x 8 = 48 of 6 x 5 pixels, stride 3 x 3"
    assert facts["result"] == "exact"
    assert re.fullmatch(r"score drop -?[\d.e-]+ to -?[\d.e-]+", facts["under windows"])
    assert re.fullmatch(r"[\d.]+ s", facts["time"])
    assert max(map(len, text.splitlines())) < 120


def test_a_table_says_what_was_left_out(named, image):
    sampled = Approximation(0.5, 0.01, sampling=Sampling(share=0.4))
    text = str(named.explain(image, 6, 2, approximation=sampled))
    assert "approximate: tau 0.5, eps 0.01, 0.4 of the windows; " in text
    assert "the others interpolated; off by " in text
    first = next(named.explain_progressively(image, 6, 2))
    assert "approximate: 1 of 80 windows scored" in str(first)
    several = str(named.explain(image, patch_sizes=[6, 8], stride=3))
    assert "patch 6 " in several
    assert "patch 8 " in several
    assert "result" in several


def test_a_notebook_shows_a_table_and_the_picture(named, image):
    for found in (
        named.explain(image, 6, 3, target=1),
        named.explain(image, patch_sizes=[6, 8], stride=3, target=1),
        named.explain(image, segments=np.arange(480).reshape(20, 24) // 100, target="all"),
    ):
        html = found._repr_html_()
        assert "<b>" not in html
        assert ("&lt;b&gt;" in html) == (found.target == 1)
        (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
        assert base64.b64decode(data).startswith(b"\x89PNG")
        assert "\n" not in repr(found)
