"""Lower: the incremental body of a model, node by node through an explicit table of rules.

Before: a canonical graph. After: the same graph, with base maps and other once-an-image nodes added, and
beside it the body: incremental ops for the nodes whose rule accepts them, the original ops on T' for the rest,
each with the reason. A rule refuses by returning that reason; nothing falls back silently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from krypton_compile.contract.layouts import KINDS, as_volume, axes_of
from krypton_compile.contract.schemas import DOMAIN, FUNCTIONS
from krypton_compile.passes.interface import Interface, static_shape
from krypton_compile.passes.lower.context import Delta, Dense, Form, LoweringContext, make_delta
from krypton_compile.passes.lower.dense import densify, lower_dense
from krypton_compile.passes.lower.dense_per_position import reads
from krypton_compile.passes.lower.dense_rest import lower_rest, needs_the_rest
from krypton_compile.passes.lower.rules import (
    activation,
    binary,
    channels,
    clip,
    concat,
    conv,
    conv_transpose,
    elementwise,
    gemm,
    global_pool,
    layer_norm,
    layout,
    lrn,
    pool,
    resample,
    softmax,
)

_SLICED = ("chunk.slices", "chunk.slice_offsets")
INCREMENTAL, DENSE, BASE_ONLY = "incremental", "dense", "base only"


@dataclass(frozen=True)
class Rule:
    """A delta rule: the reason why it does not apply, the emission, and of how many spatial axes it holds."""

    check: Callable[[ir.Node, LoweringContext], str | None]
    lower: Callable[[ir.Node, LoweringContext], Form]
    axes: tuple[int, ...] = (2,)

    def refuse(self, node: ir.Node, context: LoweringContext) -> str | None:
        """Why the rule does not apply to the node, or None."""
        for value in node.inputs:
            form = context.forms.get(value) if value is not None else None
            if isinstance(form, Delta) and axes_of(form.layout) not in self.axes:
                return f"its rule does not hold for a {KINDS[axes_of(form.layout)]}"
        return self.check(node, context)


_ANY = tuple(KINDS)


_CHANNELS = Rule(channels.check, channels.lower, _ANY)
_ELEMENTWISE = Rule(elementwise.check, elementwise.lower, _ANY)
_LAYOUT = Rule(layout.check, layout.lower, _ANY)
_POOL = Rule(pool.check, pool.lower, _ANY)
_PRODUCT = Rule(gemm.check, gemm.lower, _ANY)
_REDUCE = Rule(global_pool.check, global_pool.lower, _ANY)
_ACTIVATION = Rule(clip.check, clip.lower, _ANY)
_FUNCTION = Rule(activation.check, activation.lower, _ANY)
_BINARY = Rule(binary.check, binary.lower, _ANY)
_ROWS = Rule(softmax.check, softmax.lower, _ANY)
_SPACE = Rule(resample.check, resample.lower)
_TRANSPOSED = Rule(conv_transpose.check, conv_transpose.lower)

RULES: dict[str, Rule | tuple[Rule, Rule]] = {
    "Add": (_ELEMENTWISE, _BINARY),
    "AveragePool": _POOL,
    "BatchNormalization": _ELEMENTWISE,
    "Clip": _ACTIVATION,
    "Concat": Rule(concat.check, concat.lower, _ANY),
    "Conv": Rule(conv.check, conv.lower, _ANY),
    "ConvTranspose": _TRANSPOSED,
    "DepthToSpace": _TRANSPOSED,
    "Div": (_ELEMENTWISE, _BINARY),
    "Dropout": _LAYOUT,
    "Flatten": _LAYOUT,
    "Gather": (_CHANNELS, _SPACE),
    "Gemm": _PRODUCT,
    "Expand": _CHANNELS,
    "GlobalAveragePool": _REDUCE,
    "GlobalMaxPool": _REDUCE,
    "Identity": _LAYOUT,
    "LRN": Rule(lrn.check, lrn.lower),
    "LayerNormalization": Rule(layer_norm.check, layer_norm.lower, _ANY),
    "LogSoftmax": _ROWS,
    "MatMul": _PRODUCT,
    "Max": (_ACTIVATION, _BINARY),
    "LpPool": _POOL,
    "MaxPool": _POOL,
    "Min": (_ACTIVATION, _BINARY),
    "Mul": (_ELEMENTWISE, _BINARY),
    "Pow": _BINARY,
    "Pad": (_LAYOUT, _SPACE),
    "ReduceL1": _ROWS,
    "ReduceL2": _ROWS,
    "ReduceLogSumExp": _ROWS,
    "ReduceMax": (_REDUCE, _ROWS),
    "ReduceMean": (_REDUCE, _ROWS),
    "ReduceMin": _ROWS,
    "ReduceSum": (_REDUCE, _ROWS),
    "ReduceSumSquare": _ROWS,
    "Relu": _ACTIVATION,
    "Reshape": _LAYOUT,
    "Resize": _SPACE,
    "Slice": (_CHANNELS, _SPACE),
    "Softmax": _ROWS,
    "SpaceToDepth": _TRANSPOSED,
    "Split": _CHANNELS,
    "Sub": (_ELEMENTWISE, _BINARY),
    "Transpose": _LAYOUT,
    **dict.fromkeys((*FUNCTIONS, "Neg", "PRelu"), _FUNCTION),
}
"""Where an op has two, the second is tried where the first does not apply."""


@dataclass(frozen=True)
class Outcome:
    """What became of one node: INCREMENTAL, DENSE or BASE_ONLY, and why if not incremental."""

    node: ir.Node
    became: str
    reason: str


@dataclass(frozen=True)
class OcclusionInputs:
    """The body's inputs: NHWC image and baseline maps, patches and mask (outer scope); boxes and offsets."""

    image: ir.Value
    baseline: ir.Value
    patches: ir.Value
    mask: ir.Value
    boxes: ir.Value
    offsets: ir.Value


