"""The context of a rule: what the body is for, the emitter that writes it, the form of each tensor."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.passes.lower.emit import Emitter
from krypton_compile.passes.lower.forms import Delta, Flat, Forms, Ragged, Rows
from krypton_compile.passes.lower.journal import Journal
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.values.baseline import BaselinePass, Windows
from krypton_compile.passes.lower.values.conditioning import Conditioning

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Target:
    """What the body is for.

    Attributes:
        provider: which of onnxruntime's providers runs it, one of annotations.TARGETS.
        frozen_gates: whether a gate, a product with one number a channel that depends on the image,
            keeps the base image's numbers. This is approximate.
        supposed: names of nodes that are taken to keep changes where they are; such a body is
            for counting, and never runs.
        on_values: whether all that comes before an ill-conditioned op is computed on T' itself.
    """

    provider: str = "cpu"
    frozen_gates: bool = False
    supposed: frozenset[str] = frozenset()
    on_values: bool = False

    @property
    def cuda(self) -> bool:
        """Whether it is for onnxruntime's CUDA provider."""
        return self.provider == "cuda"


class LoweringContext:
    """The base graph being read, the incremental body being written, and the form of each tensor.

    The methods below are a rule's questions about its node; each raises :class:`Refused` with the
    reason where the node has no such thing. ``frozen`` are the products whose gate was frozen. ``conditioning`` is what
    is computed on T' itself, and ``baseline`` the baseline's own base pass, None where there is none.
    """

    def __init__(self, graph: ir.Graph, target: Target) -> None:
        self._journal = Journal()
        self.target = target
        self.emitter = Emitter(graph, self._journal, shrinks=not target.cuda)
        self.forms = Forms(self._journal)
        self.frozen: list[ir.Node] = []
        self.conditioning = Conditioning()
        self.baseline: BaselinePass | None = None

    def begin_baseline(self, windows: Windows, image_shape: tuple[int, ...]) -> None:
        """Let ops read the baseline's own base pass, where they ask for it."""
        self.baseline = BaselinePass(self.emitter, self._journal, windows, image_shape)

    def transaction(self) -> AbstractContextManager[None]:
        """Open a block of which nothing is left if it raises: no node, no form, no frozen gate."""
        return self._journal.transaction()

    def value(self, node: ir.Node, index: int) -> ir.Value:
        """The node's input.

        Raises:
            Refused: if the node does not give this input.
        """
        value = input_of(node, index)
        if value is None:
            raise Refused(f"it has no input {index}")
        return value

    def delta(self, node: ir.Node, index: int = 0) -> Delta:
        """The spatial delta of an input.

        Raises:
            Refused: if the input is constant, flattened, or known as whole maps alone.
        """
        form = self.forms.get(self.value(node, index))
        if isinstance(form, Delta):
            return form
        if form is None:
            raise Refused(f"its input {index} does not depend on the image, others do")
        if isinstance(form, Rows):
            raise Refused("its input is known as values on boxes alone")
        raise Refused("its input is a flattened map" if isinstance(form, Flat) else "one of its inputs is dense")

    def delta_of_channels_first(self, node: ir.Node, index: int = 0) -> Delta:
        """The spatial delta of an input whose channels come before its spatial axes.

        Raises:
            Refused: if the input has no spatial delta, or its channels come last.
        """
        x = self.delta(node, index)
        if not x.channels_first:
            raise Refused(f"its input is {x.layout}, whose channels do not come first")
        return x

    def base_map(self, node: ir.Node, index: int = 0) -> ir.Value:
        """The view [H, W, C] of an input of the base graph, [D, H, W, C] of a volume.

        Raises:
            Refused: if the input has no spatial delta.
        """
        return self.emitter.base_map(self.value(node, index), self.delta(node, index).layout)

    def weight(self, node: ir.Node, index: int, what: str) -> ir.Value:
        """An input that is an initializer, its array unread; ``what`` names it in the reason, in the plural.

        Raises:
            Refused: if the input is missing or not constant.
        """
        value = input_of(node, index)
        if value is None or value.const_value is None:
            raise Refused(f"its {what} are not constant")
        return value

    def constant(self, node: ir.Node, index: int, what: str) -> Array:
        """The array of an input; ``what`` names it in the reason, in the plural.

        Raises:
            Refused: if the input is missing or not constant.
        """
        array = array_of(input_of(node, index))
        if array is None:
            raise Refused(f"its {what} are not constant")
        return array

    def optional_constant(self, node: ir.Node, index: int, what: str) -> Array | None:
        """The array of an input, None where the node does not give one.

        Raises:
            Refused: if the node gives one that is not constant.
        """
        return None if input_of(node, index) is None else self.constant(node, index, what)

    def axis(self, node: ir.Node, x: Ragged, default: int = 0) -> int:
        """The attribute ``axis`` of a node that reads ``x``, counted from the front."""
        return node.attributes.get_int("axis", default) % len(x.layout)

    def depends_on_image(self, node: ir.Node, index: int) -> bool:
        """Whether the node has this input and it changes with the occluded image."""
        return input_of(node, index) in self.forms

    def freeze(self, node: ir.Node) -> None:
        """Note that the node's gate keeps the base image's numbers."""
        self.frozen.append(node)
        self._journal.note(self.frozen.pop)


def input_of(node: ir.Node, index: int) -> ir.Value | None:
    """The node's input, None where it does not give this one."""
    return node.inputs[index] if index < len(node.inputs) else None


def array_of(value: ir.Value | None) -> Array | None:
    """The value's array where it is an initializer, else None."""
    tensor = None if value is None else value.const_value
    return None if tensor is None else tensor.numpy()
