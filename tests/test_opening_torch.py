"""Torch modules open as sessions: exported by an example or a size; what an export cannot hold is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from krypton_compile import open_session
from krypton_compile.errors import ModelError

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "cache"))


def make_net(channels: int = 3, *last: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    body = (nn.Conv2d(channels, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))
    return nn.Sequential(*body, *last).eval()


def check(session, module, image):
    boxes = np.array([[0, 0, 0, 0], [2, 3, 6, 5], [0, 0, *image.shape[2:]]], np.int32)
    hidden = image.repeat(3, 1, 1, 1)
    hidden[1, :, 2:8, 3:8] = 0
    hidden[2] = 0
    with torch.no_grad():
        expected = module(hidden).numpy()
    np.testing.assert_allclose(session.score_boxes(image.numpy(), boxes), expected, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("channels", [1, 3])
def test_modules_are_opened_by_example_or_size(channels):
    net, image = make_net(channels), torch.rand(1, channels, 12, 14)
    for session in (
        open_session(net, image),
        open_session(net, image.numpy(), threads=1),
        open_session(net, example=image.repeat(2, 1, 1, 1)),
        open_session(net, image_size=(12, 14)),
    ):
        check(session, net, image)
        check(pickle.loads(pickle.dumps(session)), net, image)


def test_functions_around_modules_are_opened_too():
    net, image = make_net(), torch.rand(1, 3, 12, 14)
    check(open_session(lambda x: net(x).softmax(1), image), lambda x: net(x).softmax(1), image)
    net = make_net().train()  # without a layer that looks at it
    check(open_session(net, image), net, image)
    assert net.training


def test_what_an_export_cannot_hold_is_refused():
    net, image = make_net(), torch.rand(1, 3, 12, 14)
    with pytest.raises(ModelError, match=r"the module Sequential: expected an image.*image_size=\(224, 224\)"):
        open_session(net)
    with pytest.raises(ModelError, match=r"'5': expected eval mode, found training mode"):
        open_session(nn.Sequential(*net, nn.Dropout()), image)
    with pytest.raises(ModelError, match=r"reads numbers of the image into Python.*torch\.where, or use.*Occlusion"):
        open_session(lambda x: net(x / 255 if x.max() > 1 else x), image)
    with pytest.raises(ModelError, match=r"torch\.onnx\.export failed on the module function"):
        open_session(lambda x: net(x[:, :2]), image)
