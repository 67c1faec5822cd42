"""Attributes that belong to a part of an object, and are read from the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NoReturn, Protocol, Self, TypeVar, overload

from krypton_compile.runtime.engine.scorer import Scorer

_Value = TypeVar("_Value")


class _Owner(Protocol):
    @property
    def scorer(self) -> Scorer: ...


class Delegated(Generic[_Value]):
    """A read-only attribute that ``read`` finds in its owner's scorer."""

    def __init__(self, read: Callable[[Scorer], _Value]) -> None:
        self._read, self._name = read, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: _Owner, owner: type) -> _Value: ...
    def __get__(self, instance: _Owner | None, owner: type) -> Self | _Value:
        return self if instance is None else self._read(instance.scorer)

    def __set__(self, instance: _Owner, value: object) -> NoReturn:
        raise AttributeError(f"{self._name!r} cannot be set; {type(instance).__name__}.described() makes another one")
