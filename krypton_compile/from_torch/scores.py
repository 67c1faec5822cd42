"""The scores in what a forward returns, and the elements of them that a target names.

Targets mean what they mean to Captum (captum._utils.common._select_targets): they are applied to the numbers of a
tensor's elements in place of the elements, and so say which elements are explained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from numbers import Integral

import torch

from krypton_compile.errors import ModelError

_NAMES = ("logits", "scores", "out", "output", "probabilities", "prediction")
"""What the scores of a dictionary or dataclass are called, the likeliest first."""
_ENDINGS = ("logits", "scores")


def find_scores(output: object) -> torch.Tensor:
    """Find the scores in a forward's output.

    A tensor is taken as it is, a number becomes one, a tuple or list stands for its first tensor; of a dictionary or
    dataclass, the entry ``logits`` or another usual name, or the only tensor there is.

    Raises:
        AssertionError: if the output is a Future, as Captum's ``attribute`` does.
        ModelError: if there is no tensor in it, or several in a dictionary or dataclass without such a name.
    """
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, torch.futures.Future):
        raise AssertionError("forward_func: expected a tensor, found a Future; attribute_future takes such functions")
    if isinstance(output, bool | int | float):
        return torch.tensor(output, dtype=torch.float64 if isinstance(output, float) else torch.int64)
    named = _entries(output)
    if named is not None:
        return _choose(named, type(output).__name__)
    if isinstance(output, tuple | list):
        for part in output:
            if isinstance(part, torch.Tensor):
                return part
            if _entries(part) is not None:
                return find_scores(part)
    raise ModelError(
        f"forward_func: expected scores, a tensor, found {type(output).__name__}. "
        "Give a function that returns the tensor of scores alone"
    )


def select(output: torch.Tensor, target: object) -> torch.Tensor:
    """Number the elements of ``output`` that are explained: int64, of the shape that Captum's selection has.

    Raises:
        AssertionError: if ``target`` is no target, or does not fit the output, as Captum says it.
        IndexError: if the output has no such element.
    """
    numbers = torch.arange(output.numel()).reshape(output.shape)
    if target is None:
        return numbers
    count, shape = (output.shape[0] if output.dim() else 0), list(output.shape)
    if isinstance(target, torch.Tensor):
        if target.numel() == 1:
            target = target.item()
        else:
            if target.dim() != 1 or len(target) != count:
                raise AssertionError(
                    f"target: expected one for each of {count} images, found {target.numel()} in {list(target.shape)}"
                )
            target = target.tolist()
    if isinstance(target, list):
        return _select_each(numbers, target)
    if isinstance(target, Integral | slice):
        target = (target,)
    if not isinstance(target, tuple):
        raise AssertionError(
            f"target: expected an integer, found {target!r}; several indices are a tuple, one for each image is a list"
        )
    if len(target) > output.dim() - 1:
        raise AssertionError(
            f"target {target}: expected at most {max(output.dim() - 1, 0)} indices into outputs {shape}"
        )
    for axis, index in enumerate(target, 1):
        _check_index(index, axis, output.shape)
    return numbers[(slice(None), *target)]


def _select_each(numbers: torch.Tensor, targets: list[object]) -> torch.Tensor:
    shape = list(numbers.shape)
    if not shape or len(targets) != shape[0]:
        count = shape[0] if shape else 0
        raise AssertionError(f"target: expected one for each of {count} images, found {len(targets)}")
    indices = [target if isinstance(target, tuple) else (target,) for target in targets]
    if not isinstance(targets[0], tuple) and len(shape) != 2:
        raise AssertionError(f"target: a list of integers is for outputs [N, K], found {shape}; give a list of tuples")
    for index in indices:
        if len(index) > len(shape) - 1:
            raise AssertionError(f"target {index}: expected at most {len(shape) - 1} indices into outputs {shape}")
        for axis, part in enumerate(index, 1):
            _check_index(part, axis, numbers.shape)
    return torch.stack([numbers[(row, *index)] for row, index in enumerate(indices)])


def _check_index(index: object, axis: int, shape: torch.Size) -> None:
    if isinstance(index, slice):
        return
    if not isinstance(index, Integral):
        raise AssertionError(f"target: expected an integer, found {index!r}")
    size = shape[axis]
    if not -size <= int(index) < size:
        raise IndexError(f"target {index}: expected one of the model's outputs, 0 to {size - 1}")


def _entries(output: object) -> dict[str, object] | None:
    """The named parts of a dictionary, a dataclass or a named tuple."""
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return dict(zip(output._fields, output, strict=True))
    return None


def _choose(named: dict[str, object], kind: str) -> torch.Tensor:
    tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
    chosen = [name for name in _NAMES if name in tensors]
    chosen = chosen or [name for name in tensors if name.endswith(_ENDINGS)]
    if chosen:
        return tensors[chosen[0]]
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    names = ", ".join(tensors) or "no tensor"
    raise ModelError(
        f"forward_func: expected scores, found a {kind} of {names}. "
        "Give a function that returns the tensor of scores alone, such as lambda x: model(x)['logits']"
    )
