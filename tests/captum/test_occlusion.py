"""Maps of krypton_compile.captum against Captum's own, on the same torch modules; and what both refuse."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from krypton_compile.errors import ModelError, OcclusionError
from krypton_compile.runtime import OcclusionSession

torch = pytest.importorskip("torch")
reference = pytest.importorskip("captum.attr")

from torch import nn  # noqa: E402

from krypton_compile.captum import Occlusion, torch_export  # noqa: E402
from krypton_compile.compiler.cache import cache_folder, compile_cached  # noqa: E402

SHAPE = (3, 28, 36)
CLASSES = 5
RANGE_BOUND = 1e-4
"""Of a map's range: how far off a map may be. Differences of scores in float32, hundreds of them summed."""
SCORE_BOUND = 1e-5
"""Of the largest score, whose rounding each difference has: the product's own bound."""
SPREAD = 100
"""By how many tolerances a map must vary, or the comparison would be no test."""


class ChannelsLast(nn.Module):
    """A module that takes [N, H, W, C]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.permute(0, 3, 1, 2))


def make_net(seed: int = 0, classes: int = CLASSES, *last: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12 * 7 * 9, classes),
            *last,
        ).eval()


def make_images(count: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KRYPTON_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def net():
    return make_net()


@pytest.fixture(scope="module")
def ours(net):
    return Occlusion(net)


@pytest.fixture(scope="module")
def channels_last(net):
    return Occlusion(ChannelsLast(net).eval())


def check(occlusion, images, *windows, module=None, **options):
    """Both maps agree, and vary enough for that to mean something; returns ours."""
    module = module or occlusion.forward_func
    expected = reference.Occlusion(module).attribute(images, *windows, perturbations_per_eval=64, **options)
    found = occlusion.attribute(images, *windows, perturbations_per_eval=64, **options)
    assert type(found) is type(expected)
    ours, theirs = (value[0] if isinstance(value, tuple) else value for value in (found, expected))
    assert (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)
    with torch.no_grad():
        score = module(images[0] if isinstance(images, tuple) else images).abs().max()
    for mine, their in zip(ours, theirs, strict=True):
        spread = their.max() - their.min()
        tolerance = max(RANGE_BOUND * spread, SCORE_BOUND * score)
        assert spread > SPREAD * tolerance, f"the map varies by {spread}, tolerance {tolerance}"
        torch.testing.assert_close(mine, their, rtol=0, atol=float(tolerance))
    return ours


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


def test_sessions_and_compiled_files(net, tmp_path):
    torch_export._export(net, make_images(), tmp_path / "net.onnx")
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
    export = torch_export._export
    monkeypatch.setattr(torch_export, "_export", lambda *args: (made.append(args[1].shape), export(*args)))
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


@pytest.mark.parametrize("whole", [True, False])
def test_training_mode_is_refused(whole):
    module = nn.Sequential(nn.Dropout(0.5), make_net()).train(whole)
    module[1].train()
    with pytest.raises(ModelError, match=rf"module '{'Sequential' if whole else '1'}'.*found training mode.*\.eval"):
        Occlusion(module).attribute(make_images(), (3, 9, 9), target=0)


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
    "a target of two dims": ({"target": (1, 2)}, r"expected one index into the outputs \[N, 5\]"),
    "a target that is no integer": ({"target": 1.5}, "expected an integer, found 1.5"),
    "a target beyond the last": ({"target": 5}, "target 5: expected one of the model's outputs, 0 to 4"),
    "no windows at once": ({"perturbations_per_eval": 0}, "expected an integer from 1 on, found 0"),
    "no tensor": ({"inputs": np.zeros((1, *SHAPE), np.float32)}, "expected a tensor or a tuple of one, found ndarray"),
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
        ({"inputs": (make_images(), make_images())}, NotImplementedError, "one image input, found 2"),
        ({"inputs": make_images()[:, 0]}, NotImplementedError, r"found shape \[1, 28, 36\]"),
        ({"inputs": make_images().double()}, OcclusionError, "expected torch.float32, found torch.float64"),
        ({"inputs": make_images() / 0}, OcclusionError, "expected finite numbers"),
        ({"additional_forward_args": 1}, NotImplementedError, "takes the image alone"),
        ({"strides": 0}, AssertionError, "expected 1 or more on axis 0"),
        ({"baselines": make_images()[:, :2]}, AssertionError, r"expected a tensor like the inputs.*\[1, 2, 28, 36\]"),
        ({"baselines": (0, 0)}, AssertionError, "expected one for the one input, found 2"),
    ],
)
def test_refusals(ours, change, error, message):
    asked = {"inputs": make_images(), "sliding_window_shapes": (3, 9, 9), "strides": (3, 4, 4), "target": 0, **change}
    with pytest.raises(error, match=message):
        ours.attribute(**asked)


def test_what_cannot_be_compiled_is_refused(net, monkeypatch):
    def explain(*last):
        return Occlusion(nn.Sequential(net, *last).eval()).attribute(make_images(), (3, 9, 9), target=0)

    with pytest.raises(TypeError, match=r"found function\. Wrap a function in a torch\.nn\.Module"):
        Occlusion(lambda x: x)
    with pytest.raises(NotImplementedError, match=r"expected class scores \[N, K\].*found shape \[1, 5, 1\]"):
        explain(nn.Unflatten(1, (5, 1)))
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ModelError, match=r"failed on the module Sequential: no such operator.*compiled file's path"):
        explain()


def fail(*args, **options):
    raise torch.onnx.OnnxExporterError("no such operator\nand so on")


def test_an_export_that_says_something_else_is_refused(net, monkeypatch):
    export = torch_export._export
    monkeypatch.setattr(torch_export, "_export", lambda module, *rest: export(make_net(11), *rest))
    with pytest.raises(ModelError, match="the export of the module Sequential gives other scores"):
        Occlusion(net).attribute(make_images(), (3, 9, 9), target=0)


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
