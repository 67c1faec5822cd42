"""Fallbacks: which ops force a dense region, how much work lies in it, and what it costs.

An op without a rule, or whose rule refuses, makes whole maps of its input, and what reads them stays dense. What that
costs is found by supposing otherwise: the body is lowered again with the op's output changing only where its input
does, which nothing ever runs, and the redundancy ratio R counted anew. So for a network with gates

    16 x Mul, first 'node_mul_64' [1, 32, 112, 112]: its gate depends on the whole image ...
        96.2% of the multiply-adds are dense from there on; R would be 1.9 instead of 1.0

Ops that refuse for the same reason are one entry, and the next ones count with these supposed away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from krypton_compile.compiler.report import Fallback, LayerReport, Report

_ROUNDS = 100
_BY_NATURE = ("its input is dense", "class vector", "behind '")


def find_fallbacks(relower: Callable[[frozenset[str]], Report]) -> list[Fallback]:
    """Find all fallbacks of a model, in graph order.

    Args:
        relower: lowers the model anew, the nodes of these names supposed to keep changes where they are, and reports.
    """
    supposed: frozenset[str] = frozenset()
    report, fallbacks = relower(supposed), list[Fallback]()
    for _ in range(_ROUNDS):
        group = _first_group(report.layers)
        if not group:
            break
        names = tuple(layer.name for layer in group)
        supposed |= set(names)
        without = relower(supposed)
        helped = all(layer.became != "dense" for layer in without.layers if layer.name in names)
        entry = Fallback(
            group[0].op,
            names,
            group[0].shape,
            group[0].reason,
            _dense_share(report.layers, group[0]),
            report.redundancy_overlap,
            without.redundancy_overlap if helped else None,
        )
        last = fallbacks[-1] if fallbacks else None
        if helped and last is not None and (last.op, last.reason) == (entry.op, entry.reason):
            fallbacks[-1] = replace(last, names=last.names + names, ratio_without=entry.ratio_without)
        else:
            fallbacks.append(entry)
        if not helped:
            break  # what lies behind has no geometry to count with
        report = without
    return fallbacks


def _first_group(layers: Sequence[LayerReport]) -> list[LayerReport]:
    """The first dense op that is so for a reason of its own, and all others like it."""
    own = [layer for layer in layers if layer.became == "dense" and not layer.reason.startswith(_BY_NATURE)]
    return [layer for layer in own if (layer.op, layer.reason) == (own[0].op, own[0].reason)]


def _dense_share(layers: Sequence[LayerReport], first: LayerReport) -> float:
    """The share of all multiply-adds that is dense from ``first`` on."""
    whole = sum(layer.multiply_adds for layer in layers)
    behind = layers[layers.index(first) :]
    return sum(layer.multiply_adds for layer in behind if layer.became == "dense") / max(1, whole)
