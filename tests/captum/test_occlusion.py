"""Maps of krypton_compile.captum against Captum's own, on the same torch modules; and what both refuse."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest

from krypton_compile.errors import OcclusionError
from krypton_compile.opening import open_session
from krypton_compile.runtime import OcclusionSession

torch = pytest.importorskip("torch")
reference = pytest.importorskip("captum.attr")

from torch import nn  # noqa: E402

from krypton_compile.captum import Occlusion, functions  # noqa: E402
from krypton_compile.compiler.cache import cache_folder, compile_cached  # noqa: E402
from krypton_compile.from_torch import export  # noqa: E402
from tests.support.captum_maps import CLASSES, SHAPE, check, make_images, make_net  # noqa: E402


class ChannelsLast(nn.Module):
    """A module that takes [N, H, W, C]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.permute(0, 3, 1, 2))


@pytest.fixture(scope="module")
def net():
    return make_net()


@pytest.fixture(scope="module")
def ours(net):
    return Occlusion(net)


@pytest.fixture(scope="module")
def channels_last(net):
    return Occlusion(ChannelsLast(net).eval())


# Windows and strides along C, H, W; H = 28, W = 36.
WINDOWS = {
    "fits": ((3, 4, 6), (3, 4, 6)),
    "cut off at both edges": ((3, 8, 10), (3, 5, 7)),
    "stride 1": ((3, 5, 7), None),
    "one stride for all axes": ((3, 9, 6), 3),
    "as tall as the image": ((3, 28, 5), (3, 40, 2)),
    "as wide as the image": ((3, 3, 36), (3, 2, 1)),
    "channel by channel": ((1, 7, 9), (1, 4, 5)),
    "two channels at a time": ((2, 7, 9), (1, 4, 5)),
    "two channels, the last ones cut off": ((2, 11, 5), (2, 6, 3)),
    "channels of the whole image": ((1, 28, 36), 1),
    "nested tuples": (((3, 6, 6),), ((3, 3, 3),)),
}
BASELINES = {"zero": None, "number": 0.7, "tensor": make_images(seed=2)}


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("windows", WINDOWS)
def test_maps_are_captums(ours, windows, baseline):
    check(ours, make_images(), *WINDOWS[windows], baselines=BASELINES[baseline], target=1)


def test_each_channel_has_its_own_attribution(ours):
    found = check(ours, make_images(), (2, 7, 9), (1, 4, 5), target=1)[0]
    assert (found[0] != found[1]).any()
    assert (found[1] != found[2]).any()


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("windows", ["cut off at both edges", "channel by channel", "two channels at a time"])
def test_channels_last(channels_last, windows, baseline):
    given = BASELINES[baseline]
    if isinstance(given, torch.Tensor):
        given = given.permute(0, 2, 3, 1)
    shapes, strides = (axes[1:] + axes[:1] for axes in WINDOWS[windows])
    found = check(channels_last, make_images(2).permute(0, 2, 3, 1), shapes, strides, baselines=given, target=[1, 3])
    assert found.shape == (2, 28, 36, 3)


@pytest.mark.parametrize(
    "target",
    [2, (2,), -1, [0, 4, 2], torch.tensor([0, 4, 2]), torch.tensor(3), torch.tensor([[3]]), [(0,), (4,), (2,)], None],
    ids=str,
)
def test_targets(ours, target):
    found = check(ours, make_images(3), (3, 9, 9), (3, 4, 4), target=target)
    assert len(found) == (3 * CLASSES if target is None else 3)


@pytest.mark.parametrize(
    "shape", [(3, *SHAPE), (1, *SHAPE), (3, 3, 1, 1), (1, 3, 1, 1), SHAPE, (1,), ()], ids=str
)  # fmt: skip
def test_baselines_of_every_shape_that_captum_takes(ours, shape):
    baseline = torch.from_numpy(np.random.default_rng(4).standard_normal(shape).astype(np.float32))
    check(ours, make_images(3), (2, 9, 9), (1, 4, 4), baselines=baseline, target=1)
    check(ours, make_images(3), (2, 9, 9), (1, 4, 4), baselines=(baseline,), target=1)


