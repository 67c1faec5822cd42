"""How a rule says that it does not hold for a node."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - a rule's answer, which the walk takes; no error that a user meets
    """A rule does not hold for a node.

    ``reason`` is a sentence about the node ("its weights are not constant"), and reaches the compile
    report, joined to those of the node's other rules.

    A rule is a function ``lower(node, context) -> Form``. It may

    * ask the context for what it needs: ``context.delta(node, 0)``, ``context.constant(...)``,
      ``context.base_map(...)`` and the like. They raise Refused where the node has no such thing,
      so nothing need be checked before;
    * emit at any time: ``context.emitter.emit`` into the body, ``emit_base`` and ``initializer``
      into the base graph, and the helpers in :mod:`krypton_compile.passes.lower.emit`;
    * raise Refused at any time: all that the rule has emitted is taken back, names included, and
      the node's next rule is tried;
    * set ``context.forms`` of the second output and those behind it; the rule returns that of the
      first.

    It may do nothing else. It makes no whole maps, which is what
    :mod:`krypton_compile.passes.lower.dense` is for, changes the graph through the emitter alone, and
    reads no other node than its own and those that make its inputs.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
