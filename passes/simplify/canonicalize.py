"""Canonicalize: after this pass every shape is static, batch is 1, and export noise is gone.

Holds after: constants are initializers; Identity, Dropout, shape arithmetic and casts that do nothing are folded;
functions are inlined; BatchNormalization is part of the ConvTranspose before it.

All but the respelling is onnx-ir's and onnxscript's work; this file chooses and orders.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

from krypton_compile.errors import ModelError
from krypton_compile.passes.simplify.dequantize_weights import dequantize_weights
from krypton_compile.passes.simplify.fold_constants import fold_constants
from krypton_compile.passes.simplify.respell import respell
from krypton_compile.stages import INVALID, one_line

OLDEST_OPSET = 13
_UPGRADE_TO = 17
_RESIZE_HAS_MODES = 11
_OLDEST_RUN = 7

_SHAPE_LOG = logging.getLogger("onnx_ir.passes.common.shape_inference")
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


def upgrade_opset(model: ir.Model) -> ir.Model:
    """The model at opset 13 or newer: below it Softmax, Clip and Squeeze mean other things. The image's shape is fixed.

    Raises:
        ModelError: onnx's own converter cannot bring the model up.
    """
    version = model.opset_imports.get("", 1)
    if version >= OLDEST_OPSET:
        return model
    if version < _OLDEST_RUN:
        raise ModelError(
            f"the model is of opset {version}: expected {_OLDEST_RUN} or newer, which is what onnxruntime runs. "
            f"Export it again with opset {_UPGRADE_TO}."
        )
    proto = ir.to_proto(model)
    try:
        converted = ir.from_proto(onnx.version_converter.convert_version(proto, _UPGRADE_TO))
    except Exception as error:  # the converter raises RuntimeError and others from C++
        raise ModelError(
            f"the model is of opset {version} and onnx cannot convert it to {_UPGRADE_TO}: {error}. "
            f"Export it again with opset {_UPGRADE_TO}."
        ) from error
    if version < _RESIZE_HAS_MODES:
        for node in converted.graph:
            if node.op_type == "Resize":
                _resize_as_before(node)
    return converted


def _resize_as_before(node: ir.Node) -> None:
    """Resize 10 and Upsample knew one mode of coordinates; the converter leaves the new default in its place."""
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
    scales = node.inputs[2].const_value if len(node.inputs) > 2 and node.inputs[2] is not None else None
    smaller = scales is not None and bool((scales.numpy() < 1).any())
    node.attributes.add(ir.AttrString("nearest_mode", "ceil" if smaller else "floor"))


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
    options: dict[str, Any] = {"input_size_limit": 1 << 16, "output_size_limit": 1 << 22, "should_fold": _folded_too}
    with _ONE_AT_A_TIME:
        common.RemoveInitializersFromInputsPass()(model)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        dequantize_weights(model.graph)
        fold_constants(model.graph)
        respell(model.graph)  # for the optimizer to fuse what it knows
        optimizer.optimize_ir(model, num_iterations=4, **options)
        model = RewritePass(_RULES)(model).model
        optimizer.optimize_ir(model, num_iterations=2, **options)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        fold_constants(model.graph)
        respell(model.graph)
        common.IdentityEliminationPass()(model)
        common.RemoveUnusedNodesPass()(model)
        _infer_shapes(model)
    return model


def _folded_too(node: ir.Node) -> bool | None:
    """What the optimizer keeps by default: torch's older exporter computes with it the sizes of a Pad from a shape."""
    return True if node.op_type == "ConstantOfShape" else None


def _infer_shapes(model: ir.Model) -> None:
    """Shapes of all values; onnx-ir's pass leaves the model as it was where onnx finds a contradiction, and logs it.

    Raises:
        ModelError: there is one, and some shape is not known without.
    """
    found = _Failure()
    _SHAPE_LOG.addHandler(found)
    try:
        common.ShapeInferencePass()(model)
    finally:
        _SHAPE_LOG.removeHandler(found)
    known = all(value.shape is not None and value.shape.is_static() for node in model.graph for value in node.outputs)
    if found.reason is not None and not known:
        raise ModelError(f"the shapes of the model contradict each other: {one_line(found.reason)}. {INVALID}")


class _Failure(logging.Handler):
    """Keeps the exception of the last record."""

    reason: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.reason = record.exc_info[1]
