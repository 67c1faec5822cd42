"""What holds of a body between its passes; tests look, compilations do not."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from krypton_compile.contract.annotations import NODE_GROWTH
from krypton_compile.contract.layouts import rank_of
from krypton_compile.passes.body.add_thresholds import LIMITED
from krypton_compile.passes.body.incremental_body import IncrementalBody
from krypton_compile.passes.lower.forms import Delta
from krypton_compile.passes.runner import Property

BodyProperty = Property[IncrementalBody]


def _not_lowered(body: IncrementalBody) -> str | None:
    if not body.outcomes or not body.context.emitter.body:
        return "there are no nodes"
    replaced, forms = body.context.emitter.replaced, body.context.forms
    scores = body.interface.scores
    return None if replaced.get(scores, scores) in forms else f"'{scores.name}' has no form"


def _without_threshold(body: IncrementalBody) -> str | None:
    for node in body.context.emitter.body:
        if node.op_type == "WindowBoxes" and body.contract.tau not in node.inputs[1:2]:
            return f"WindowBoxes '{node.name}' takes no tau"
    for form in body.context.forms.values():
        maker = form.values.producer() if isinstance(form, Delta) else None
        if maker is None or maker.op_type not in LIMITED or maker not in body.context.emitter.body:
            continue
        limit = maker.inputs[LIMITED[maker.op_type] :]
        if not limit or limit[0] is None:
            return f"{maker.op_type} '{maker.name}' takes no limit"
    return None


def _of_unknown_growth(body: IncrementalBody) -> str | None:
    unknown = (node for node in _convolutions(body) if node not in body.growth)
    return next((f"the growth at '{node.name}' is not known" for node in unknown), None)


def _of_unwritten_growth(body: IncrementalBody) -> str | None:
    unwritten = (node for node in _convolutions(body) if NODE_GROWTH not in node.metadata_props)
    return next((f"'{node.name}' does not say its growth" for node in unwritten), None)


def _contract_broken(body: IncrementalBody) -> str | None:
    names = body.contract.names
    roles = ["scores", "base_scores"] + (["logits", "base_logits"] if body.interface.logits else [])
    expected = [names[role] for role in roles]
    found = [str(value.name) for value in body.model.graph.outputs]
    return None if found == expected else f"outputs {found}, expected {expected}"


def _other_shape(body: IncrementalBody) -> str | None:
    rank = rank_of(body.interface.own_layout)
    inputs = (body.interface.image, body.contract.baseline)
    return next(
        (f"'{value.name}' has the shape {value.shape}" for value in inputs if len(value.shape or ()) != rank), None
    )


def _convolutions(body: IncrementalBody) -> Iterator[ir.Node]:
    return (node for node in body.context.emitter.body if node.op_type == "IncrementalConv")


LOWERED = BodyProperty("every node has an outcome, the scores a form", _not_lowered)
THRESHOLDS_IN_PLACE = BodyProperty("tau and eps reach the ops that they concern", _without_threshold)
GROWTH_KNOWN = BodyProperty("the growth at each convolution is known", _of_unknown_growth)
GROWTH_WRITTEN = BodyProperty("each convolution says its growth", _of_unwritten_growth)
OWN_SHAPE = BodyProperty("image and baseline have the shape of the user's model", _other_shape)
CONTRACT_KEPT = BodyProperty("the graph's outputs are the contract's", _contract_broken)
