"""Captum's FeatureAblation by incremental inference: ``from krypton_compile.captum import FeatureAblation``.

For an image x, its baseline b and a feature k, the elements that ``feature_mask`` numbers k:

    attribution at each element of k = f(x) - f(x with b in the elements of k)

A feature is a box around its elements, with pixels of its own: b where the mask says k, x elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from krypton_compile.captum.arguments import Tensors, read_masks
from krypton_compile.captum.attribution import Arguments, Perturbation
from krypton_compile.captum.compiled import Array, Example, Hidden, Progress, drops
from krypton_compile.captum.plain import Masks
from krypton_compile.captum.wrapped import wrapped
from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.layouts import channel_axis, last_channels
from krypton_compile.runtime.sweep.progress import progress_within

Images = TypeVar("Images", torch.Tensor, tuple[torch.Tensor, ...])

_PIXELS = 4_000_000
"""How many pixels of features are made at once: 48 MB of three channels."""


class FeatureAblation(Perturbation):
    """Takes the place of ``captum.attr.FeatureAblation``; :class:`Perturbation` documents its arguments."""

    @wrapped
    def attribute(
        self,
        inputs: Images,
        baselines: torch.Tensor | float | tuple[torch.Tensor | float, ...] | None = None,
        target: int | tuple[int, ...] | torch.Tensor | list[int] | list[tuple[int, ...]] | None = None,
        additional_forward_args: object = None,
        feature_mask: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        **kwargs: Any,  # noqa: ARG002 - Captum's takes and ignores what its subclasses need
    ) -> Images:
        """Attribute the target to each element of the inputs: of the output's dtype, positive where it supports it.

        Args:
            inputs: as for :meth:`Occlusion.attribute`.
            baselines: likewise.
            target: likewise.
            additional_forward_args: likewise.
            feature_mask: for each input the number of each element's feature, a tensor that broadcasts to it; elements
                of one number are hidden together, of several inputs too. None gives each element of an example its own.
            perturbations_per_eval: how many features a plain forward pass takes.
            show_progress: as for :meth:`Occlusion.attribute`.
            **kwargs: ignored.

        Raises:
            AssertionError: if an argument is one for which Captum raises it.
            IndexError: if the model does not have the target.
            NotImplementedError: if a compiled file is given several inputs or additional_forward_args.
            KryptonError: if the module or the input cannot be used; the message says what to do.
        """
        asked = Arguments(inputs, baselines, target, additional_forward_args, perturbations_per_eval, show_progress)
        answer: Images = self._attribute(asked, lambda tensors: _Masked(read_masks(feature_mask, tensors), tensors))
        return answer

    def attribute_future(self, *args: Any, **kwargs: Any) -> torch.futures.Future[Any]:
        """:meth:`attribute` of a function that returns a Future of its scores; the result is one too, and done.

        Raises:
            AssertionError: if the function returns no Future; and as :meth:`attribute`.
        """
        forward = self.forward_func
        if not callable(forward):
            raise AssertionError("attribute_future: expected a function that returns a Future, found a compiled file")
        waiting = FeatureAblation(_Waiting(forward), only_compiled=self.only_compiled)
        future: torch.futures.Future[Any] = torch.futures.Future()
        future.set_result(waiting.attribute(*args, **kwargs))
        return future


class _Waiting:
    """A function that waits for another one's Future."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward

    def __call__(self, *arguments: object) -> object:
        future = self._forward(*arguments)
        if not isinstance(future, torch.futures.Future):
            raise AssertionError(f"attribute_future: expected a Future, found {type(future).__name__}; use attribute")
        return future.wait()


class _Masked:
    """Features that masks number, over all inputs."""

    def __init__(self, masks: Tensors, inputs: Tensors) -> None:
        self._masks, self._inputs = masks, inputs
        self._numbers: list[list[int]] = [torch.unique(mask).tolist() for mask in masks]

    def _features(self, places: Sequence[int]) -> dict[int, None]:
        return dict.fromkeys(number for place in places for number in self._numbers[place])

    def count(self, places: Sequence[int]) -> int:
        return len(self._features(places))

    def apart(self, place: int) -> bool:
        others = self._features([other for other in range(len(self._masks)) if other != place])
        return not any(number in others for number in self._numbers[place])

    def masks(self, places: Sequence[int]) -> Iterator[Masks]:
        for number in self._features(places):
            yield tuple(
                torch.eq(mask, number) if number in numbers else None
                for mask, numbers in zip(self._masks, self._numbers, strict=True)
            )

    def maps(self, place: int, example: Example, row: int, progress: Progress | None) -> Array:
        """[K, ...], of one image."""
        layout, mask = example.layout, self._masks[place]
        numbers = mask[row if len(mask) > 1 else 0].expand(self._inputs[place].shape[1:]).cpu().numpy()
        features, index = np.unique(numbers, return_inverse=True)
        at = last_channels(index.reshape(example.image.shape), layout)
        boxes = _bounding_boxes(at, len(features))
        image, baseline = (last_channels(each, layout) for each in (example.image, example.baseline))
        changes = np.empty((len(features), len(example.columns)), np.float32)
        done = 0
        for part in _parts(geometry.areas(boxes)):
            rows = [_pixels(feature, boxes[feature], at, image, baseline) for feature in part]
            hidden = Hidden(boxes[part], example.image, np.concatenate(rows))
            changes[part] = drops(example, hidden, progress_within(progress, done, len(features)))
            done += len(part)
        maps = np.moveaxis(changes[at], -1, 0)  # [K, ..., C]
        return np.moveaxis(maps, -1, channel_axis(layout))


def _bounding_boxes(at: npt.NDArray[np.intp], count: int) -> Boxes:
    """The box around the elements of each feature, of ``at`` [H, W, C]."""
    spatial = at.shape[:-1]
    starts, ends = np.full((count, len(spatial)), max(spatial)), np.zeros((count, len(spatial)), np.int64)
    for axis, coordinates in enumerate(np.indices(at.shape)[: len(spatial)]):
        np.minimum.at(starts[:, axis], at.ravel(), coordinates.ravel())
        np.maximum.at(ends[:, axis], at.ravel(), coordinates.ravel() + 1)
    return np.concatenate([starts, ends - starts], axis=1).astype(np.int32)


def _pixels(feature: int, box: npt.NDArray[np.int32], at: npt.NDArray[np.intp], image: Array, baseline: Array) -> Array:
    """The pixels of a feature's box, [h*w, C]."""
    axes = len(box) // 2
    area = tuple(slice(start, start + size) for start, size in zip(box[:axes], box[axes:], strict=True))
    shown = np.where(at[area] == feature, baseline[area], image[area])
    return shown.reshape(-1, at.shape[-1])


def _parts(areas: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.intp]]:
    """Features in parts of no more than so many pixels, or of one."""
    part = np.cumsum(areas) // _PIXELS
    for number in np.unique(part):
        yield np.flatnonzero(part == number)
