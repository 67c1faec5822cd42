"""Let onnxscript's rewrite rules look only where they can match, so that their time is linear in the nodes.

A rule whose pattern has several outputs lists all nodes of the graph for every node, whatever that is: its time is
quadratic, 7 of the 11 seconds of a model with 4,000 nodes. What matches is not changed by leaving out nodes of another
op than the pattern ends in, nor by looking for the others among the readers of the tensor that all of them must read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
from onnxscript import rewriter
from onnxscript.rewriter import MatchResult

_NOTHING = MatchResult().fail("another op")


@contextmanager
def quick_rules() -> Iterator[None]:
    """Within the block the optimizer's own rules are quick. Not for several threads at once."""
    rules: Sequence[Any] = getattr(rewriter, "_DEFAULT_REWRITE_RULES", ())
    matchers = [(rule, rule._matcher) for rule in rules if hasattr(rule, "_matcher")]
    for rule, matcher in matchers:
        rule._matcher = _QuickMatcher(matcher)
    try:
        yield
    finally:
        for rule, matcher in matchers:
            rule._matcher = matcher


class _QuickMatcher:
    """A rule's matcher, asked only of nodes that its pattern may end in."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher
        pattern = matcher.pattern
        ends = [pattern.output_node] if pattern.has_single_output_node else list(pattern.output_nodes)
        self._ends_in = ends[0].op_identifier()
        self._order: dict[ir.Value, list[ir.Node]] = {}
        inputs = [end.inputs[:1] for end in ends]
        # Of several ends alike that read one tensor, all are readers of the first one's.
        self._one_source = len(ends) > 1 and all(
            end.op_identifier() == self._ends_in and len(first) == 1 and first[0] is inputs[0][0]
            for end, first in zip(ends, inputs, strict=True)
        )

    def match(self, model: ir.Model, graph: ir.Graph | ir.Function, node: ir.Node, **options: Any) -> MatchResult:
        """Match the pattern against the nodes that end in this one."""
        if self._ends_in is not None and node.op_identifier() != self._ends_in:
            return _NOTHING
        among: Any = graph
        if self._one_source and node.inputs and node.inputs[0] is not None:
            among = _Among(graph, self._in_order(graph, node, node.inputs[0]))
        found: MatchResult = self._matcher.match(model, among, node, **options)
        return found

    def _in_order(self, graph: ir.Graph | ir.Function, node: ir.Node, value: ir.Value) -> list[ir.Node]:
        """The readers of a value that the pattern may end in, as they stand in the graph: the first one is matched."""
        readers = {user for user, _ in value.uses() if user.op_identifier() == self._ends_in}
        if readers == {node}:
            return [node]
        known = self._order.get(value, [])
        if not readers <= set(known):
            known = self._order[value] = [each for each in graph if each in readers]
        return [each for each in known if each in readers]


class _Among:
    """Some nodes of a graph, for a matcher that goes through a graph's nodes."""

    def __init__(self, graph: ir.Graph | ir.Function, nodes: list[ir.Node]) -> None:
        self.graph = graph.graph if isinstance(graph, ir.Function) else graph
        self._nodes = nodes

    def __iter__(self) -> Iterator[ir.Node]:
        return iter(self._nodes)
