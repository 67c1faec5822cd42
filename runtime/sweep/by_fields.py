"""Methods that take a request's fields as their own arguments: the friendly face of functions that take a request."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from krypton_compile.runtime.sweep.request import Request

_Fields = ParamSpec("_Fields")
_Owner = TypeVar("_Owner")
_Answer = TypeVar("_Answer")


def by_fields(
    build: Callable[_Fields, Request],
) -> Callable[[Callable[[_Owner, object, Request], _Answer]], Callable[Concatenate[_Owner, object, _Fields], _Answer]]:
    """Let callers of ``method(self, image, request)`` give the fields from which ``build`` makes the request."""

    def decorate(
        method: Callable[[_Owner, object, Request], _Answer],
    ) -> Callable[Concatenate[_Owner, object, _Fields], _Answer]:
        def ask(self: _Owner, image: object, *fields: _Fields.args, **named: _Fields.kwargs) -> _Answer:
            return method(self, image, build(*fields, **named))

        functools.update_wrapper(ask, method)
        own = list(inspect.signature(method).parameters.values())[:2]
        ask.__signature__ = inspect.Signature([*own, *inspect.signature(build).parameters.values()])  # type: ignore[attr-defined]
        return ask  # type: ignore[return-value]  # a Callable cannot say that `image` may also be given by name

    return decorate
