"""A request: built once, by one function, from the same words everywhere."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from krypton_compile.errors import OcclusionError
from krypton_compile.runtime import Approximation, DrillDown, OcclusionSession, Request, Thresholds
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.sweep.explain import explain, explain_one_size

NAMES = [field.name for field in fields(Request)]


@pytest.mark.parametrize("method", ["explain", "iter_explain", "explain_progressively", "estimate"])
def test_the_ways_of_asking_take_the_fields_of_a_request(method):
    parameters = inspect.signature(getattr(OcclusionSession, method)).parameters
    assert [name for name in parameters if name in NAMES] == sorted(NAMES, key=list(parameters).index)
    assert set(parameters) - set(NAMES) == {"self", "image"} | ({"check", "progress"} if method == "explain" else set())
    for field in fields(Request):
        assert parameters[field.name].default == field.default
    positional = [name for name, one in parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert positional[:6] == ["self", "image", "patch_size", "stride", "baseline", "target"]


def test_a_request_is_a_value():
    request = Request(8, 4, patch_sizes=None, target="cat")
    assert request == Request(patch_size=8, stride=4, target="cat")
    assert replace(request, edge="shift").edge == "shift"
    with pytest.raises(FrozenInstanceError):
        request.stride = 2
    with pytest.raises(OcclusionError, match="edge"):
        replace(request, edge="wrap")
    assert (request.sizes, request.several) == ((8,), False)
    assert (Request(patch_sizes=[4, (8, 6)]).sizes, Request(patch_sizes=[4]).several) == ((4, (8, 6)), True)
    assert (Request().windows_at_once, Request(batch_size=np.int64(3)).windows_at_once) == (None, 3)


def test_a_list_of_sizes_names_the_new_way(session, image):
    for ask in (session.explain, session.iter_explain, session.explain_progressively, session.estimate):
        with pytest.raises(OcclusionError, match=r"given as patch_sizes=\[6, 8\].*tuple, patch_size=\(6, 8\)"):
            ask(image, [6, 8], 3)
    for sizes in ([], 8, "8"):
        with pytest.raises(OcclusionError, match=r"patch_sizes .*expected a list of sizes"):
            Request(patch_sizes=sizes)


def test_a_tuple_is_one_window_and_several_sizes_have_a_name_of_their_own(session, image):
    one = session.explain(image, (6, 8), 3)
    assert one.windows.patch == (6, 8)
    for sizes in ([6, 8], (6, 8)):
        several = session.explain(image, patch_sizes=sizes, stride=3)
        assert [part.windows.patch for part in several.parts] == [(6, 6), (8, 8)]
    with pytest.raises(OcclusionError, match="expected one size"):
        explain_one_size(session.scorer, image, Request(patch_sizes=[6, 8]))


def test_a_request_put_to_a_scorer_is_what_the_session_answers(session, image):
    request = Request((6, 5), 3, 0.25, target=2, edge="shift", activation="pre")
    expected = session.explain(image, (6, 5), 3, 0.25, 2, edge="shift", activation="pre")
    np.testing.assert_array_equal(explain(session.scorer, image, request).scores, expected.scores)
    np.testing.assert_array_equal(explain(session.scorer, image=image, request=request).heatmap(), expected.heatmap())
    for chunk in session.iter_explain(
        image=image, patch_size=(6, 5), stride=3, baseline=0.25, edge="shift", activation="pre"
    ):
        np.testing.assert_array_equal(chunk.scores, expected.scores.reshape(-1, 5)[chunk.index])


@pytest.mark.parametrize("left_out", [{"sampling": Sampling(share=0.5)}, {"drill_down": DrillDown()}])
def test_what_scores_every_window_takes_thresholds_alone(session, image, left_out):
    with pytest.raises(OcclusionError, match=r"iter_explain\(\) scores every window"):
        session.iter_explain(image, 6, 3, approximation=Approximation(**left_out))
    with pytest.raises(OcclusionError, match="progressive maps end exact"):
        session.explain_progressively(image, 6, 3, approximation=Approximation(**left_out))
    thresholds = Approximation(tau=0.5, eps=0.05)
    expected = session.explain(image, 6, 3, approximation=thresholds, check=False).scores.reshape(-1, 5)
    for chunk in session.iter_explain(image, 6, 3, approximation=thresholds):
        np.testing.assert_array_equal(chunk.scores, expected[chunk.index])


def test_a_bound_as_text_is_what_settings_for_it_are(session, image):
    """Wherever an Approximation is taken."""
    text = " ssim >= 0.9"
    chosen = session.settings_for("ssim>=0.9")
    assert Request(approximation=text).settings == chosen
    found, expected = (session.explain(image, 4, 1, approximation=each) for each in (text, chosen))
    assert found == expected
    assert found.approximation == chosen
    parts = session.explain(image, patch_sizes=[4, 6], stride=1, approximation="rank>=0.9").parts
    assert [str(part.approximation.sampling.bounds[0]) for part in parts] == ["rank>=0.9"] * 2
    assert session.estimate(image, 6, 3, approximation=text).windows == 42
    assert explain(session.scorer, image, Request(4, 1, approximation=text)) == expected
    with pytest.raises(OcclusionError, match=r"iter_explain\(\) scores every window"):
        session.iter_explain(image, 6, 3, approximation=text)
    with pytest.raises(OcclusionError, match="progressive maps end exact"):
        session.explain_progressively(image, 6, 3, approximation=text)
    for wrong in ("ssim>0.9", "ssim<=0.9", "psnr>=0.9", "ssim>=2", "", "exact", None, 0.9, b"ssim>=0.9"):
        with pytest.raises(OcclusionError, match=r"approximation.*(expected|bounded)"):
            session.explain(image, 6, 3, approximation=wrong)


def test_a_bound_as_text_takes_tuned_settings_that_imply_it():
    tuned = Approximation(tau=0.5)
    request = Request(approximation="ssim>=0.9")
    assert request.settled(tuned, ["ssim>=0.95"]).settings == tuned
    assert request.settled(tuned, ["ssim>=0.8"]).settings == request.settings
    assert request.settled(None, ()).settings == request.settings
    by_hand = Request(approximation=Approximation(eps=0.1))
    assert by_hand.settled(tuned, ["ssim>=0.95"]) is by_hand


def test_thresholds_are_one_value_everywhere(session, image):
    thresholds = Thresholds(0.5, [0.02] * 3)
    assert Approximation(0.5, [0.02] * 3).thresholds == thresholds
    assert not thresholds.exact
    assert Thresholds([1, 1], 0).exact
    boxes = session.explain(image, 6, 3).boxes
    expected = session.run(image, boxes, tau=0.5, eps=0.02).scores
    np.testing.assert_array_equal(session.score(session.prepare(image), boxes, thresholds).scores, expected)
    rows = {int(row) for at, _ in session.iter_score(session.prepare(image), boxes, thresholds) for row in at}
    assert rows == set(range(len(boxes)))
    with pytest.raises(OcclusionError, match="precision bfloat16 or None"):
        Thresholds(precision="float16")


def test_a_session_is_described_again_and_not_assigned_to(session, image):
    named = session.described(labels=list("abcde"), preprocessing="unit")
    assert (named.labels, session.labels) == (tuple("abcde"), None)
    assert named.preprocessing.scale == 255
    assert named.scorer.sessions is session.scorer.sessions
    np.testing.assert_array_equal(named.explain(image, 6, 3).scores, session.explain(image, 6, 3).scores)
    assert named.explain(image, 6, 3, target="b").target == 1
    with pytest.raises(OcclusionError, match="3 labels for a model of 5 classes"):
        session.described(labels=list("abc"))
    for name in ("labels", "preprocessing", "precision", "tuned"):
        with pytest.raises(AttributeError, match=r"cannot be set; OcclusionSession.described\(\)"):
            setattr(session, name, None)
