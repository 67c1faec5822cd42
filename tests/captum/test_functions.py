"""Everything that Captum takes as a function: modules in wrappers, functions around them, scripts, guards on data."""

from __future__ import annotations

import functools
import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("captum.attr")

from torch import nn  # noqa: E402

from krypton_compile.captum import Occlusion, functions  # noqa: E402
from krypton_compile.errors import ModelError  # noqa: E402
from krypton_compile.from_torch import reads  # noqa: E402
from tests.support.captum_maps import check, make_images, make_net, make_numbers  # noqa: E402

WINDOWS = ((3, 9, 9), (3, 7, 7))
NET = make_net()
MEAN = make_numbers(1, 3, 1, 1)


class Holder:
    """An object that is no module, and holds one."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.temperature = net, 2.5

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) / self.temperature

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x - MEAN)


class Wrapper(nn.Module):
    """A wrapper that nobody has put into eval mode."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor, twice: bool = False, scale: float = 3.0) -> torch.Tensor:
        return torch.softmax(self.net(x) * (2 if twice else 1) / scale, 1)


@torch.no_grad()
def decorated(x: torch.Tensor) -> torch.Tensor:
    return NET((x - MEAN) / 2)


def with_option(x: torch.Tensor, *, net: nn.Module = NET, power: float = 1.0) -> torch.Tensor:
    return net(x) * power


def around(net):
    return lambda x: net(x) * 2


def around_two(first, last):
    return lambda x: last(first(x))


