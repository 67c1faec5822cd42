"""Optimize: onnxscript's constant folding and rewrite rules remove what exporters leave behind.

After `optimize`: functions are inlined; shape arithmetic, Identity and casts that do nothing are folded; no two
initializers or nodes are the same. After `rewrite`: Dropout and Transposes that do nothing are gone, and
BatchNormalization is part of the ConvTranspose before it.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import onnx_ir as ir
from onnxscript import optimizer
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

from krypton_compile.passes.simplify.near_neutral import near_neutral_held
from krypton_compile.passes.simplify.quick_rules import quick_rules

for _library in ("onnx_ir", "onnxscript"):
    # What these warn of ends in an error of ours or does not matter; where logging is set up, it is logged as ever.
    logging.getLogger(_library).addHandler(logging.NullHandler())

_ONE_AT_A_TIME = threading.Lock()
"""onnxscript's rules are objects of its modules, and keep what they matched in themselves."""

_RULES = [
    rules.fuse_batchnorm_into_conv_transpose_rule,
    rules.dropout_inference_rule,
    rules.no_op_transpose_rule,
    rules.transpose_transpose_rule,
]
_LIMITS: dict[str, Any] = {"input_size_limit": 1 << 16, "output_size_limit": 1 << 22}


def optimize(model: ir.Model) -> int:
    """Apply onnxscript's optimizer until nothing changes, at most four times; return 1, as it does not say how much."""
    return _optimize(model, 4)


def optimize_again(model: ir.Model) -> int:
    """Apply it to what `rewrite` has left, at most twice; return 1."""
    return _optimize(model, 2)


def rewrite(model: ir.Model) -> int:
    """Apply the rewrite rules that the optimizer does not apply by itself; return 1 if one of them did."""
    with _ONE_AT_A_TIME:
        return int(RewritePass(_RULES)(model).modified)


def _optimize(model: ir.Model, iterations: int) -> int:
    with _ONE_AT_A_TIME, near_neutral_held(model), quick_rules():
        optimizer.optimize_ir(model, num_iterations=iterations, should_fold=_folded_too, **_LIMITS)
    _forget_branches(model)
    return 1


def _forget_branches(model: ir.Model) -> None:
    """Let values forget their readers in branches of an If that are no longer there, which would keep them in use."""
    present = set(ir.traversal.RecursiveGraphIterator(model.graph))
    made = (value for node in model.graph for value in node.outputs)
    for value in (*model.graph.inputs, *model.graph.initializers.values(), *made):
        for user, index in list(value.uses()):
            if user not in present:
                user.replace_input_with(index, None)


def _folded_too(node: ir.Node) -> bool | None:
    """What the optimizer keeps by default: torch's older exporter computes with it the sizes of a Pad from a shape."""
    return True if node.op_type == "ConstantOfShape" else None
