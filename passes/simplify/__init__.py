"""Simplify: from what exporters write to ops that have rules.

`SIMPLIFY` lists its passes in order; each changes an `ir.Model` and returns how much (runner.py). `CANONICALIZE` is
run again where `measure_shapes` has found shapes that let it go on. Half of its passes are onnx-ir's own.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir
from onnx_ir.passes import common

from krypton_compile.passes.runner import Change, Pass
from krypton_compile.passes.simplify import properties as has
from krypton_compile.passes.simplify.decompose import decompose
from krypton_compile.passes.simplify.dequantize_weights import dequantize_weights
from krypton_compile.passes.simplify.folding.absorb_pads import absorb_pads
from krypton_compile.passes.simplify.folding.commute_average_pool import commute_average_pool
from krypton_compile.passes.simplify.folding.commute_mean import commute_mean
from krypton_compile.passes.simplify.folding.fold_affine import fold_affine
from krypton_compile.passes.simplify.folding.fold_constants import fold_constants
from krypton_compile.passes.simplify.folding.merge_channels import merge_channels
from krypton_compile.passes.simplify.formulas import recognize_formulas
from krypton_compile.passes.simplify.formulas.normalize_alone import normalize_alone
from krypton_compile.passes.simplify.gather_shuffles import gather_shuffles
from krypton_compile.passes.simplify.initializers import lift_constants
from krypton_compile.passes.simplify.name_blocks import name_blocks
from krypton_compile.passes.simplify.optimize import optimize, optimize_again, rewrite
from krypton_compile.passes.simplify.refuse_nodes import refuse_nodes
from krypton_compile.passes.simplify.respell import respell
from krypton_compile.passes.simplify.sizes.agree_on_sizes import agree_on_sizes
from krypton_compile.passes.simplify.sizes.infer_shapes import infer_shapes
from krypton_compile.passes.simplify.sizes.measure_shapes import measure_shapes
from krypton_compile.passes.simplify.straighten_views import straighten_views
from krypton_compile.passes.simplify.unfuse import unfuse
from krypton_compile.passes.simplify.upgrade_opset import upgrade_opset

__all__ = ["CANONICALIZE", "CLEAN_UP", "SIMPLIFY", "SimplifyPass"]

SimplifyPass = Pass[ir.Model]


def _of_onnx_ir(inner: ir.passes.PassBase) -> Change[ir.Model]:
    """Give a pass of onnx-ir's the signature of this stage; it must work in place."""
    assert inner.in_place

    def change(model: ir.Model, /) -> int:
        return int(inner(model).modified)

    return change


_REMOVE_UNUSED_NODES = SimplifyPass(
    "remove_unused_nodes", _of_onnx_ir(common.RemoveUnusedNodesPass()), ensures=(has.ALL_IN_USE,)
)
_LIFT_CONSTANTS = SimplifyPass(
    "lift_constants",
    lift_constants,
    ensures=(has.NO_CONSTANT_NODE,),
)
_FOLD_CONSTANTS = SimplifyPass(
    "fold_constants",
    fold_constants,
    requires=(has.NO_CONSTANT_NODE, has.FIXED_INITIALIZERS),
    ensures=(has.CONSTANTS_FOLDED,),
)
_RESPELL = SimplifyPass("respell", respell, requires=(has.NO_CONSTANT_NODE,), breaks=(has.NO_IDENTITY, has.ALL_IN_USE))
_OPTIMIZED = (has.INLINED, has.NO_CONSTANT_NODE)