FUNCTIONS = {
    "a lambda": lambda: lambda x: torch.softmax(NET(x), 1),
    "a closure over two modules": lambda: around_two(NET[:5], NET[5:]),
    "a bound method": lambda: NET.forward,
    "a method of an object": lambda: Holder(NET).scores,
    "an object that is called": lambda: Holder(NET),
    "a partial": lambda: functools.partial(with_option, power=0.5),
    "a decorated function of globals": lambda: decorated,
    "a wrapper whose own flag says training": lambda: Wrapper(NET),
    "a sequential in training mode": lambda: nn.Sequential(nn.Identity(), NET),
    "parallel": lambda: nn.DataParallel(NET),
    "a function around parallel": lambda: around(nn.DataParallel(NET)),
    "a script": lambda: torch.jit.script(NET),
    "a trace": lambda: torch.jit.trace(NET, make_images()),
    "a function around a script": lambda: around(torch.jit.script(NET)),
    "a script's method": lambda: torch.jit.script(NET).forward,
    "a frozen script": lambda: torch.jit.freeze(torch.jit.script(NET)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_explained_as_captum_does(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, which people still have files of
        forward = FUNCTIONS[name]()
    check(Occlusion(forward), make_images(2), *WINDOWS, target=[1, 3])


def test_a_compiled_module_is_the_module():
    check(Occlusion(torch.compile(NET, backend="eager")), make_images(), *WINDOWS, target=1, module=NET)
    check(Occlusion(torch.compile(decorated, backend="eager")), make_images(), *WINDOWS, target=1, module=decorated)


def test_exports_leave_modes_alone():
    wrapper = Wrapper(NET)
    Occlusion(wrapper).attribute(make_images(), *WINDOWS, target=0)
    assert wrapper.training
    assert not any(part.training for part in NET.modules())


class ReadsMode(nn.Module):
    """A module of one's own that looks at its mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, 0.5, self.training)


@pytest.mark.parametrize("last", [nn.Dropout(0.5), nn.BatchNorm1d(5), ReadsMode(), nn.RReLU()], ids=str)
def test_modules_that_behave_otherwise_in_training_are_refused(last):
    module = nn.Sequential(NET, last.train())
    for forward in (module, around(module)):
        with pytest.raises(ModelError, match=r"module '1'.*found training mode.*\.eval"):
            Occlusion(forward).attribute(make_images(), *WINDOWS, target=0)
    last.eval()
    check(Occlusion(around(module)), make_images(), *WINDOWS, target=0)


def test_dropout_of_nothing_may_be_in_training_mode():
    check(Occlusion(nn.Sequential(NET, nn.Dropout(0.0))), make_images(), *WINDOWS, target=0)


SCALE = [2.0]


@pytest.mark.parametrize("change", ["weights", "a global", "a layer"])
def test_what_a_function_depends_on_is_noticed(change, monkeypatch):
    net = make_net(4)
    occlusion = Occlusion(lambda x: net(x) * SCALE[0])
    before = check(occlusion, make_images(), *WINDOWS, target=1)
    if change == "weights":
        net[0].weight.data.mul_(1.5)
    elif change == "a global":
        monkeypatch.setitem(globals(), "SCALE", [5.0])
    else:
        net[1] = nn.Tanh()
    after = check(occlusion, make_images(), *WINDOWS, target=1)
    assert (after - before).abs().max() > 0.1 * before.abs().max()


def test_a_change_that_cannot_be_seen_is_noticed_by_the_scores(monkeypatch):
    hidden = {"scale": 2.0}
    monkeypatch.setattr(functions, "find_state", lambda _: functions.State([NET]))
    occlusion = Occlusion(lambda x: NET(x) * hidden["scale"])
    check(occlusion, make_images(), *WINDOWS, target=1)
    hidden["scale"] = 3.0
    check(occlusion, make_images(), *WINDOWS, target=1)


class Guard(nn.Module):
    """A guard on the range of pixels, as preprocessing often has."""

    def __init__(self) -> None:
        super().__init__()
        self.net = NET

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.max() > 1:
            x = x / 255
        return self.net(x)


@pytest.mark.parametrize("largest", [1, 255])
def test_guards_are_traced(largest):
    check(Occlusion(Guard().eval()), make_numbers(1, 3, 28, 36) * largest, *WINDOWS, target=1)


def test_windows_that_take_another_branch_are_run_by_the_function(monkeypatch):
    """One pixel alone is above the guard's bound: hiding it turns the branch."""
    images = make_numbers(1, 3, 28, 36)
    images[0, 1, 13, 20] = 40.0
    alike, reads_alike = [], reads.reads_alike

    def watched(*arguments):
        alike.append(reads_alike(*arguments))
        return alike[-1]

    monkeypatch.setattr("krypton_compile.captum.compiled.reads_alike", watched)
    occlusion = Occlusion(Guard().eval())
    check(occlusion, images, *WINDOWS, target=1, perturbations_per_eval=1)
    assert 0 < alike.count(False) < len(alike) / 4
    # The same function on an image of the other branch.
    check(occlusion, make_numbers(1, 3, 28, 36), *WINDOWS, target=1, perturbations_per_eval=1)
    check(occlusion, images, *WINDOWS, target=1, perturbations_per_eval=1)


def test_images_that_depend_on_each_other_are_explained_plainly():
    with pytest.warns(UserWarning, match=r"plain forward passes.*give one image at a time"):
        check(Occlusion(Guard().eval()), make_numbers(2, 3, 28, 36), *WINDOWS, target=1)
    with pytest.warns(UserWarning, match=r"plain forward passes.*gives other scores than itself"):
        check(Occlusion(lambda x: NET(x - x.mean(0))), make_images(2), *WINDOWS, target=1, perturbations_per_eval=1)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: NET(x / (1 + x.abs().max().item())),
        lambda x: NET(x) * (1 + float(x.mean() > 0.002)),
        lambda x: NET(x) if x[x > 2].numel() > 30 else NET(-x),
        lambda x: NET(x) * (1 + int(torch.sign(x).sum().tolist() > 50)),
        lambda x: torch.from_numpy(NET(x).detach().numpy() * 2),
    ],
)
def test_numbers_that_a_function_reads_are_those_of_each_window(forward):
    check(Occlusion(forward), make_images(), *WINDOWS, target=1, perturbations_per_eval=1)


def test_what_is_read_is_compared_in_order():
    def forward(x):
        return [bool(x.sum() > 0), x.max().item(), int(x.argmax()), tuple(x.nonzero().shape)]

    x = torch.tensor([0.0, 2.0, 1.0])
    with reads.recorded() as values:
        forward(x)
    assert values == [True, "2.0", 1, (2, 1)]
    assert reads.reads_alike(lambda: forward(x), values)
    assert not reads.reads_alike(lambda: forward(x + 1), values)
    assert not reads.reads_alike(lambda: None, values)
    assert not reads.reads_alike(lambda: [forward(x), x.tolist()], [*values, [0.0]])


def fail(*args, **options):
    raise torch.onnx.OnnxExporterError("no such operator\nand so on")


def test_what_cannot_be_exported_is_explained_plainly_and_says_so(monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.warns(UserWarning, match=r"the module Sequential is explained by plain.*20 of them.*no such operator"):
        check(Occlusion(NET), make_images(), *WINDOWS, target=0)
    with pytest.raises(ModelError, match=r"failed on the module Sequential: OnnxExporterError: no such operator$"):
        Occlusion(NET, only_compiled=True).attribute(make_images(), *WINDOWS, target=0)


def test_what_no_exporter_knows_is_explained_without_a_sound(capfd):
    """The tracing exporter prints its graph from C++."""
    net = make_net(2)
    occlusion = Occlusion(lambda x: torch.special.bessel_j0(net(x) * 20))
    with pytest.warns(UserWarning, match=r"plain.*failed on the function <lambda>.*; and by tracing: "):
        check(occlusion, make_images(), *WINDOWS, target=0)
    assert capfd.readouterr() == ("", "")


def test_an_export_that_says_something_else_is_not_used(monkeypatch):
    export = functions.export
    other = make_net(11)

    def wrong(function, *rest):
        return export(functions.ImageFunction(other, [other], [None], [0]), *rest)

    monkeypatch.setattr(functions, "export", wrong)
    with pytest.warns(UserWarning, match="the export of the module Sequential gives other scores than itself, by"):
        check(Occlusion(NET), make_images(), *WINDOWS, target=0)


def test_an_export_that_is_wrong_behind_a_window_alone_is_not_used(monkeypatch):
    export = functions.export
    images = make_images().clamp(min=0.01)

    class Wrong(nn.Module):
        def forward(self, x):
            return NET(x) * torch.where(x == 0, 2.0, 1.0).amax((1, 2, 3)).reshape(-1, 1)

    def wrong(function, *rest):
        return export(functions.ImageFunction(Wrong(), [NET], [None], [0]), *rest)

    monkeypatch.setattr(functions, "export", wrong)
    with pytest.warns(UserWarning, match="other scores than itself on an occluded image"):
        check(Occlusion(NET), images, *WINDOWS, target=0)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module, a function around one.*found list"):
        Occlusion([NET])
