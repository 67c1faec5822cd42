"""Body: from a simplified graph to its incremental body, and what happens to that as a whole.

`BODY` lists its passes in order; each changes an `IncrementalBody` and returns how much (runner.py). What the passes
hand to each other stands in the functions below: they take from the body what a pass works on, and put back what it
returns.
"""

from __future__ import annotations

from krypton_compile.contract.layouts import own_shape
from krypton_compile.errors import ModelError
from krypton_compile.passes.body import properties as has
from krypton_compile.passes.body.add_thresholds import add_thresholds
from krypton_compile.passes.body.annotate_growth import annotate_growth
from krypton_compile.passes.body.batch_positions import batch_positions
from krypton_compile.passes.body.chunk_size import choose_chunk
from krypton_compile.passes.body.fuse_concat import fuse_concat
from krypton_compile.passes.body.fuse_epilogue import fuse_epilogue
from krypton_compile.passes.body.incremental_body import IncrementalBody, begin_body
from krypton_compile.passes.body.propagate_boxes import propagate_boxes
from krypton_compile.passes.body.shorten_inputs import shorten_inputs
from krypton_compile.passes.lower.walk import lower, occluded
from krypton_compile.passes.runner import Pass

__all__ = ["BODY", "COUNTING", "BodyPass", "IncrementalBody", "begin_body"]

BodyPass = Pass[IncrementalBody]


def _lower(body: IncrementalBody) -> int:
    """Lower every node of the base graph.

    Raises:
        ModelError: if the scores do not depend on the image.
    """
    context, interface = body.context, body.interface
    body.outcomes = lower(context, interface, body.inputs)
    if interface.scores not in context.emitter.replaced and interface.scores not in context.forms:
        raise ModelError(f"output '{interface.scores.name}' does not depend on the image '{interface.image.name}'")
    for value in (interface.scores, interface.logits):
        if value is not None:
            occluded(value, context)
    return len(context.emitter.body)


def _add_thresholds(body: IncrementalBody) -> int:
    body.layer_groups = add_thresholds(body.context, body.contract)
    return len(body.layer_groups)


def _propagate_boxes(body: IncrementalBody) -> int:
    body.growth = propagate_boxes(body.context.emitter.body, body.inputs.boxes, body.grid)
    return 0


def _annotate_growth(body: IncrementalBody) -> int:
    return annotate_growth(body.growth)


def _fuse_epilogue(body: IncrementalBody) -> int:
    before = len(body.context.emitter.body)
    body.context.emitter.body = fuse_epilogue(body.context.emitter.body, body.growth)
    return before - len(body.context.emitter.body)


def _fuse_concat(body: IncrementalBody) -> int:
    if body.context.target.provider == "cuda":
        return 0
    body.context.emitter.body, changes = fuse_concat(body.context.emitter.body)
    return changes


def _batch_positions(body: IncrementalBody) -> int:
    body.chunk = body.chunk or choose_chunk(body.context)
    groups = len(body.layer_groups)
    batch_positions(body.context, body.interface, body.contract, body.inputs, body.chunk, groups)
    body.is_batched = True
    return 1


def _shorten_inputs(body: IncrementalBody) -> int:
    interface = body.interface
    own = own_shape(interface.own_layout, interface.image_shape, interface.channels)
    return shorten_inputs(body.model.graph, [interface.image, body.contract.baseline], own)


_LOWER = BodyPass("lower", _lower, ensures=(has.LOWERED,), idempotent=False)
_PROPAGATE_BOXES = BodyPass("propagate_boxes", _propagate_boxes, requires=(has.LOWERED,), ensures=(has.GROWTH_KNOWN,))

BODY: tuple[BodyPass, ...] = (
    _LOWER,
    BodyPass(
        "add_thresholds", _add_thresholds, requires=(has.LOWERED,), ensures=(has.THRESHOLDS_IN_PLACE,), idempotent=False
    ),
    _PROPAGATE_BOXES,
    BodyPass("annotate_growth", _annotate_growth, requires=(has.GROWTH_KNOWN,), ensures=(has.GROWTH_WRITTEN,)),
    BodyPass(
        "fuse_epilogue",
        _fuse_epilogue,
        requires=(has.GROWTH_KNOWN, has.THRESHOLDS_IN_PLACE),
        breaks=(has.GROWTH_KNOWN,),
    ),
    BodyPass("fuse_concat", _fuse_concat, requires=(has.THRESHOLDS_IN_PLACE,), breaks=(has.GROWTH_KNOWN,)),
    BodyPass(
        "batch_positions",
        _batch_positions,
        requires=(has.LOWERED, has.THRESHOLDS_IN_PLACE),
        ensures=(has.CONTRACT_KEPT,),
        idempotent=False,
    ),
    BodyPass("shorten_inputs", _shorten_inputs, requires=(has.CONTRACT_KEPT,), ensures=(has.OWN_SHAPE,)),
)

COUNTING: tuple[BodyPass, ...] = (_LOWER, _PROPAGATE_BOXES)
"""All that a report of multiply-adds needs; nothing runs the body that is left."""
