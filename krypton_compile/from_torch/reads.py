"""Data that a forward reads into Python: what an export by tracing has frozen, window by window.

    if x.max() > 1: x = x / 255          x / x.max().item()          x[x > 0]

A trace holds the branch, the number and the count of the traced image. It holds for every other image on which the
forward reads the same values, in the same order: with no other values, Python has taken no other way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

_VALUES = frozenset(
    (
        *(getattr(torch.Tensor, name) for name in "__bool__ __int__ __float__ __index__ __complex__".split()),
        *(getattr(torch.Tensor, name) for name in "__array__ __contains__ item tolist numpy equal allclose".split()),
        *(torch.equal, torch.allclose, torch.is_nonzero, torch.Tensor.is_nonzero),
    )
)
"""What turns the numbers of a tensor into values of Python."""
_SHAPES = frozenset(
    getattr(home, name)
    for home in (torch, torch.Tensor)
    for name in "nonzero argwhere unique unique_consecutive masked_select bincount repeat_interleave".split()
    if hasattr(home, name)
)
"""What makes tensors whose shape depends on numbers."""


class _OtherWay(BaseException):
    """Raised through a forward as soon as it reads another value."""


class _AllRead(BaseException):
    """Raised through a forward as soon as it has read the last value that there is to compare."""


class _Reader(TorchFunctionMode):
    """Hands each value that is read to ``seen``."""

    def __init__(self, seen: Callable[[object], None]) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _VALUES:
            self._seen(_frozen(result))
        elif func in _SHAPES or (func is torch.Tensor.__getitem__ and _chooses(args[1])):
            self._seen(tuple(result.shape) if isinstance(result, torch.Tensor) else len(result))
        return result


@contextmanager
def recorded() -> Iterator[list[object]]:
    """Note the values that forwards read inside the block."""
    values: list[object] = []
    with _Reader(values.append):
        yield values


def reads_alike(forward: Callable[[], object], expected: list[object]) -> bool:
    """Tell whether a forward reads the values ``expected``; it is run no further than that takes."""
    at = 0

    def compare(value: object) -> None:
        nonlocal at
        if at >= len(expected) or value != expected[at]:
            raise _OtherWay
        at += 1
        if at == len(expected):
            raise _AllRead

    try:
        with _Reader(compare):
            forward()
    except _AllRead:
        return True
    except _OtherWay:
        return False
    return at == len(expected)


def _frozen(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return repr(value) if isinstance(value, float) else value  # a NaN reads like itself


def _chooses(index: object) -> bool:
    """Whether an index chooses elements by a mask."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, torch.Tensor) and part.dtype in (torch.bool, torch.uint8) for part in parts)
