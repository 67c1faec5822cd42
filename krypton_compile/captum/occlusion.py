"""Captum's Occlusion by incremental inference: ``from krypton_compile.captum import Occlusion``.

For an image x, its baseline b and a window w, f the model's own output for the target (no activation is added):

    d_w = f(x) - f(x with b inside w)        attribution[c, y, x] = mean of d_w over the windows that cover (c, y, x)

A window covers a group of channels, all or some. One over some is one over all whose baseline is x in the other
channels; and as each group has the same windows, a channel's attribution is the mean of the maps of the groups with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

try:
    import torch
except ImportError as error:
    raise ImportError("krypton_compile.captum needs torch; install it: pip install 'krypton-compile[torch]'") from error

from krypton_compile.captum.arguments import (
    Windows,
    check_unused,
    read_baselines,
    read_images,
    read_targets,
    read_windows,
)
from krypton_compile.captum.torch_export import ModuleSessions
from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes
from krypton_compile.errors import OcclusionError
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.maps.heatmap import accumulate
from krypton_compile.runtime.sweep.progress import progress_within, reporter

Array = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
Images = TypeVar("Images", torch.Tensor, tuple[torch.Tensor, ...])


class Occlusion:
    """Takes the place of ``captum.attr.Occlusion`` for image classifiers.

    Args:
        forward_func: a module in eval mode, which is exported and compiled at the first use of an input size and
            whenever its weights have changed; an OcclusionSession; or the path of a compiled file. The first takes
            seconds and is kept on disk (cache.py).

    Raises:
        TypeError: if ``forward_func`` is something else, such as a function: code that can be called, but not compiled.
    """

    def __init__(self, forward_func: torch.nn.Module | OcclusionSession | str | os.PathLike[str]) -> None:
        self.forward_func = forward_func
        self._session_for: Callable[[torch.Tensor], OcclusionSession]
        if isinstance(forward_func, torch.nn.Module):
            self._session_for = ModuleSessions(forward_func).session
        elif isinstance(forward_func, (OcclusionSession, str, os.PathLike)):
            session = forward_func if isinstance(forward_func, OcclusionSession) else OcclusionSession(forward_func)
            self._session_for = lambda _: session
        else:
            raise TypeError(
                f"forward_func: expected a torch.nn.Module, an OcclusionSession or the path of a compiled file, "
                f"found {type(forward_func).__name__}. Wrap a function in a torch.nn.Module."
            )

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
            inputs: float32 [N, C, H, W], or [N, H, W, C] where the model takes that; or a tuple of one such tensor.
            sliding_window_shapes: a window's extent along the axes of one image, channels included. The last windows
                of an axis are cut off at its end.
            strides: from one window to the next, likewise, or one number for all axes; 1 when None.
            baselines: what shows inside a window: a number, or a tensor of the inputs' shape or of one image; 0 when
                None.
            target: the output to explain, or a list or tensor of one for each image. When None all outputs are, and
                the result has a row for each output of each image.
            additional_forward_args: None.
            perturbations_per_eval: without effect; how many windows are scored at once is the session's choice.
            show_progress: a bar on standard error, where that is a terminal.

        Raises:
            AssertionError: if an argument is one for which Captum raises it.
            IndexError: if the model does not have the target.
            NotImplementedError: if there are several inputs, they are no images, or there are additional_forward_args.
            KryptonError: if the module or the input cannot be used; the message says what to do.
        """
        images = read_images(inputs)
        check_unused(additional_forward_args, perturbations_per_eval)
        windows = read_windows(sliding_window_shapes, strides, tuple(images.shape[1:]))
        shown = read_baselines(baselines, images)
        session = self._session_for(images[:1])
        if tuple(images.shape[1:]) != session.image_shape[1:]:
            raise OcclusionError(
                f"inputs: expected {list(session.image_shape[1:])} for each image, which the model was compiled for, "
                f"found {list(images.shape[1:])}; compile it for that size"
            )
        targets = read_targets(target, len(images), session.classes)
        with reporter(bool(show_progress), "occlusion") as progress:
            maps = _attribute(session, _as_numpy(images), _as_numpy(shown), windows, targets, progress)
        result = torch.from_numpy(maps).to(images.device)
        if isinstance(inputs, tuple):
            return (result,)
        return result


def _attribute(
    session: OcclusionSession,
    images: Array,
    baselines: Array,
    windows: Windows,
    targets: list[list[int]],
    progress: Progress | None,
) -> Array:
    """A row for each target of each image, of an image's shape."""
    channels_first = session.layout == "NCHW"
    extents, steps = (
        np.roll(values, 0 if channels_first else 1).tolist() for values in (windows.extents, windows.steps)
    )
    boxes = geometry.occlusion_grid(session.image_size, tuple(extents[1:]), tuple(steps[1:]))
    groups = _groups(images.shape[1 if channels_first else 3], extents[0], steps[0])
    share = (groups / groups.sum(axis=0)).T
    result = np.empty((sum(map(len, targets)), *images.shape[1:]), np.float32)
    maps = iter(result if channels_first else np.moveaxis(result, 3, 1))
    done, total = 0, len(images) * len(groups) * len(boxes)
    for image, baseline, columns in zip(images, baselines, targets, strict=True):
        drops = []
        for group in groups:
            report = progress_within(progress, done, total)
            hidden = np.where(group[:, None, None] if channels_first else group, baseline, image)
            drops.append(_drops(session, image[None], hidden[None], boxes, columns, report))
            done += len(boxes)
        for column in range(len(columns)):
            of_groups = [accumulate(drop[:, column], boxes, session.image_size) for drop in drops]
            next(maps)[...] = np.tensordot(share, of_groups, 1)
    return result


def _groups(channels: int, extent: int, step: int) -> npt.NDArray[np.bool_]:
    """[G, C]: which channels each window's place along that axis covers."""
    starts = np.arange(0, channels - extent + step, step)[:, None]
    at = np.arange(channels)
    return (at >= starts) & (at < starts + extent)


def _drops(
    session: OcclusionSession, image: Array, hidden: Array, boxes: Boxes, columns: list[int], report: Progress | None
) -> Array:
    """[P, columns]: base score less the score with each box showing ``hidden``."""
    prepared = session.prepare(image, hidden)
    scores = session.score(prepared, boxes, classes=columns, progress=report).scores
    return np.asarray(prepared.base_scores[columns] - scores)


def _as_numpy(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array
