"""What is asked of a function, and whether a session can answer it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from krypton_compile.captum.arguments import Baselines, Tensors
from krypton_compile.captum.functions import IN_16_BITS
from krypton_compile.from_torch.scores import select
from krypton_compile.from_torch.state import State

_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Question:
    """What is asked of a function, whatever is hidden.

    Attributes:
        inputs, baselines: one for each input, [N, ...].
        further: the arguments behind the inputs.
        target: which outputs are explained.
        at_once: how many perturbations a forward takes.
        output: the function's own output for the inputs; ``numbers`` those elements of it that are explained.
    """

    inputs: Tensors
    baselines: Baselines
    further: tuple[object, ...]
    target: object
    at_once: int
    output: torch.Tensor
    numbers: torch.Tensor

    @property
    def scores(self) -> torch.Tensor:
        """The elements of the output that are explained, [1, K]."""
        return self.output.reshape(-1)[self.numbers.reshape(1, -1).to(self.output.device)]


def answered(question: Question, output: torch.Tensor) -> Question:
    """The question with the function's own output, in which the target is found."""
    return replace(question, output=output, numbers=select(output, question.target))


def of_example(question: Question, row: int) -> list[object]:
    """All arguments for one example of the batch; tensors with as many entries as examples are of the examples."""
    count = len(question.inputs[0])
    inputs: list[object] = [tensor[row : row + 1] for tensor in question.inputs]
    for value in question.further:
        of_examples = isinstance(value, torch.Tensor) and value.dim() > 0 and len(value) == count
        inputs.append(value[row : row + 1] if of_examples and isinstance(value, torch.Tensor) else value)
    return inputs


def why_plain(question: Question, state: State, place: int) -> str | None:
    """Why a session would not give what Captum gives; None where it does."""
    tensor, baseline, output = question.inputs[place], question.baselines[place], question.output
    arguments = (*question.inputs, *question.further)
    if not output.is_floating_point():
        return f"its output is of {output.dtype}, no scores"
    if state.in_16_bits() or any(
        isinstance(each, torch.Tensor) and each.dtype in _HALF for each in (*arguments, output)
    ):
        return IN_16_BITS
    if len(tensor) > 1 and (not output.dim() or output.shape[0] != len(tensor)):
        return f"its output of shape {list(output.shape)} is one for all {len(tensor)} images; give one image at a time"
    if torch.result_type(tensor, baseline) != tensor.dtype:
        return f"a baseline of another kind changes its inputs from {tensor.dtype}; give one of that kind"
    return None
