"""What goes into a function and what comes out: dtypes, ranks, several inputs, further arguments, outputs, targets."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")
reference = pytest.importorskip("captum.attr")

from torch import nn  # noqa: E402

from krypton_compile.captum import FeatureAblation, Occlusion  # noqa: E402
from krypton_compile.errors import ModelError  # noqa: E402
from tests.support.captum_maps import CLASSES, check, make_images, make_net, make_numbers  # noqa: E402

WINDOWS = ((3, 9, 9), (3, 7, 7))
NET = make_net()
OURS = Occlusion(NET)  # one export for all tests of the same function
SCALES = torch.tensor([1.0, 2.0, 3.0])
OF_MORE_AXES = Occlusion(lambda x: NET(x)[:, :4].reshape(-1, 2, 2, 1).expand(-1, 2, 2, 3) * SCALES)
HALF = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).half()


def test_float64():
    net = make_net().double()
    found = check(Occlusion(net), make_images().double(), *WINDOWS, target=1)
    assert found.dtype == torch.float32  # Captum's own, whatever goes in


def test_integers():
    images = (make_numbers(1, 3, 28, 36) * 255).to(torch.uint8)
    occlusion = Occlusion(lambda x: NET(x.float() / 255))
    check(occlusion, images, *WINDOWS, target=1)
    check(occlusion, images, *WINDOWS, target=1, baselines=128)
    with pytest.warns(UserWarning, match=r"plain.*changes its inputs from torch\.uint8"):
        check(occlusion, images, *WINDOWS, target=1, baselines=0.5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bits_are_rounded_as_captum_rounds_them(dtype):
    net, images = make_net().to(dtype), make_images(2).to(dtype)
    expected = reference.Occlusion(net).attribute(images, *WINDOWS, target=[1, 2], perturbations_per_eval=5)
    with pytest.warns(UserWarning, match=r"plain.*computes in 16 bits.*\.float\(\)"):
        found = Occlusion(net).attribute(images, *WINDOWS, target=[1, 2], perturbations_per_eval=5)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "forward",
    [lambda x: NET(x.half().float()), lambda x: NET(x).bfloat16().float(), lambda x: NET(x) * HALF.float()],
    ids=["image", "scores", "weights"],
)
def test_functions_that_round_to_16_bits_inside_are_run_as_they_are(forward):
    expected = reference.Occlusion(forward).attribute(make_images(), *WINDOWS, target=1)
    with pytest.warns(UserWarning, match=r"plain.*computes in 16 bits"):
        assert torch.equal(Occlusion(forward).attribute(make_images(), *WINDOWS, target=1), expected)


@pytest.mark.parametrize(
    ("layers", "shape", "windows"),
    [
        ((nn.Conv1d(2, 6, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1)), (2, 2, 64), ((1, 8), (1, 5))),
        ((nn.Conv1d(2, 6, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1)), (2, 2, 64), ((2, 8), 2)),
        ((nn.Conv3d(2, 6, 3), nn.ReLU(), nn.AdaptiveMaxPool3d(1)), (2, 2, 7, 9, 8), ((2, 3, 4, 4), (1, 2, 3, 4))),
        ((nn.Conv3d(2, 6, 3), nn.ReLU(), nn.AdaptiveMaxPool3d(1)), (2, 2, 7, 9, 8), ((1, 7, 4, 4), (1, 2, 3, 4))),
    ],
)
def test_signals_and_volumes(layers, shape, windows):
    torch.manual_seed(0)
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 4)).eval()
    check(Occlusion(net), make_numbers(*shape), *windows, target=1, baselines=0.5)


def test_rows_of_a_table_are_captums():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(9, 16), nn.Tanh(), nn.Linear(16, 4)).eval()
    for at_once in (1, 4):
        check(Occlusion(net), make_numbers(3, 9), (4,), (2,), target=[0, 1, 2], perturbations_per_eval=at_once)


def test_what_does_not_tell_its_channels_has_them_first():
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    check(Occlusion(flat, only_compiled=True), make_numbers(1, 3, 4, 4), (1, 2, 2), (1, 1, 2), target=1)
    tokens = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Flatten(), nn.Linear(72, 3)).eval()
    check(Occlusion(tokens, only_compiled=True), make_numbers(2, 12, 8), (3, 8), (2, 8), target=1)


def test_no_examples_have_no_attributions():
    assert Occlusion(NET).attribute(make_images()[:0], *WINDOWS, target=1).shape == (0, 3, 28, 36)


class Metadata(nn.Module):
    """A picture, and what is known beside it."""

    def __init__(self, count: int = 2) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body, self.head = make_net(classes=8), nn.Linear(8 + count, 3)

    def forward(self, x: torch.Tensor, *known: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.body(x), *known], 1))


def test_further_arguments():
    net, known = Metadata().eval(), make_numbers(3, 2)
    occlusion = Occlusion(net)
    for given in ((known,), known):
        check(occlusion, make_images(3), *WINDOWS, target=1, additional_forward_args=given)


def test_further_arguments_of_every_type():
    def forward(x, scales, power, name, options, nothing):
        return NET(x) * scales[0] ** power * options[name] + scales[1]

    for scales in (torch.tensor([1.5, 0.5]), torch.tensor([1.5, 0.5, 2.0])):
        given = (scales, 2, "small", {"small": 0.5}, None)
        check(
            Occlusion(forward), make_images(1), *WINDOWS,
            target=1, additional_forward_args=given, perturbations_per_eval=1,
        )  # fmt: skip


def test_several_inputs():
    net, known = Metadata().eval(), make_numbers(2, 2)
    found = check(
        Occlusion(net),
        (make_images(2), known),
        ((2, 9, 9), (1,)),
        ((1, 7, 7), 1),
        target=[1, 2],
        baselines=(0.3, known.mean(0, keepdim=True)),
    )
    assert [tuple(each.shape) for each in found] == [(2, 3, 28, 36), (2, 2)]


def test_several_pictures_and_a_third_input():
    class Siamese(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return NET(left) * weight - NET(right * 0.5)

    pictures = make_images(1), make_images(1, seed=5)
    windows = ((3, 9, 9), (1, 11, 14), (2,))
    check(Occlusion(Siamese().eval()), (*pictures, make_numbers(1, CLASSES)), windows, (7, 1, 1), target=1)


@dataclasses.dataclass
class Output:
    """What Hugging Face's models return, in short."""

    loss: object
    logits: torch.Tensor