def lower(context: LoweringContext, interface: Interface, inputs: OcclusionInputs) -> list[Outcome]:
    """Fills the context's body and forms; one outcome a node, in graph order."""
    image = interface.image
    occlusion = [inputs.image, inputs.baseline, inputs.patches, inputs.mask, inputs.boxes, inputs.offsets]
    boxes = inputs.boxes
    if axes_of(interface.layout) != 2:
        attributes = {"image_shape": interface.image_shape}
        boxes = context.emit("SliceBoxes", [boxes, inputs.offsets], attributes, *_SLICED)
        occlusion[4:] = context.body[-1].outputs
    values = context.emit("OcclusionDelta", occlusion, {}, f"{image.name}.delta")
    live = context.shrink(values, boxes, str(image.name))
    depth, height, width = as_volume(interface.image_shape)
    context.forms[image] = Delta(values, boxes, live, interface.layout, interface.channels, height, width, depth)
    outcomes: list[Outcome] = []
    nodes = [node for node in context.graph if node.domain != DOMAIN]
    for index, node in enumerate(nodes):
        context.source = node
        reason = needs_the_rest(node) if any(value in context.forms for value in reads(node)) else None
        if reason is not None:
            outcomes += _lower_rest(nodes[index:], reason, interface, context)
            break
        outcomes.append(_lower_node(node, context))
    context.source = None
    return outcomes


def occluded(value: ir.Value, context: LoweringContext) -> Dense:
    """T' of an output of the base graph for the chunk's positions."""
    return densify(context.replaced.get(value, value), context)


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
    found = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    rules = found if isinstance(found, tuple) else (found,) if found else ()
    reason: str | None = f"no incremental rule for {node.op_type}"
    for rule in rules:
        reason = rule.refuse(node, context)
        if reason is None:
            output = node.outputs[0]
            form = rule.lower(node, context)
            context.forms[context.replaced.get(output, output)] = form
            return Outcome(node, INCREMENTAL, "approximate: its gate is frozen" if node in context.frozen else "")
        if any(isinstance(form, Dense) for form in dependent):
            break  # the next rule cannot help that, and knows less of gates
    if str(node.name) in context.supposed and _suppose(node, context):
        return Outcome(node, INCREMENTAL, "supposed")
    lower_dense(node, context)
    return Outcome(node, DENSE, str(reason))


def _suppose(node: ir.Node, context: LoweringContext) -> bool:
    """Boxes alone: the output changes where the first map of its size among the inputs does; False if there is none."""
    for value in node.inputs:
        x = context.forms.get(value) if value is not None else None
        if value is None or not isinstance(x, Delta):
            continue
        if static_shape(node.outputs[0])[1:] == static_shape(value)[1:]:
            context.forms[node.outputs[0]] = make_delta(node, x.values, x.boxes, x.layout, x.live)
            return True
    return False