def test_a_tuple_gives_a_tuple(ours):
    check(ours, (make_images(2),), ((3, 9, 9),), ((3, 4, 4),), baselines=(0.5,), target=1)


def test_one_output_needs_no_target():
    check(Occlusion(make_net(5, 1)), make_images(2), (3, 9, 9), (3, 4, 4))


def test_the_modules_own_output_is_explained():
    check(Occlusion(make_net(0, CLASSES, nn.Softmax(dim=1))), make_images(), (3, 9, 9), (3, 4, 4), target=2)


def exported(module):
    function = export.ImageFunction(module, [module], [None], [0])
    return export.export(function, make_images(), [], "the module").model


def test_sessions_and_compiled_files(net, tmp_path):
    onnx.save(exported(net), tmp_path / "net.onnx")
    path, _ = compile_cached(tmp_path / "net.onnx")
    for given in (path, str(path), OcclusionSession(path)):
        check(Occlusion(given), make_images(2), (1, 9, 9), (1, 4, 4), module=net, target=[0, 1])
    with pytest.raises(OcclusionError, match=r"expected \[3, 28, 36\] for each image.*found \[3, 24, 36\]"):
        Occlusion(path).attribute(make_images()[:, :, 4:], (3, 9, 9), target=0)


def test_what_does_not_change_results(ours):
    plain = ours.attribute(make_images(), (3, 9, 9), (3, 4, 4), target=1)
    pixels = make_images().requires_grad_()
    same = ours.attribute(pixels, (3, 9, 9), (3, 4, 4), target=1, perturbations_per_eval=7, show_progress=True)
    assert torch.equal(plain, same)
    assert not same.requires_grad


@pytest.mark.slow
def test_resnet18():
    from models.torch_models import build, textures

    torch.manual_seed(3)
    images = textures(2, 64)
    module = build("resnet18", num_classes=20)
    occlusion = Occlusion(module)
    check(occlusion, images, (3, 16, 12), (3, 9, 7), baselines=0.5, target=[3, 11])
    check(occlusion, images, (1, 16, 16), (1, 16, 16), target=0)


def test_exports_are_quiet_and_made_once_for_each_size(net, monkeypatch, capfd):
    made = []
    real = functions.export
    monkeypatch.setattr(functions, "export", lambda *args: (made.append(args[1].shape), real(*args))[1])
    pooled = nn.Sequential(*list(net)[:5], nn.AdaptiveAvgPool2d(1), *list(net)[5:6], nn.Linear(12, CLASSES)).eval()
    occlusion = Occlusion(pooled)
    small, large = make_images(), torch.cat([make_images(), make_images(seed=7)], dim=2)
    for images in (small, large, small, large):
        check(occlusion, images, (3, 9, 9), (3, 7, 7), target=1)
    assert [tuple(shape[2:]) for shape in made] == [(28, 36), (56, 36)]
    files = set(cache_folder().iterdir())
    check(Occlusion(pooled), small, (3, 9, 9), (3, 7, 7), target=1)
    assert set(cache_folder().iterdir()) == files  # exported again, found compiled
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("change", ["in place", "through .data", "another tensor", "loaded", "a buffer"])
def test_changed_weights_are_noticed(change):
    inner = make_net(9)
    module = nn.Sequential(inner[0], nn.BatchNorm2d(8), *list(inner)[1:]).eval()
    other = nn.Sequential(make_net(10)[0], nn.BatchNorm2d(8), *list(make_net(10))[1:]).eval()
    occlusion = Occlusion(module)
    arguments = (make_images(), (3, 9, 9), (3, 6, 6))
    before = check(occlusion, *arguments, target=1)
    with torch.no_grad():
        if change == "in place":
            module[0].weight.mul_(1.5)
        elif change == "through .data":
            module[0].weight.data.mul_(1.5)
        elif change == "another tensor":
            module[7].weight = nn.Parameter(other[7].weight.clone())
        elif change == "loaded":
            module.load_state_dict(other.state_dict())
        else:
            module[1].running_var.mul_(4)
    after = check(occlusion, *arguments, target=1)
    assert (after - before).abs().max() > 0.1 * before.abs().max()


