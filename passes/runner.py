"""What a stage of the compiler is made of: passes in an order that is data, and the one function that runs them.

A stage is a tuple of passes over one kind of subject, all of one signature: `FRONTEND` over a file as it was read,
`SIMPLIFY` over its graph, `BODY` over its incremental body. A pass changes its subject in place and says how much. It
names the properties that it requires and those that it ensures, so that a test can tell of an order, without any
model, whether each pass finds what it requires, and of a model, after each pass, whether what was ensured holds.
A compilation does not check properties: passes are written for what they require, and refuse by errors of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Subject = TypeVar("Subject")
_Seen_contra = TypeVar("_Seen_contra", contravariant=True)


class Change(Protocol[_Seen_contra]):
    """The signature of every pass of a stage."""

    def __call__(self, subject: _Seen_contra, /) -> int:
        """Change the subject in place; return how much was changed, 0 only if nothing was."""
        ...


@dataclass(frozen=True)
class Property(Generic[Subject]):
    """What holds of a subject from one pass on, until another one breaks it.

    Attributes:
        name: a short phrase, "no Identity is left".
        violation: the first place where the property does not hold, in words; None where it holds.
    """

    name: str
    violation: Callable[[Subject], str | None]


@dataclass(frozen=True)
class Pass(Generic[Subject]):
    """One step of a stage.

    Attributes:
        name: as traces and tests call it; a pass that stands twice in a stage has one name.
        change: the function that does it.
        requires: properties that must hold before; nothing else is relied on.
        ensures: properties that hold afterwards.
        breaks: properties that may hold no longer.
        idempotent: whether a second run changes nothing.
        only_after: the pass without whose changes this one has nothing to do, and is left out.
    """

    name: str
    change: Change[Subject]
    requires: tuple[Property[Subject], ...] = ()
    ensures: tuple[Property[Subject], ...] = ()
    breaks: tuple[Property[Subject], ...] = ()
    idempotent: bool = True
    only_after: str | None = None


class Observer(Protocol[_Seen_contra]):
    """Who wants to see a subject after each pass."""

    def __call__(self, name: str, subject: _Seen_contra, seconds: float, failure: BaseException | None) -> None:
        """Look at the subject after the pass ``name``, which took ``seconds``; after a ``failure``, at what is left."""
        ...


def run(passes: Sequence[Pass[Subject]], subject: Subject, observe: Observer[Subject] | None = None) -> None:
    """Run the passes in order, each on what the ones before have made of the subject."""
    changed: set[str] = set()
    for each in passes:
        if each.only_after is not None and each.only_after not in changed:
            continue
        began = time.perf_counter()
        try:
            count = each.change(subject)
        except BaseException as error:
            error.add_note(f"in the pass {each.name}")
            if observe is not None:
                observe(each.name, subject, time.perf_counter() - began, error)
            raise
        if count:
            changed.add(each.name)
        if observe is not None:
            observe(each.name, subject, time.perf_counter() - began, None)
