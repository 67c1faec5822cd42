"""The check of a compiled model: what it lets pass, and what it does not."""

from __future__ import annotations

import pytest

from krypton_compile import compile
from krypton_compile.errors import VerificationError
from krypton_compile.passes import verify
from tests.support.graphs import ints, parse


@pytest.fixture
def model():
    return parse(
        "c = Conv(x, w0) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = Gemm(f, fw)",
        w0=(8, 3, 3, 3),
        fw=(8, 5),
    )


def off_by(share: float, monkeypatch: pytest.MonkeyPatch, noise: float | None = None) -> None:
    """Compiled models answer so much too much, and onnxruntime differs from itself by ``noise`` if that is given."""
    rows = verify._compiled_rows
    monkeypatch.setattr(verify, "_compiled_rows", lambda *given: rows(*given) * (1 + share))
    if noise is not None:
        monkeypatch.setattr(verify, "_own_noise", lambda *given: noise * abs(given[-1]).max())


def test_a_difference_beyond_the_bound_is_refused(model, monkeypatch):
    off_by(1e-4, monkeypatch)
    with pytest.raises(VerificationError, match="differs from the original"):
        compile(model)


def test_networks_that_amplify_rounding_get_a_bound_of_their_own(model, monkeypatch):
    off_by(1e-4, monkeypatch, noise=5e-5)
    _, report = compile(model)
    assert "amplifies rounding" in report.verification


@pytest.mark.parametrize(("share", "noise"), [(5e-3, 5e-5), (5e-2, 1.0)])
def test_that_bound_has_limits(model, monkeypatch, share, noise):
    off_by(share, monkeypatch, noise)
    with pytest.raises(VerificationError):
        compile(model)


def test_the_noise_is_of_this_model(model):
    """A tame network's own noise is far below the bound, so nothing is gained by it."""
    _, report = compile(model)
    assert "amplifies" not in report.verification


def test_an_image_of_one_colour_is_left_out_where_the_model_has_no_answer() -> None:
    spread = "l = ReduceMin(x, a) u = ReduceMax(x, a) d = Sub(u, l) n = Sub(x, l) z = Div(n, d)"
    rest = "c = Conv(z, w0) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = Gemm(f, fw)"
    model = parse(f"{spread} {rest}", opset=18, a=ints(1, 2, 3), w0=(8, 3, 3, 3), fw=(8, 5))
    _, report = compile(model)
    assert "no finite answer to an image of one colour" in report.verification


def test_a_model_without_any_finite_answer_is_refused() -> None:
    rest = "z = Log(x) c = Conv(z, w0) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = Gemm(f, fw)"
    with pytest.raises(VerificationError, match="not finite"):
        compile(parse(rest, w0=(8, 3, 3, 3), fw=(8, 5)))
