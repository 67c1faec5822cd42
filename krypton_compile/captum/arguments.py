"""Read the arguments of Captum's Occlusion and FeatureAblation, of which each has many spellings.

What Captum asserts is asserted here too, with AssertionError, so that callers which expect that still work.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import torch

from krypton_compile.contract.validate import show

Tensors = tuple[torch.Tensor, ...]
Baselines = tuple[torch.Tensor | int | float, ...]


@dataclass(frozen=True)
class Windows:
    """Extent and step of the windows along each axis of an input, in its order, without the batch axis."""

    extents: tuple[int, ...]
    steps: tuple[int, ...]

    def counts(self, shape: torch.Size) -> tuple[int, ...]:
        """How many windows there are along each axis of an input [N, ...] of this shape."""
        sizes = zip(shape[1:], self.extents, self.steps, strict=True)
        return tuple(-(-(size - extent) // step) + 1 for size, extent, step in sizes)


def read_inputs(inputs: object) -> Tensors:
    """Read the inputs: a tensor, or a tuple of some, [N, ...] each.

    Raises:
        AssertionError: if ``inputs`` are something else.
    """
    tensors = inputs if isinstance(inputs, tuple) else (inputs,)
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor):
            raise AssertionError(f"inputs: expected a tensor or a tuple of them, found {type(tensor).__name__}")
    _require(len(tensors) > 0 and all(tensor.dim() > 0 for tensor in tensors), "inputs: expected tensors [N, ...]")
    return tuple(tensor.detach() for tensor in tensors)


def read_further(additional_forward_args: object) -> tuple[object, ...]:
    """Read the arguments behind the inputs: none, one, or a tuple of some."""
    if additional_forward_args is None:
        return ()
    return additional_forward_args if isinstance(additional_forward_args, tuple) else (additional_forward_args,)


def read_at_once(perturbations_per_eval: object) -> int:
    """Read the number of perturbations that a plain forward takes at once.

    Raises:
        AssertionError: if it is no positive integer.
    """
    if not isinstance(perturbations_per_eval, int) or perturbations_per_eval < 1:
        raise AssertionError(f"perturbations_per_eval: expected an integer from 1 on, found {perturbations_per_eval!r}")
    return perturbations_per_eval


def read_windows(shapes: object, strides: object, inputs: Tensors) -> tuple[Windows, ...]:
    """Read ``sliding_window_shapes`` and ``strides``, for each input one; a stride of None is 1.

    Raises:
        AssertionError: if there is not one integer for each axis of each input, a window is larger than its input, or a
            stride is larger than a window that does not reach over the whole axis: elements between windows would have
            no attribution.
    """
    extents, steps = _of_inputs(shapes, len(inputs)), _of_inputs(strides, len(inputs), single=True)
    _require(
        len(extents) == len(inputs),
        f"sliding_window_shapes: expected one for each of {len(inputs)} inputs, found {len(extents)}",
    )
    _require(len(steps) == len(inputs), f"strides: expected one for each of {len(inputs)} inputs, found {len(steps)}")
    return tuple(
        _read_window(extent, step, tuple(tensor.shape[1:]))
        for extent, step, tensor in zip(extents, steps, inputs, strict=True)
    )


def _read_window(shape: object, stride: object, sizes: tuple[int, ...]) -> Windows:
    extents = _axes("sliding_window_shapes", shape, sizes)
    steps = (1,) * len(sizes) if stride is None else _axes("strides", stride, sizes, single=True)
    for axis, (size, extent, step) in enumerate(zip(sizes, extents, steps, strict=True)):
        where = f"on axis {axis} of images {list(sizes)}"
        _require(1 <= extent <= size, f"sliding_window_shapes: expected 1 to {size} {where}, found {extent}")
        _require(step >= 1, f"strides: expected 1 or more {where}, found {step}")
        _require(
            extent == size or step <= extent,
            f"strides: expected at most the window's {extent} {where}, found {step}; "
            "take a smaller stride or a larger window",
        )
    return Windows(extents, steps)


def read_baselines(baselines: object, inputs: Tensors) -> Baselines:
    """Read ``baselines``, for each input a number or a tensor that broadcasts to it; None is 0.

    Raises:
        AssertionError: if there is not one for each input, or one of them is something else.
    """
    values = baselines if isinstance(baselines, tuple) else (baselines,) * (len(inputs) if baselines is None else 1)
    found = len(values)
    wanted = "the one input" if len(inputs) == 1 else f"each of {len(inputs)} inputs"
    _require(found == len(inputs), f"baselines: expected one for {wanted}, found {found}")
    return tuple(_read_baseline(value, tensor) for value, tensor in zip(values, inputs, strict=True))


def _read_baseline(value: object, tensor: torch.Tensor) -> torch.Tensor | int | float:
    if value is None:
        return 0
    if isinstance(value, int | float):
        _require(
            isinstance(value, float) or abs(value) < 2**63,
            f"baselines: expected a number of 64 bits, found {show(value)}",
        )
        return value
    if not isinstance(value, torch.Tensor):
        raise AssertionError(f"baselines: expected a number or a tensor, found {type(value).__name__}")
    baseline = value.detach().to(tensor.device)
    if baseline.is_floating_point() and tensor.is_floating_point():
        baseline = baseline.to(tensor.dtype)
    try:
        baseline.broadcast_to(tensor.shape)
    except RuntimeError as error:
        raise AssertionError(
            f"baselines: expected a tensor like the inputs, {list(tensor.shape)}, or like one of them; "
            f"found {list(baseline.shape)}"
        ) from error
    return baseline


def read_masks(feature_mask: object, inputs: Tensors) -> Tensors:
    """Read ``feature_mask``, for each input the number of each element's feature; None gives each its own.

    Raises:
        AssertionError: if there is not a tensor of integers for each input, of its rank or less, that broadcasts to it.
    """
    if feature_mask is None:
        own: list[torch.Tensor] = []
        first = 0
        for tensor in inputs:
            count = tensor[:1].numel()
            own.append(torch.arange(first, first + count, device=tensor.device).reshape(tensor[:1].shape))
            first += count
        return tuple(own)
    masks: list[object] = list(feature_mask) if isinstance(feature_mask, tuple) else [feature_mask]
    _require(
        len(masks) == len(inputs), f"feature_mask: expected one for each of {len(inputs)} inputs, found {len(masks)}"
    )
    read = []
    for mask, tensor in zip(masks, inputs, strict=True):
        if not isinstance(mask, torch.Tensor):
            raise AssertionError(f"feature_mask: expected a tensor of integers, found {type(mask).__name__}")
        shape = (1,) * (tensor.dim() - mask.dim()) + tuple(mask.shape)
        fits = len(shape) == tensor.dim() and all(
            own in (1, size) for own, size in zip(shape, tensor.shape, strict=True)
        )
        _require(
            fits,
            f"feature_mask: expected a tensor like the inputs, {list(tensor.shape)}, or one that broadcasts to it; "
            f"found {list(mask.shape)}",
        )
        read.append(mask.detach().reshape(shape).to(tensor.device))
    return tuple(read)


def _of_inputs(values: object, count: int, single: bool = False) -> tuple[object, ...]:
    """One entry for each input; Captum takes a lone one of a single input as it is."""
    if values is None:
        return (None,) * count
    nested = isinstance(values, tuple) and len(values) == 1 and (single or not isinstance(values[0], Integral))
    if count == 1 and not nested:
        return (values,)
    return tuple(values) if isinstance(values, tuple) else (values,)


def _axes(name: str, values: object, sizes: tuple[int, ...], single: bool = False) -> tuple[int, ...]:
    """An integer an axis; a stride may be one number for all axes."""
    inner = (values,) * len(sizes) if single and isinstance(values, Integral) else values
    if not isinstance(inner, tuple) or len(inner) != len(sizes) or not all(isinstance(n, Integral) for n in inner):
        wanted = f"{'an integer or ' if single else ''}a tuple of {len(sizes)}"
        raise AssertionError(f"{name}: expected {wanted} for images {list(sizes)}, found {values!r}")
    return tuple(int(n) for n in inner)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
