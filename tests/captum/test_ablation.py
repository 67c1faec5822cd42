"""FeatureAblation against Captum's own: masks of every shape, several inputs, dtypes, Futures."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
reference = pytest.importorskip("captum.attr")

from torch import nn  # noqa: E402

from krypton_compile.captum import FeatureAblation  # noqa: E402
from krypton_compile.captum import ablation as ablation_module  # noqa: E402
from tests.support.captum_maps import SHAPE, check, make_images, make_net, make_numbers  # noqa: E402

NET = make_net()
GENERATOR = torch.Generator().manual_seed(0)


def squares(size: int) -> torch.Tensor:
    rows, columns = torch.arange(SHAPE[1]) // size, torch.arange(SHAPE[2]) // size
    return (rows[:, None] * 100 + columns)[None, None]


def scattered(*shape: int) -> torch.Tensor:
    return torch.randint(0, 7, shape, generator=GENERATOR)


MASKS = {
    "squares": squares(9),
    "squares without the first axis": squares(9)[0],
    "squares alone": squares(9)[0, 0],
    "channels": torch.tensor([4, 2, 2]).reshape(1, 3, 1, 1),
    "scattered": scattered(1, 1, 28, 36),
    "scattered a channel": scattered(1, 3, 28, 36),
    "of each image": scattered(2, 3, 28, 36),
    "all": torch.zeros(1, 1, 1, 1, dtype=torch.int64),
    "numbers below zero": squares(12) - 150,
}


@pytest.fixture(scope="module")
def ablation():
    return FeatureAblation(NET)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("baseline", [None, 0.5, make_images(seed=8)], ids=["zero", "number", "tensor"])
def test_masks(ablation, name, baseline):
    at_once = 8 if MASKS[name].dim() == 4 else 1  # Captum takes masks of a lower rank one by one alone
    options = {"feature_mask": MASKS[name], "baselines": baseline, "target": [1, 3], "perturbations_per_eval": at_once}
    images = make_images(2)
    if name == "all":  # one number for the whole map, which varies by nothing
        found, expected = (each.attribute(images, **options) for each in (ablation, reference.FeatureAblation(NET)))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    else:
        check(ablation, images, **options)


def test_each_element_is_a_feature_of_its_own():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)).eval()
    check(FeatureAblation(net), make_numbers(2, 2, 7, 8), target=1)


def test_parts_of_many_features_are_the_same(ablation, monkeypatch):
    whole = ablation.attribute(make_images(), feature_mask=squares(4), target=1)
    monkeypatch.setattr(ablation_module, "_PIXELS", 100)
    parts = ablation.attribute(make_images(), feature_mask=squares(4), target=1)
    assert torch.equal(whole, parts)


def test_results_have_the_outputs_dtype():
    found = check(FeatureAblation(make_net().double()), make_images().double(), target=1, feature_mask=squares(9))
    assert found.dtype == torch.float64


def test_signals_and_volumes():
    torch.manual_seed(0)
    signals = nn.Sequential(
        nn.Conv1d(2, 6, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 4)
    ).eval()
    mask = (torch.arange(64) // 5).reshape(1, 1, 64)
    check(FeatureAblation(signals), make_numbers(2, 2, 64), target=1, feature_mask=mask)
    volumes = nn.Sequential(
        nn.Conv3d(1, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 4)
    ).eval()
    check(FeatureAblation(volumes), make_numbers(1, 1, 6, 7, 8), target=1, feature_mask=scattered(1, 1, 6, 7, 8))


def test_several_inputs():
    known = make_numbers(2, 5)
    ablation = FeatureAblation(lambda x, y: NET(x) * y)
    masks = (squares(12), 10_000 + torch.tensor([[0, 1, 2, 3, 3]]))
    check(ablation, (make_images(2), known), target=1, feature_mask=masks)
    together = (squares(12), torch.tensor([[0, 1, 2, 200, 3]]))
    with pytest.warns(UserWarning, match="hides parts of several inputs at once"):
        check(ablation, (make_images(2), known), target=1, feature_mask=together)
    pictures = FeatureAblation(lambda x, y: NET(x) + NET(y))
    with pytest.warns(UserWarning, match="hides parts of several inputs at once") as warned:
        pictures.attribute((make_images(), make_images()), target=1, feature_mask=(squares(12), squares(12)))
    assert len(warned) == 1


def test_what_captum_refuses_is_refused_alike(ablation):
    for mask, message in (
        (squares(9)[..., :-1], r"expected a tensor like the inputs.*found \[1, 1, 28, 35\]"),
        ((squares(9), squares(9)), "expected one for each of 1 inputs, found 2"),
        ("slic", "expected a tensor of integers, found str"),
    ):
        with pytest.raises(AssertionError, match=message):
            ablation.attribute(make_images(), feature_mask=mask, target=1)


def test_futures():
    def later(x):
        future = torch.futures.Future()
        future.set_result(NET(x))
        return future

    options = {"feature_mask": squares(9), "target": 1}
    expected = reference.FeatureAblation(later).attribute_future(make_images(), **options).wait()
    future = FeatureAblation(later).attribute_future(make_images(), **options)
    assert isinstance(future, torch.futures.Future)
    torch.testing.assert_close(future.wait(), expected, rtol=0, atol=1e-5)
    with pytest.raises(AssertionError, match="expected a Future, found Tensor; use attribute"):
        FeatureAblation(NET).attribute_future(make_images(), **options)


def test_what_captums_class_has(ablation):
    theirs = reference.FeatureAblation(NET)
    assert ablation.use_weights == theirs.use_weights
    assert ablation.get_name() == theirs.get_name() == "Feature Ablation"
