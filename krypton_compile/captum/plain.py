"""Captum's own algorithm by plain forward passes: for what cannot be compiled, and for inputs that are no images.

    x_k = x with the baseline where mask_k      attribution = sum over k of (f(x) - f(x_k)) mask_k   [/ sum of mask_k]

In Captum's order, dtypes and batches, so that what is rounded is rounded alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch

from krypton_compile.captum.arguments import Tensors
from krypton_compile.captum.question import Question
from krypton_compile.from_torch.scores import select

Masks = tuple[torch.Tensor | None, ...]
"""For each input which elements are hidden, of [1, ...] or [N, ...]; None where nothing is."""
Forward = Callable[[Tensors, tuple[object, ...]], torch.Tensor]
Progress = Callable[[int, int], None]


def attribute_plainly(
    forward: Forward,
    question: Question,
    masks: Iterator[Masks],
    count: int,
    mean: bool,
    progress: Progress | None = None,
) -> list[torch.Tensor]:
    """Attribute the scores to the elements of each input, by a forward for each of ``count`` masks.

    Raises:
        AssertionError: if several perturbations go into a forward whose output does not grow with its input.
    """
    scores = question.scores
    kinds = [(scores.shape[1], *tensor.shape[1:]) for tensor in question.inputs]
    totals = [
        torch.zeros(kind, dtype=scores.dtype, device=x.device) for kind, x in zip(kinds, question.inputs, strict=True)
    ]
    weights = [torch.zeros(kind, device=x.device) for kind, x in zip(kinds, question.inputs, strict=True)]
    done = 0
    while several := list(islice(masks, question.at_once)):
        stacked = tuple(_stack([each[index] for each in several], x) for index, x in enumerate(question.inputs))
        changed = _scores(forward, question, stacked, len(several))
        drops = scores - changed.reshape(len(several), scores.shape[1])
        for index, mask in enumerate(stacked):
            if mask is None:
                continue
            shaped = drops.reshape(*drops.shape, *(1,) * (question.inputs[index].dim() - 1)).to(mask.device)
            totals[index] += (shaped * mask.to(scores.dtype)).sum(dim=0)
            weights[index] += mask.float().sum(dim=0)
        done += len(several)
        if progress is not None:
            progress(done, count)
    if not mean:
        return totals
    return [total.float() / weight for total, weight in zip(totals, weights, strict=True)]


def _stack(masks: Sequence[torch.Tensor | None], tensor: torch.Tensor) -> torch.Tensor | None:
    """Masks of several perturbations, [k, 1 or N, ...]; None where all of them hide nothing."""
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    nothing = torch.zeros_like(given[0])
    return torch.stack([nothing if mask is None else mask for mask in masks]).to(tensor.device)


def _scores(forward: Forward, question: Question, stacked: Masks, count: int) -> torch.Tensor:
    """The explained scores of ``count`` perturbations."""
    hidden = []
    for tensor, baseline, mask in zip(question.inputs, question.baselines, stacked, strict=True):
        if mask is None:
            hidden.append(torch.cat([tensor] * count) if count > 1 else tensor)
            continue
        ones = mask.to(tensor.dtype)
        mixed = tensor * (1 - mask.long()).to(tensor.dtype) + baseline * ones
        hidden.append(mixed.reshape(count * len(tensor), *tensor.shape[1:]))
    further = question.further if count == 1 else tuple(_repeated(value, count) for value in question.further)
    output = forward(tuple(hidden), further)
    first = question.output.shape[0] if question.output.dim() else 0
    if question.at_once > 1 and (not output.dim() or output.shape[0] != count * first):
        raise AssertionError(
            "perturbations_per_eval: expected 1, since the function's output does not grow with the batch: "
            f"{list(question.output.shape)} for {len(question.inputs[0])} images, {list(output.shape)} for "
            f"{count * len(question.inputs[0])}"
        )
    numbers = select(output, _repeated_target(question.target, count))
    return output.reshape(-1)[numbers.reshape(-1).to(output.device)]


def _repeated(value: object, count: int) -> object:
    return torch.cat([value] * count) if isinstance(value, torch.Tensor) and value.dim() else value


def _repeated_target(target: object, count: int) -> object:
    if isinstance(target, list):
        return target * count
    if isinstance(target, torch.Tensor) and target.numel() > 1:
        return torch.cat([target] * count)
    return target
