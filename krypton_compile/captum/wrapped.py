"""Methods that Captum calls without its log: NoiseTunnel takes ``attribute.__wrapped__``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


def wrapped(method: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]:
    """Make a method one that has a ``__wrapped__``, itself."""

    @functools.wraps(method)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer:
        return method(*args, **kwargs)

    return call