# Captum raises the same type for these.
SAME = {
    "window larger than the image": ({"sliding_window_shapes": (3, 29, 9)}, "expected 1 to 28 on axis 1"),
    "more channels than there are": ({"sliding_window_shapes": (4, 9, 9)}, "expected 1 to 3 on axis 0"),
    "stride larger than the window": ({"strides": (3, 10, 9)}, "at most the window's 9 on axis 1.*found 10"),
    "stride larger than the channels": ({"sliding_window_shapes": (1, 9, 9), "strides": 2}, "at most the window's 1"),
    "no channels": ({"sliding_window_shapes": (9, 9)}, "expected a tuple of 3"),
    "a list": ({"sliding_window_shapes": [3, 9, 9]}, "expected a tuple of 3"),
    "a stride for each of two axes": ({"strides": (4, 4)}, "expected an integer or a tuple of 3"),
    "another kind of baseline": ({"baselines": "black"}, "expected a number or a tensor, found str"),
    "a target too many": ({"target": [1, 2]}, "expected one for each of 1 images, found 2"),
    "targets as a tensor": ({"target": torch.tensor([1, 2])}, "expected one for each of 1 images, found 2"),
    "a target of two dims": ({"target": (1, 2)}, r"expected at most 1 indices into outputs \[1, 5\]"),
    "a target that is no integer": ({"target": 1.5}, "expected an integer, found 1.5"),
    "a target beyond the last": ({"target": 5}, "target 5: expected one of the model's outputs, 0 to 4"),
    "no windows at once": ({"perturbations_per_eval": 0}, "expected an integer from 1 on, found 0"),
    "no tensor": ({"inputs": np.zeros((1, *SHAPE), np.float32)}, "expected a tensor or a tuple of them, found ndarray"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_captum_refuses_is_refused_alike(ours, net, case):
    change, message = SAME[case]
    asked = {"inputs": make_images(), "sliding_window_shapes": (3, 9, 9), "strides": (3, 4, 4), "target": 0, **change}
    with pytest.raises((AssertionError, IndexError)) as theirs:
        reference.Occlusion(net).attribute(**asked)
    with pytest.raises(theirs.type, match=message):
        ours.attribute(**asked)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"inputs": make_images() / 0}, OcclusionError, "expected finite numbers"),
        ({"strides": 0}, AssertionError, "expected 1 or more on axis 0"),
        ({"baselines": make_images()[:, :2]}, AssertionError, r"expected a tensor like the inputs.*\[1, 2, 28, 36\]"),
        ({"baselines": (0, 0)}, AssertionError, "expected one for the one input, found 2"),
    ],
)
def test_refusals(ours, change, error, message):
    asked = {"inputs": make_images(), "sliding_window_shapes": (3, 9, 9), "strides": (3, 4, 4), "target": 0, **change}
    with pytest.raises(error, match=message):
        ours.attribute(**asked)


def test_a_compiled_file_takes_the_image_alone(net):
    session = Occlusion(open_session(exported(net)))
    windows = {"sliding_window_shapes": (3, 9, 9), "target": 0}
    with pytest.raises(NotImplementedError, match="expected one image input, found 2"):
        session.attribute((make_images(),) * 2, **{**windows, "sliding_window_shapes": ((3, 9, 9),) * 2})
    with pytest.raises(NotImplementedError, match="takes the image alone"):
        session.attribute(make_images(), **windows, additional_forward_args=1)
    with pytest.raises(OcclusionError, match=r"expected \[3, 28, 36\] for each image.*found \[28, 36\]"):
        session.attribute(make_images()[:, 0], (9, 9), target=0)


def test_only_this_module_needs_torch():
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import krypton_compile, krypton_compile.runtime\n"
        "krypton_compile.compile\n"
        "try:\n    import krypton_compile.captum\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "krypton_compile.captum needs torch" in done.stdout
    assert "krypton-compile[torch]" in done.stdout
