"""Canonicalize: after this pass every shape is static, batch is 1, and export noise is gone.

Holds after: constants are initializers; Identity, Dropout, shape arithmetic and casts that do nothing
are folded; BatchNormalization and zero Pads that feed a Conv or follow one are part of it:

    BN(Wx + b) = (s W) x + (s (b - mean) + beta),   s = gamma / sqrt(var + epsilon)

All of it is onnx-ir's and onnxscript's work; this file chooses and orders.
"""

from __future__ import annotations

import threading

import onnx
import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

from krypton_compile.errors import ModelError
from krypton_compile.passes.fold_constants import fold_constants

OLDEST_OPSET, NEWEST_OPSET = 13, 20
_UPGRADE_TO = 17

_ONE_AT_A_TIME = threading.Lock()
"""onnxscript's rules are objects of its modules, and keep what they matched in themselves."""

_RULES = [
    rules.normalize_pad_format_conv_rule,
    rules.fuse_pad_into_conv_rule,
    rules.fuse_batchnorm_into_conv_rule,
    rules.dropout_inference_rule,
    rules.no_op_transpose_rule,
    rules.transpose_transpose_rule,
]


def upgrade_opset(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model at opset 13 or newer: below it Softmax, Clip and Squeeze mean other things.

    Raises:
        ModelError: onnx's own converter cannot bring the model up.
    """
    version = max((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    if version >= OLDEST_OPSET:
        return proto
    try:
        return onnx.version_converter.convert_version(proto, _UPGRADE_TO)
    except Exception as error:  # the converter raises RuntimeError and others from C++
        raise ModelError(
            f"the model is of opset {version} and onnx cannot convert it to {_UPGRADE_TO}: {error}. "
            f"Export it again with opset {_UPGRADE_TO}."
        ) from error


def fix_shapes(image: ir.Value, shape: tuple[int, ...], graph: ir.Graph) -> None:
    """Batch 1 and the given sizes on the image; other recorded shapes are dropped, to be inferred anew."""
    for node in graph:
        for value in node.outputs:
            if value not in graph.outputs:
                value.shape = None
    image.shape = ir.Shape(shape)
    for value in graph.outputs:
        value.shape = None


def canonicalize(model: ir.Model) -> ir.Model:
    """Applies the folding passes until nothing changes, then shape inference; threads take turns."""
    with _ONE_AT_A_TIME:
        common.RemoveInitializersFromInputsPass()(model)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        fold_constants(model)
        optimizer.fold_constants(
            model,
            onnx_shape_inference=True,
            input_size_limit=1 << 16,
            output_size_limit=1 << 22,
            should_fold=_folded_too,
        )
        optimizer.optimize(model, num_iterations=4, input_size_limit=1 << 16, output_size_limit=1 << 22)
        model = RewritePass(_RULES)(model).model
        optimizer.optimize(model, num_iterations=2, input_size_limit=1 << 16, output_size_limit=1 << 22)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        fold_constants(model)
        common.IdentityEliminationPass()(model)
        common.RemoveUnusedNodesPass()(model)
        common.ShapeInferencePass()(model)
    return model


def _folded_too(node: ir.Node) -> bool | None:
    """What the optimizer keeps by default: torch's older exporter computes with it the sizes of a Pad from a shape."""
    return True if node.op_type == "ConstantOfShape" else None
