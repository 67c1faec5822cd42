"""Lower: the incremental body of a model, node by node through an explicit table of rules.

Before: a canonical graph. After: the same graph, with base maps and other once-an-image nodes added,
and beside it the body: incremental ops for the nodes that one of their rules holds for, the original
ops on T' for the rest, each with the reasons of all its rules. Nothing falls back silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from krypton_compile.contract.layouts import as_volume, axes_of
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.passes.interface import Interface
from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.dense import densify, lower_dense
from krypton_compile.passes.lower.dense_per_position import reads
from krypton_compile.passes.lower.dense_rest import lower_rest, needs_the_rest
from krypton_compile.passes.lower.forms import Delta, Dense, Form, make_delta
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules.channels import lower_rows
from krypton_compile.passes.lower.table import ON_VALUES, RULES, Rule
from krypton_compile.passes.lower.values.baseline import Windows
from krypton_compile.passes.lower.values.find_ill_conditioned import find_ill_conditioned
from krypton_compile.passes.lower.values.pixel_local import to_delta
from krypton_compile.passes.lower.values.quiet import quieten
from krypton_compile.passes.lower.values.value_conv import lower_value_conv
from krypton_compile.passes.shapes import static_shape

_SLICED = ("chunk.slices", "chunk.slice_offsets")
INCREMENTAL, DENSE, BASE_ONLY = "incremental", "dense", "base only"
_ON_VALUES = {"Conv": Rule(lower_value_conv)} | dict.fromkeys(("Gather", "Slice", "Split"), Rule(lower_rows))
"""The rules of ops on T' itself that see more than a pixel, or choose among its channels."""


@dataclass(frozen=True)
class Outcome:
    """What became of one node: INCREMENTAL, DENSE or BASE_ONLY, and why if not incremental."""

    node: ir.Node
    became: str
    reason: str


@dataclass(frozen=True)
class OcclusionInputs:
    """The body's inputs: maps of image and baseline, patches, mask (outer scope); boxes and offsets.

    ``picture`` is the baseline as a caller gives it.
    """

    image: ir.Value
    baseline: ir.Value
    picture: ir.Value
    patches: ir.Value
    mask: ir.Value
    boxes: ir.Value
    offsets: ir.Value


def lower(context: LoweringContext, interface: Interface, inputs: OcclusionInputs) -> list[Outcome]:
    """Fill the context's body and forms, and return one outcome a node, in graph order."""
    image, emitter = interface.image, context.emitter
    occlusion = [inputs.image, inputs.baseline, inputs.patches, inputs.mask, inputs.boxes, inputs.offsets]
    boxes = inputs.boxes
    if axes_of(interface.layout) != 2:
        attributes = {"image_shape": interface.image_shape}
        sliced = emitter.emit_node("SliceBoxes", [boxes, inputs.offsets], attributes, *_SLICED)
        boxes = sliced.outputs[0]
        occlusion[4:] = sliced.outputs
    values = emitter.emit("OcclusionDelta", occlusion, {}, f"{image.name}.delta")
    live = emitter.shrink(values, boxes, str(image.name))
    depth, height, width = as_volume(interface.image_shape)
    context.forms[image] = Delta(values, boxes, live, interface.layout, interface.channels, height, width, depth)
    outcomes: list[Outcome] = []
    if not context.target.frozen_gates:  # behind a frozen gate nothing is the baseline's own
        windows = Windows(
            image,
            inputs.image,
            inputs.picture,
            inputs.baseline,
            inputs.patches,
            inputs.mask,
            inputs.boxes,
            inputs.offsets,
        )
        context.begin_baseline(windows, interface.image_shape)
    nodes = [node for node in emitter.graph if node.domain != DOMAIN]
    context.conditioning = find_ill_conditioned(nodes, image, everywhere=context.target.on_values)
    for index, node in enumerate(nodes):
        emitter.source = node
        reason = needs_the_rest(node) if any(value in context.forms for value in reads(node)) else None
        if reason is not None:
            outcomes += _lower_rest(nodes[index:], reason, interface, context)
            break
        outcomes.append(_lower_node(node, context))
    emitter.source = None
    return outcomes


