"""The subject of the body's passes: the base graph, and beside it the incremental body that grows out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from krypton_compile.contract.geometry import Boxes
from krypton_compile.passes.body.batch_positions import Contract, make_contract, make_occlusion_inputs
from krypton_compile.passes.body.propagate_boxes import Growth
from krypton_compile.passes.interface import Interface
from krypton_compile.passes.lower.context import LoweringContext, Target
from krypton_compile.passes.lower.walk import OcclusionInputs, Outcome


@dataclass
class IncrementalBody:
    """A body on its way into the compiled file.

    Attributes:
        model: the base graph, simplified; the passes add to it what runs once an image, and at last the body itself.
        interface: its image and its scores.
        context: what the rules read and write; in it the body's nodes, in order.
        contract: the values of the graph that a caller sees.
        inputs: the body's own inputs.
        grid: the positions of the reference patch, int32 [P, 2n].
        chunk: positions of an iteration of the Scan; chosen by `batch_positions` where it is None.
        outcomes: what `lower` made of each node of the base graph.
        layer_groups: the names of the groups of tensors that share thresholds, in order.
        growth: how large the reference patch has grown at each node of the body.
        is_batched: whether the body is part of the graph.
    """

    model: ir.Model
    interface: Interface
    context: LoweringContext
    contract: Contract
    inputs: OcclusionInputs
    grid: Boxes
    chunk: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    layer_groups: list[str] = field(default_factory=list)
    growth: dict[ir.Node, Growth] = field(default_factory=dict)
    is_batched: bool = False

    @property
    def named_interface(self) -> Interface:
        """The interface with the values that have the model's names now: a product that is the output was replaced."""
        replaced, logits = self.context.emitter.replaced, self.interface.logits
        return Interface(
            self.interface.image,
            self.interface.layout,
            replaced.get(self.interface.scores, self.interface.scores),
            None if logits is None else replaced.get(logits, logits),
            self.interface.own_layout,
            self.interface.shape,
        )


def begin_body(
    model: ir.Model,
    interface: Interface,
    grid: Boxes,
    *,
    target: str = "cpu",
    frozen_gates: bool = False,
    supposed: frozenset[str] = frozenset(),
    on_values: bool = False,
) -> IncrementalBody:
    """Begin the body of a simplified model: its inputs are there, and no nodes yet.

    Args:
        model: the base graph, which is changed.
        interface: its image and its scores.
        grid: the positions of the reference patch.
        target: the execution provider that the body is for.
        frozen_gates: gates of squeeze-and-excitation keep the image's own values, which is approximate.
        supposed: names of nodes that are taken to keep changes where they are; such a body is for counting alone.
        on_values: all that comes before an ill-conditioned op is computed on T' itself: slower, and as exact as can be.
    """
    contract = make_contract(model.graph, interface)
    context = LoweringContext(model.graph, Target(target, frozen_gates, supposed, on_values))
    inputs = make_occlusion_inputs(context, interface, contract)
    return IncrementalBody(model, interface, context, contract, inputs, grid)