OUTPUTS = {
    "a dataclass": lambda scores: Output(None, scores),
    "a dictionary": lambda scores: {"features": scores[:, :2], "logits": scores},
    "a dictionary of one": lambda scores: {"class_head": scores},
    "a tuple": lambda scores: (scores, scores.sum()),
    "a list of a dictionary": lambda scores: [{"scores": scores}],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_scores_are_found_in_what_models_return(name):
    pack = OUTPUTS[name]
    occlusion = Occlusion(lambda x: pack(NET(x)))
    check(occlusion, make_images(2), *WINDOWS, target=[1, 2], module=NET)


def test_what_holds_no_scores_is_refused():
    for found, message in (
        ("text", "found str"),
        ({"a": NET, "b": 1}, "a dict of no tensor"),
        (None, "found NoneType"),
    ):
        with pytest.raises(ModelError, match=message):
            Occlusion(lambda x, found=found: found).attribute(make_images(), *WINDOWS)
    with pytest.raises(ModelError, match=r"a dict of boxes, masks\. Give a function.*lambda x: model"):
        Occlusion(lambda x: {"boxes": x, "masks": x}).attribute(make_images(), *WINDOWS)


def test_one_score_an_image():
    check(Occlusion(lambda x: NET(x)[:, 1]), make_images(2), *WINDOWS)
    check(Occlusion(lambda x: NET(x).logsumexp(1, keepdim=True)), make_images(2), *WINDOWS, target=0)


def test_one_score_for_all():
    check(Occlusion(lambda x: NET(x)[:, 1].sum()), make_images(), *WINDOWS, perturbations_per_eval=1)
    occlusion = Occlusion(lambda x: NET(x)[:, 1].sum())
    with pytest.warns(UserWarning, match="one for all 2 images; give one image at a time"):
        check(occlusion, make_images(2), *WINDOWS, perturbations_per_eval=1)
    with pytest.warns(UserWarning, match="plain"), pytest.raises(AssertionError, match="expected 1, since"):
        occlusion.attribute(make_images(2), *WINDOWS, perturbations_per_eval=2)


def test_numbers_of_python():
    """What is no tensor gives a trace of constants, so every window is run by the function."""
    check(Occlusion(lambda x: NET(x)[0, 1].item()), make_images(), *WINDOWS, perturbations_per_eval=1)


@pytest.mark.parametrize(
    "target",
    [(1, 0, 2), (1, 0), [(1, 1, 2), (0, 0, 1)], [(1, 1), (0, 0)], 1, (slice(0, 2), 1), None, torch.tensor([1])],
    ids=str,
)
def test_targets_of_outputs_with_more_axes(target):
    check(OF_MORE_AXES, make_images(2), *WINDOWS, target=target)


def test_tensors_with_gradients():
    images = make_images().requires_grad_()
    assert not check(OURS, images, *WINDOWS, target=1).requires_grad


def test_memory_formats_and_views():
    images = make_images(2).to(memory_format=torch.channels_last)
    check(OURS, images, *WINDOWS, target=1)
    check(OURS, make_numbers(2, 3, 56, 72)[:, :, ::2, ::2], *WINDOWS, target=1)


@pytest.mark.parametrize("kind", ["smoothgrad", "smoothgrad_sq", "vargrad"])
def test_noise_tunnel_around_it(kind):
    maps = []
    for method in (OURS, reference.Occlusion(NET)):
        torch.manual_seed(4)
        tunnel = reference.NoiseTunnel(method)
        given = {"nt_type": kind, "nt_samples": 3, "stdevs": 0.1, "target": [1, 2]}
        maps.append(tunnel.attribute(make_images(2), **given, sliding_window_shapes=WINDOWS[0], strides=WINDOWS[1]))
    ours, theirs = maps
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * float(theirs.max() - theirs.min()))


