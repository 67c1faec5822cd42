"""What Occlusion and FeatureAblation share: which inputs are explained by a session, and which by plain forwards.

an image (a signal, picture or volume)    one session, all other arguments held at their values
any other input                           Captum's own algorithm (plain.py)
what cannot be compiled                   the same, with a warning that says why
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from krypton_compile.captum.arguments import Tensors, read_at_once, read_baselines, read_further, read_inputs
from krypton_compile.captum.compiled import Array, Compiled, DifferentScoresError, Example, Progress
from krypton_compile.captum.functions import TorchFunction
from krypton_compile.captum.plain import Masks, attribute_plainly
from krypton_compile.captum.progress import Shown, shown
from krypton_compile.captum.question import Question, answered, of_example, why_plain
from krypton_compile.errors import ModelError, OcclusionError, VerificationError
from krypton_compile.from_torch.state import State
from krypton_compile.runtime import OcclusionSession

_IMAGE_RANKS = (3, 4, 5)
"""[N, C, L], [N, C, H, W] and [N, C, D, H, W], or channels last."""
_CALLERS = 4
"""How far above a warning the caller of ``attribute`` stands."""


class Features(Protocol):
    """What is hidden, one perturbation after the other."""

    def count(self, places: Sequence[int]) -> int:
        """How many perturbations hide something of the inputs at these places."""

    def masks(self, places: Sequence[int]) -> Iterator[Masks]:
        """What each of them hides."""

    def apart(self, place: int) -> bool:
        """Whether no perturbation hides something of this input and of another one."""

    def maps(self, place: int, example: Example, row: int, progress: Progress | None) -> Array:
        """The attributions [K, ...] of one input of the example at ``row`` of the batch, by a session."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``attribute``, as they were given."""

    inputs: object
    baselines: object
    target: object
    additional_forward_args: object
    perturbations_per_eval: object
    show_progress: object


class Perturbation:
    """Attributes a function's scores to its inputs by hiding parts of them.

    Args:
        forward_func: a module, a function or another callable around modules, which is exported and compiled at the
            first use of an input size and whenever its weights have changed; an OcclusionSession; or the path of a
            compiled file. The first takes seconds and is kept on disk (compiler/cache.py).
        only_compiled: raise an error where an image's function cannot be compiled, in place of a warning and plain
            forward passes.

    Raises:
        TypeError: if ``forward_func`` is something else.
    """

    use_weights = False

    def __init__(
        self,
        forward_func: Callable[..., Any] | OcclusionSession | str | os.PathLike[str],
        *,
        only_compiled: bool = False,
    ) -> None:
        self.forward_func = forward_func
        self.only_compiled = only_compiled
        self._function: TorchFunction | None = None
        self._file: Compiled | None = None
        if isinstance(forward_func, OcclusionSession | str | os.PathLike):
            session = forward_func if isinstance(forward_func, OcclusionSession) else OcclusionSession(forward_func)
            self._file = Compiled(session, "the compiled file")
        elif callable(forward_func):
            self._function = TorchFunction(forward_func)
        else:
            raise TypeError(
                "forward_func: expected a torch.nn.Module, a function around one, an OcclusionSession or the path of a "
                f"compiled file, found {type(forward_func).__name__}"
            )

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions have the scale of the inputs: yes, as for Captum's."""
        return True

    def has_convergence_delta(self) -> bool:
        """Whether there is a measure of convergence: no, as for Captum's."""
        return False

    @classmethod
    def get_name(cls) -> str:
        """The method's name in words, as Captum makes it of the class's."""
        return "".join(char if char.islower() or not at else f" {char}" for at, char in enumerate(cls.__name__))

    def _attribute(self, asked: Arguments, make_features: Callable[[Tensors], Features]) -> Any:
        inputs = read_inputs(asked.inputs)
        features = make_features(inputs)
        further = read_further(asked.additional_forward_args)
        empty = torch.empty(0)
        question = Question(
            inputs,
            read_baselines(asked.baselines, inputs),
            further,
            asked.target,
            read_at_once(asked.perturbations_per_eval),
            empty,
            empty,
        )
        with torch.no_grad(), shown(bool(asked.show_progress), self.get_name().lower()) as progress:
            if self._function is None:
                maps = self._by_file(question, features, progress)
            else:
                maps = self._by_function(self._function, question, features, progress)
        results = tuple(each.to(tensor.device) for each, tensor in zip(maps, inputs, strict=True))
        return results if isinstance(asked.inputs, tuple) else results[0]

    def _by_file(self, question: Question, features: Features, progress: Shown) -> list[torch.Tensor]:
        """All of a compiled file's one input."""
        assert self._file is not None
        session = self._file.session
        if len(question.inputs) != 1:
            raise NotImplementedError(
                f"inputs: expected one image input, found {len(question.inputs)}, and a compiled file takes the image "
                "alone; give the module itself as forward_func"
            )
        if question.further:
            raise NotImplementedError(
                "additional_forward_args: expected None, since a compiled file takes the image alone; give the module "
                "itself as forward_func"
            )
        (images,) = question.inputs
        if tuple(images.shape[1:]) != session.image_shape[1:]:
            raise OcclusionError(
                f"inputs: expected {list(session.image_shape[1:])} for each image, which the model was compiled for, "
                f"found {list(images.shape[1:])}; compile it for that size"
            )
        rows = [session.prepare(_as_numpy(image[None])).base_scores for image in images]
        question = answered(question, torch.from_numpy(np.stack(rows)))
        file = self._file
        return [_explain(question, features, 0, lambda _: (file, None), progress)]

    def _by_function(
        self, function: TorchFunction, question: Question, features: Features, progress: Shown
    ) -> list[torch.Tensor]:
        state = function.state()
        state.require_eval()
        question = answered(question, function(question.inputs, question.further))
        found: dict[int, torch.Tensor] = {}
        plain: dict[str, list[int]] = {}
        for place, tensor in enumerate(question.inputs):
            if tensor.dim() not in _IMAGE_RANKS or not tensor.numel():
                continue
            reason = why_plain(question, state, place)
            if not features.apart(place):
                reason = "the feature mask hides parts of several inputs at once"
            if reason is None:
                try:
                    found[place] = self._by_session(function, question, features, place, state, progress)
                    continue
                except (ModelError, VerificationError) as error:
                    if self.only_compiled:
                        raise
                    reason = str(error)
            if self.only_compiled:
                raise ModelError(f"{function.name}: {reason}")
            plain.setdefault(reason, []).append(place)
        for reason, places in plain.items():
            warnings.warn(
                f"{function.name} is explained by plain forward passes, {features.count(places)} of them, as Captum "
                f"does: {reason}",
                stacklevel=_CALLERS,
            )
        rest = [place for place in range(len(question.inputs)) if place not in found]
        if rest:
            count = features.count(rest)
            masks = features.masks(rest)
            maps = attribute_plainly(function, question, masks, count, self.use_weights, progress.windows)
            found.update((place, maps[place]) for place in rest)
        return [found[place] for place in range(len(question.inputs))]

    def _by_session(
        self,
        function: TorchFunction,
        question: Question,
        features: Features,
        place: int,
        state: State,
        progress: Shown,
    ) -> torch.Tensor:
        """Attributions of an image input; sessions are made anew where the function has changed unnoticed."""
        digest = state.digest()

        def make(row: int) -> tuple[Compiled, Callable[[torch.Tensor], torch.Tensor]]:
            arguments = of_example(question, row)
            given = arguments[place]
            assert isinstance(given, torch.Tensor)

            def of_image(image: torch.Tensor) -> torch.Tensor:
                own = image.reshape(given.shape).to(given.device, given.dtype)
                changed = [*arguments[:place], own, *arguments[place + 1 :]]
                return function.scores_of(changed).reshape(-1).float()

            compiled = function.compiled(place, arguments, state, digest, progress.say)
            if compiled.reads and len(question.inputs[0]) > 1:
                raise ModelError("it reads numbers of all images at once into Python; give one image at a time")
            return compiled, of_image

        try:
            maps = _explain(question, features, place, make, progress)
        except DifferentScoresError as error:
            if not error.before:
                raise
            function.forget()
            maps = _explain(question, features, place, make, progress)
        return maps.float() if self.use_weights else maps.to(question.output.dtype)


