"""Read the arguments of Captum's Occlusion, of which each has many spellings.

What Captum asserts is asserted here too, with AssertionError, so that callers which expect that still work.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import torch

from krypton_compile.errors import OcclusionError

_AXES = 3  # of an image: channels, height, width, in the model's order


@dataclass(frozen=True)
class Windows:
    """Extent and step of the windows along each axis of an image, in the model's order."""

    extents: tuple[int, ...]
    steps: tuple[int, ...]


def read_images(inputs: object) -> torch.Tensor:
    """Read the only input, float32 [N, ...].

    Raises:
        AssertionError: if ``inputs`` is neither a tensor nor a tuple of one.
        NotImplementedError: if there are several inputs, or they are no images.
        OcclusionError: if the tensor has another dtype than float32.
    """
    tensors = inputs if isinstance(inputs, tuple) else (inputs,)
    if len(tensors) != 1:
        raise NotImplementedError(f"inputs: expected one image input, found {len(tensors)}; use Captum's Occlusion")
    images = tensors[0]
    if not isinstance(images, torch.Tensor):
        raise AssertionError(f"inputs: expected a tensor or a tuple of one, found {type(images).__name__}")
    if images.dim() != _AXES + 1:
        raise NotImplementedError(
            f"inputs: expected images [N, C, H, W] or [N, H, W, C], found shape {list(images.shape)}; "
            "use Captum's Occlusion"
        )
    if images.dtype != torch.float32:
        raise OcclusionError(f"inputs: expected torch.float32, found {images.dtype}; convert with .float()")
    return images


def check_unused(additional_forward_args: object, perturbations_per_eval: object) -> None:
    """Check the arguments that have no meaning here.

    Raises:
        AssertionError: if ``perturbations_per_eval`` is no positive integer.
        NotImplementedError: if there are additional arguments.
    """
    whole = isinstance(perturbations_per_eval, int) and perturbations_per_eval >= 1
    _require(whole, f"perturbations_per_eval: expected an integer from 1 on, found {perturbations_per_eval!r}")
    if additional_forward_args is not None:
        raise NotImplementedError(
            "additional_forward_args: expected None, since a compiled model takes the image alone. Wrap the module in "
            "one that holds them, or use Captum's Occlusion."
        )


def read_windows(shapes: object, strides: object, image: tuple[int, ...]) -> Windows:
    """Read ``sliding_window_shapes`` and ``strides`` for images of one shape; a stride of None is 1.

    Raises:
        AssertionError: if there is not one integer for each axis, a window is larger than the image, or a stride is
            larger than a window that does not reach over the whole axis: pixels between windows would have no
            attribution.
    """
    extents = _axes("sliding_window_shapes", shapes, image)
    steps = (1,) * _AXES if strides is None else _axes("strides", strides, image, single=True)
    for axis, (size, extent, step) in enumerate(zip(image, extents, steps, strict=True)):
        where = f"on axis {axis} of images {list(image)}"
        _require(1 <= extent <= size, f"sliding_window_shapes: expected 1 to {size} {where}, found {extent}")
        _require(step >= 1, f"strides: expected 1 or more {where}, found {step}")
        _require(
            extent == size or step <= extent,
            f"strides: expected at most the window's {extent} {where}, found {step}; "
            "take a smaller stride or a larger window",
        )
    return Windows(extents, steps)


def read_baselines(baselines: object, images: torch.Tensor) -> torch.Tensor:
    """Read ``baselines`` as a float32 tensor of the images' shape; None is 0.

    Raises:
        AssertionError: if ``baselines`` is neither a number nor a tensor that broadcasts to the images.
    """
    values = baselines if isinstance(baselines, tuple) else (baselines,)
    _require(len(values) == 1, f"baselines: expected one for the one input, found {len(values)}")
    baseline = 0 if values[0] is None else values[0]
    if isinstance(baseline, (int, float)):
        baseline = torch.tensor(float(baseline))
    if not isinstance(baseline, torch.Tensor):
        raise AssertionError(f"baselines: expected a number or a tensor, found {type(baseline).__name__}")
    try:
        return baseline.detach().to(torch.float32).broadcast_to(images.shape)
    except RuntimeError as error:
        raise AssertionError(
            f"baselines: expected a tensor like the inputs, {list(images.shape)}, or like one of them; "
            f"found {list(baseline.shape)}"
        ) from error


def read_targets(target: object, count: int, classes: int) -> list[list[int]]:
    """Read ``target`` as the columns of the output to explain, for each of ``count`` images.

    None stands for all columns, one after the other; a negative one counts from the end.

    Raises:
        AssertionError: if ``target`` is no integer, one-element tuple or tensor of integers, nor a list with one for
            each image.
        IndexError: if the model does not have such a column.
    """
    if target is None:
        return [list(range(classes))] * count
    if isinstance(target, torch.Tensor):
        target = target.item() if target.numel() == 1 else target.tolist()
    if not isinstance(target, list):
        return [[_column(target, classes)]] * count
    _require(len(target) == count, f"target: expected one for each of {count} images, found {len(target)}")
    return [[_column(column, classes)] for column in target]


def _column(target: object, classes: int) -> int:
    if isinstance(target, tuple):
        _require(len(target) == 1, f"target: expected one index into the outputs [N, {classes}], found {target}")
        target = target[0]
    if not isinstance(target, Integral):
        raise AssertionError(f"target: expected an integer, found {target!r}")
    index = int(target)
    if not -classes <= index < classes:
        raise IndexError(f"target {index}: expected one of the model's outputs, 0 to {classes - 1}")
    return index % classes


def _axes(name: str, values: object, image: tuple[int, ...], single: bool = False) -> tuple[int, ...]:
    """An integer an axis; Captum takes a tuple, one inside a tuple, and for strides a number for all axes."""
    inner = values[0] if isinstance(values, tuple) and len(values) == 1 else values
    if single and isinstance(inner, Integral):
        inner = (inner,) * _AXES
    if not isinstance(inner, tuple) or len(inner) != _AXES or not all(isinstance(n, Integral) for n in inner):
        wanted = f"{'an integer or ' if single else ''}a tuple of {_AXES}"
        raise AssertionError(f"{name}: expected {wanted} for images {list(image)}, found {values!r}")
    return tuple(int(n) for n in inner)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
