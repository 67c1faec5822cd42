"""Images far from their range: results say so, for the image that shows it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from krypton_compile import OcclusionSession, compile
from krypton_compile.contract.exactness import SELF_CHECK_BOUND
from krypton_compile.contract.preprocessing import PRESETS
from krypton_compile.runtime.engine.input_range import describe_excess
from krypton_compile.runtime.engine.self_check import measure_error
from tests.support.graphs import parse


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten convolutions with biases: an image in its range leaves their scale, one that is too large does not."""
    layers = [
        f"c{i} = Conv<pads=[1,1,1,1]>({f'r{i - 1}' if i else 'x'}, w{i}, b{i}) r{i} = Relu(c{i})" for i in range(10)
    ]
    body = " ".join([*layers, "g = GlobalAveragePool(r9) f = Flatten(g) y = Gemm(f, z)"])
    weights: dict[str, object] = {f"w{i}": (8, 8 if i else 3, 3, 3) for i in range(10)} | {"z": (8, 5)}
    weights |= {f"b{i}": np.full(8, 0.1, np.float32) for i in range(10)}
    path = tmp_path_factory.mktemp("range") / "deep.krypton.onnx"
    compile(parse(body, image="float[N,3,32,32] x", **weights), path)
    return path


def picture(times: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, times, (1, 3, 32, 32)).astype(np.float32)


def test_an_image_in_its_range_warns_of_nothing(deep: Path) -> None:
    session = OcclusionSession(deep, threads=1, preprocessing="unit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert session.explain(picture(1), 16, 8).error <= SELF_CHECK_BOUND


def test_an_image_far_from_it_says_how_far(deep: Path) -> None:
    session = OcclusionSession(deep, threads=1, preprocessing="unit")
    expected = (
        r"This image reaches from 0 to 9[.0-9]*e\+05, the model's preprocessing makes pictures reach from 0 to 1\."
    )
    with pytest.warns(UserWarning, match=expected):
        explanation = session.explain(picture(1e6), 32, 32)
    assert explanation.error > SELF_CHECK_BOUND


def test_windows_far_below_the_base_are_measured_by_their_own_size() -> None:
    base, expected = np.array([1e5, 0], np.float32), np.array([[1, 0], [1e5, 0]], np.float32)
    found = expected + np.array([[1e-3, 0], [1e-2, 0]], np.float32)
    assert measure_error(found, expected, base) < 1e-6
    assert measure_error(found, expected, base, "This image is too large.") == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("name", [*PRESETS, None])
def test_every_picture_is_in_its_range(name: str | None) -> None:
    recipe = None if name is None else PRESETS[name]
    pixels = np.random.default_rng(1).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    made = pixels if recipe is None else recipe.normalise(pixels)
    assert describe_excess(made, recipe) == ""
    assert "reaches from" in describe_excess(made * 1000, recipe)