def _explain(
    question: Question,
    features: Features,
    place: int,
    make: Callable[[int], tuple[Compiled, Callable[[torch.Tensor], torch.Tensor] | None]],
    progress: Shown,
) -> torch.Tensor:
    """A row for each score that is explained, of the input at ``place``."""
    images, count = question.inputs[place], len(question.inputs[0])
    numbers = question.numbers.reshape(-1).numpy()
    width = question.output.numel() // count
    maps = np.empty((len(numbers), *images.shape[1:]), np.float32)
    expected = question.output.reshape(count, width).detach().float().cpu().numpy()
    baseline = torch.as_tensor(question.baselines[place]).to(torch.float32).broadcast_to(images.shape)
    windows, total = features.count([place]), features.count([place]) * count
    for row in range(count):
        (at,) = np.nonzero(numbers // width == row)
        if not len(at):
            continue
        compiled, of_image = make(row)
        part = None if progress.windows is None else _within(progress.windows, row * windows, total)
        image, hidden = (_full_image(compiled, each[row : row + 1]) for each in (images, baseline))
        example = Example(compiled, image, hidden, expected[row], (numbers[at] % width).tolist(), of_image)
        maps[at] = features.maps(place, example, row, part).reshape(len(at), *images.shape[1:])
    return torch.from_numpy(maps)


def _full_image(compiled: Compiled, tensor: torch.Tensor) -> Array:
    """One image as the runtime holds it.

    Raises:
        ModelError: if the function was compiled with other axes.
    """
    session = compiled.session
    if session.image_shape != tuple(tensor.shape):
        raise ModelError(
            f"{compiled.name} was compiled for inputs {list(session.image_shape)} ({session.layout}), found "
            f"{list(tensor.shape)}"
        )
    return _as_numpy(tensor).reshape(session.scorer.model.full_shape)


def _within(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)


def _as_numpy(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().float().cpu().contiguous().numpy()
    return array