def occluded(value: ir.Value, context: LoweringContext) -> Dense:
    """T' of an output of the base graph for the chunk's positions."""
    return densify(context.emitter.current(value), context)


def _lower_rest(nodes: list[ir.Node], reason: str, interface: Interface, context: LoweringContext) -> list[Outcome]:
    wanted = [value for value in (interface.scores, interface.logits) if value is not None]
    rest = set(lower_rest(nodes, wanted, context))
    behind = f"behind '{nodes[0].name}', {reason.partition(':')[0]}"
    outcomes = [Outcome(node, DENSE, behind) if node in rest else _constant(node) for node in nodes[1:]]
    return [Outcome(nodes[0], DENSE, reason), *outcomes]


def _constant(node: ir.Node) -> Outcome:
    return Outcome(node, BASE_ONLY, "does not depend on the image")


def _lower_node(node: ir.Node, context: LoweringContext) -> Outcome:
    dependent = [context.forms[value] for value in reads(node) if value in context.forms]
    if not dependent:
        return _constant(node)
    if all(isinstance(form, Dense) for form in dependent):
        lower_dense(node, context)
        # Few floats a position are left once H and W are gone; that is the classifier, not a fallback.
        shapes = [static_shape(value) for value in node.inputs if value is not None and value in context.forms]
        spatial = any(max(shape[2:], default=1) > 1 for shape in shapes)
        return Outcome(node, DENSE, "its input is dense" if spatial else "class vector, no spatial axes left")
    rules = RULES.get(node.op_type, ()) if node.domain in ("", "ai.onnx") else ()
    if any(isinstance(form, Dense) for form in dependent):
        rules = rules[:1]  # the next one cannot help that, and knows less of gates
    try:
        form = _by_rules(node, rules, context)
    except Refused as refused:
        reason = refused.reason
    else:
        context.forms[context.emitter.current(node.outputs[0])] = form
        if node in context.conditioning.quiet:
            quieten(node.outputs[0], context)
        return Outcome(node, INCREMENTAL, "approximate: its gate is frozen" if node in context.frozen else "")
    if str(node.name) in context.target.supposed and _suppose(node, context):
        return Outcome(node, INCREMENTAL, "supposed")
    lower_dense(node, context)
    return Outcome(node, DENSE, reason)


def _by_rules(node: ir.Node, rules: Sequence[Rule], context: LoweringContext) -> Form:
    """Lower the node by the first rule that does not refuse it, or on T' itself: first where it is ill-conditioned.

    Raises:
        Refused: if all rules refuse the node; the reason tells each of theirs once.
    """
    conditioning = context.conditioning
    reasons: list[str] = []
    if node in conditioning.rows:
        try:
            return _ON_VALUES.get(node.op_type, ON_VALUES).apply(node, context)
        except Refused as refused:
            if node in conditioning.whole:
                raise Refused("what follows needs more digits of its result than a delta carries") from refused
    for rule in rules:
        try:
            with context.transaction():
                for value in reads(node):
                    if value in context.forms:
                        to_delta(value, context)
                return rule.apply(node, context)
        except Refused as refused:
            reasons.append(refused.reason)
    try:
        return ON_VALUES.apply(node, context)
    except Refused as refused:
        raise Refused("; ".join(dict.fromkeys(reasons)) or refused.reason) from refused


def _suppose(node: ir.Node, context: LoweringContext) -> bool:
    """Let the output change where the first input of its map size does; False if there is none."""
    for value in node.inputs:
        x = context.forms.get(value) if value is not None else None
        if value is None or not isinstance(x, Delta):
            continue
        if static_shape(node.outputs[0])[1:] == static_shape(value)[1:]:
            context.forms[node.outputs[0]] = make_delta(node, x.values, x.boxes, x.layout, x.live)
            return True
    return False
