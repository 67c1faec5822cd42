"""Captum's Occlusion by incremental inference: ``from krypton_compile.captum import Occlusion``.

For an image x, its baseline b and a window w, f the model's own output for the target (no activation is added):

    d_w = f(x) - f(x with b inside w)        attribution[c, y, x] = mean of d_w over the windows that cover (c, y, x)

A window covers a group of channels, all or some. One over some is one over all whose baseline is x in the other
channels; and as each group has the same windows, a channel's attribution is the mean of the maps of the groups with it.
Each of several inputs has its own windows, the other inputs staying as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from krypton_compile.captum.arguments import Tensors, Windows, read_windows
from krypton_compile.captum.attribution import Arguments, Perturbation
from krypton_compile.captum.compiled import Array, Example, Hidden, Progress, drops
from krypton_compile.captum.plain import Masks
from krypton_compile.captum.wrapped import wrapped
from krypton_compile.contract import geometry
from krypton_compile.contract.layouts import channel_axis
from krypton_compile.runtime.maps.heatmap import accumulate
from krypton_compile.runtime.sweep.progress import progress_within

Images = TypeVar("Images", torch.Tensor, tuple[torch.Tensor, ...])


class Occlusion(Perturbation):
    """Takes the place of ``captum.attr.Occlusion``; :class:`Perturbation` documents its arguments."""

    use_weights = True

    @wrapped
    def attribute(
        self,
        inputs: Images,
        sliding_window_shapes: tuple[int, ...] | tuple[tuple[int, ...], ...],
        strides: int | tuple[int, ...] | tuple[int | tuple[int, ...], ...] | None = None,
        baselines: torch.Tensor | float | tuple[torch.Tensor | float, ...] | None = None,
        target: int | tuple[int, ...] | torch.Tensor | list[int] | list[tuple[int, ...]] | None = None,
        additional_forward_args: object = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
    ) -> Images:
        """Attribute the target to each element of the inputs: float32, positive where it supports the target.

        Args:
            inputs: [N, ...], or a tuple of such tensors. Signals [N, C, L], pictures [N, C, H, W] and volumes
                [N, C, D, H, W], or channels last, are explained by incremental inference, of any dtype but 16 bits.
            sliding_window_shapes: a window's extent along the axes of one example, channels included; of several inputs
                a tuple of such. The last windows of an axis are cut off at its end.
            strides: from one window to the next, likewise, or one number for all axes; 1 when None.
            baselines: what shows inside a window, for each input: a number, or a tensor of its shape or of one
                example; 0 when None.
            target: the output to explain: an index into the outputs [N, K], a tuple of indices into outputs of more
                axes, or a list or tensor of one for each example. When None all outputs are, and the result has a row
                for each output of each example.
            additional_forward_args: further arguments of the function, which are not explained. Tensors with an entry
                for each example are those of the examples.
            perturbations_per_eval: how many windows a plain forward pass takes; how many windows of an image are
                scored at once is the session's choice.
            show_progress: what is being exported and compiled, and a bar where standard error is a terminal.

        Raises:
            AssertionError: if an argument is one for which Captum raises it.
            IndexError: if the model does not have the target.
            NotImplementedError: if a compiled file is given several inputs or additional_forward_args.
            KryptonError: if the module or the input cannot be used; the message says what to do.
        """
        asked = Arguments(inputs, baselines, target, additional_forward_args, perturbations_per_eval, show_progress)
        answer: Images = self._attribute(
            asked, lambda tensors: _Slides(read_windows(sliding_window_shapes, strides, tensors), tensors)
        )
        return answer

    def attribute_future(self) -> None:
        """Captum has none for Occlusion either.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("attribute_future is not implemented for Occlusion")


class _Slides:
    """Windows that slide over each input."""

    def __init__(self, windows: tuple[Windows, ...], inputs: Tensors) -> None:
        self._windows, self._inputs = windows, inputs

    def count(self, places: Sequence[int]) -> int:
        return sum(math.prod(self._windows[place].counts(self._inputs[place].shape)) for place in places)

    def apart(self, place: int) -> bool:  # noqa: ARG002
        return True

    def masks(self, places: Sequence[int]) -> Iterator[Masks]:
        """In Captum's order: along the first axis first."""
        for place in places:
            tensor, window = self._inputs[place], self._windows[place]
            for backwards in product(*map(range, reversed(window.counts(tensor.shape)))):
                mask = torch.zeros((1, *tensor.shape[1:]), dtype=torch.bool)
                starts = [index * step for index, step in zip(backwards[::-1], window.steps, strict=True)]
                area = tuple(slice(at, at + size) for at, size in zip(starts, window.extents, strict=True))
                mask[0][area] = True
                yield tuple(mask if other == place else None for other in range(len(self._inputs)))

    def maps(self, place: int, example: Example, row: int, progress: Progress | None) -> Array:  # noqa: ARG002
        """[K, ...], of one image."""
        windows = self._windows[place]
        channel = channel_axis(example.layout) - 1
        extents, steps = (_channel_first(example.full(each, 1), channel) for each in (windows.extents, windows.steps))
        spatial = example.compiled.session.spatial
        boxes = geometry.occlusion_grid(spatial, extents[1:], steps[1:])
        groups = _groups(example.image.shape[channel + 1], extents[0], steps[0])
        share = (groups / groups.sum(axis=0)).T
        rank = example.image.ndim
        changes = []
        for index, group in enumerate(groups):
            report = progress_within(progress, index * len(boxes), len(groups) * len(boxes))
            shaped = group.reshape([-1 if axis == channel + 1 else 1 for axis in range(rank)])
            hidden = Hidden(boxes, np.where(shaped, example.baseline, example.image))
            changes.append(drops(example, hidden, report))
        maps = []
        for column in range(len(example.columns)):
            of_groups = [accumulate(change[:, column], boxes, spatial) for change in changes]
            maps.append(np.moveaxis(np.tensordot(share, of_groups, 1), 0, channel))
        return np.asarray(maps, np.float32)


def _channel_first(values: tuple[int, ...], channel: int) -> tuple[int, ...]:
    return (values[channel], *values[:channel], *values[channel + 1 :])


def _groups(channels: int, extent: int, step: int) -> npt.NDArray[np.bool_]:
    """[G, C]: which channels each window's place along that axis covers."""
    starts = np.arange(0, channels - extent + step, step)[:, None]
    at = np.arange(channels)
    return (at >= starts) & (at < starts + extent)
