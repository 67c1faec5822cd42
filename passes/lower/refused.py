"""How a rule says that it does not hold for a node."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - a rule's answer, which the walk takes; no error that a user meets
    """A rule does not hold for a node; ``reason`` reaches the compile report, a sentence about the node.

    A rule is a function ``lower(node, context) -> Form``. It may

    * ask the context for what it needs: ``context.delta(node, 0)``, ``context.value``, ``context.constant``,
      ``context.base_map``; they raise Refused where the node has no such thing, so nothing need be checked before;
    * emit at any time: ``context.emitter.emit`` into the body, ``emit_base`` into the base graph, ``initializer``, and
      the helpers in :mod:`krypton_compile.passes.lower.emit`;
    * raise Refused at any time: the walk takes back all that the rule has emitted, names included, and goes on to the
      node's next rule;
    * record the forms of the second output and those after it in ``context.forms``, and return that of the first.

    It changes nothing else: it neither makes whole maps (that is :mod:`krypton_compile.passes.lower.dense`) nor touches
    the graph but through the emitter, and knows no other node than its own and the producers of its inputs.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