def test_what_captums_class_has():
    ours, theirs = Occlusion(NET), reference.Occlusion(NET)
    for name in ("use_weights", "multiplies_by_inputs", "forward_func"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.has_convergence_delta() is theirs.has_convergence_delta() is False
    assert ours.get_name() == theirs.get_name() == "Occlusion"
    with pytest.raises(NotImplementedError, match="attribute_future is not implemented for Occlusion"):
        ours.attribute_future()
    with pytest.raises(AssertionError, match="Future"):
        Occlusion(lambda x: torch.futures.Future()).attribute(make_images(), *WINDOWS)


def test_progress_tells_of_export_and_compilation(capfd):
    net = make_net(21)
    occlusion = Occlusion(net)
    occlusion.attribute(make_images(), *WINDOWS, target=0)
    assert capfd.readouterr() == ("", "")
    occlusion = Occlusion(net)
    occlusion.attribute(make_images(), *WINDOWS, target=0, show_progress=True)
    said = capfd.readouterr()
    assert said.err.splitlines() == [
        "krypton: exporting the module Sequential ...",
        "krypton: compiling the module Sequential ...",
    ]
    assert said.out == ""
    occlusion.attribute(make_images(), *WINDOWS, target=0, show_progress=True)
    assert capfd.readouterr() == ("", "")


class Grey(nn.Module):
    """A module that takes grey pictures without an axis for the channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x.unsqueeze(1))


def test_grey_pictures_without_channels():
    images, mask = make_numbers(2, 12, 14), (torch.arange(12) // 3).reshape(1, 12, 1)
    check(Occlusion(Grey().eval(), only_compiled=True), images, (4, 5), (3, 4), target=1)
    ablation = FeatureAblation(Grey().eval(), only_compiled=True)
    check(ablation, images, target=1, feature_mask=mask)