CANONICALIZE: tuple[SimplifyPass, ...] = (
    SimplifyPass(
        "remove_initializers_from_inputs",
        _of_onnx_ir(common.RemoveInitializersFromInputsPass()),
        ensures=(has.FIXED_INITIALIZERS,),
    ),
    _LIFT_CONSTANTS,
    SimplifyPass(
        "dequantize_weights", dequantize_weights, requires=(has.NO_CONSTANT_NODE,), ensures=(has.FLOAT_WEIGHTS,)
    ),
    _FOLD_CONSTANTS,
    _RESPELL,  # for the optimizer to fuse what it knows
    SimplifyPass("optimize", optimize, ensures=_OPTIMIZED, breaks=(has.CONSTANTS_FOLDED,), idempotent=False),
    SimplifyPass("rewrite", rewrite, requires=(has.INLINED,), breaks=(has.CONSTANTS_FOLDED, has.NO_CONSTANT_NODE)),
    SimplifyPass("optimize_again", optimize_again, ensures=_OPTIMIZED, idempotent=False),
    _LIFT_CONSTANTS,
    _FOLD_CONSTANTS,
    _RESPELL,
    SimplifyPass("eliminate_identities", _of_onnx_ir(common.IdentityEliminationPass()), ensures=(has.NO_IDENTITY,)),
    _REMOVE_UNUSED_NODES,
    SimplifyPass("infer_shapes", infer_shapes, requires=(has.FIXED_IMAGE, has.INLINED)),
)

_CANONICAL = (has.STATIC_SHAPES, has.FIXED_INITIALIZERS, has.CONSTANTS_FOLDED)
_ABSORB_PADS = SimplifyPass("absorb_pads", absorb_pads, requires=_CANONICAL, breaks=(has.ALL_IN_USE,))
_FOLD_AFFINE = SimplifyPass("fold_affine", fold_affine, requires=_CANONICAL, breaks=(has.ALL_IN_USE,))

_FOLDED_AGAIN = (_ABSORB_PADS, _FOLD_AFFINE, _REMOVE_UNUSED_NODES)

SIMPLIFY: tuple[SimplifyPass, ...] = (
    SimplifyPass("unfuse", unfuse, requires=(has.FIXED_IMAGE,)),
    SimplifyPass("normalize_alone", normalize_alone),
    SimplifyPass("refuse_nodes", refuse_nodes, ensures=(has.ANSWERABLE,)),
    SimplifyPass("upgrade_opset", upgrade_opset, requires=(has.FIXED_IMAGE,), ensures=(has.NEW_OPSET,)),
    *CANONICALIZE,
    SimplifyPass("measure_shapes", measure_shapes, requires=(has.FIXED_IMAGE,), ensures=(has.STATIC_SHAPES,)),
    *(replace(each, only_after="measure_shapes") for each in CANONICALIZE),
    SimplifyPass("agree_on_sizes", agree_on_sizes, requires=(has.STATIC_SHAPES,), breaks=(has.STATIC_SHAPES,)),
    SimplifyPass(
        "infer_shapes",
        infer_shapes,
        requires=(has.FIXED_IMAGE, has.INLINED),
        ensures=(has.STATIC_SHAPES,),
        only_after="agree_on_sizes",
    ),
    SimplifyPass(
        "recognize_formulas", recognize_formulas, requires=_CANONICAL, breaks=(has.ALL_IN_USE, has.NO_IDENTITY)
    ),
    _ABSORB_PADS,
    _FOLD_AFFINE,
    SimplifyPass("decompose", decompose, requires=_CANONICAL, breaks=(has.ALL_IN_USE,)),
    _REMOVE_UNUSED_NODES,
    SimplifyPass("gather_shuffles", gather_shuffles, requires=(*_CANONICAL, has.ALL_IN_USE)),
    SimplifyPass("name_blocks", name_blocks, requires=(*_CANONICAL, has.ALL_IN_USE)),
    SimplifyPass(
        "straighten_views", straighten_views, requires=(*_CANONICAL, has.ALL_IN_USE), breaks=(has.ALL_IN_USE,)
    ),
    SimplifyPass("merge_channels", merge_channels, requires=_CANONICAL, breaks=(has.ALL_IN_USE,)),
    *(replace(each, only_after="straighten_views") for each in _FOLDED_AGAIN),
    *(replace(each, only_after="merge_channels") for each in _FOLDED_AGAIN),
    # A second run would move the pool or the mean past one more 1x1 convolution.
    SimplifyPass(
        "commute_average_pool", commute_average_pool, requires=(*_CANONICAL, has.ALL_IN_USE), idempotent=False
    ),
    SimplifyPass("commute_mean", commute_mean, requires=(*_CANONICAL, has.ALL_IN_USE), idempotent=False),
)

CLEAN_UP: tuple[SimplifyPass, ...] = (_REMOVE_UNUSED_NODES,)
"""For the base graph at the end: what base nodes were replaced, their weights above all."""
