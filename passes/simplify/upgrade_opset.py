"""Upgrade an old opset: below 13 Softmax, Clip and Squeeze mean other things.

Before: the image's shape is fixed. After: the model is of opset 13 or newer; one that was older is of opset 17.
onnx's own converter does it.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from krypton_compile.errors import ModelError

OLDEST_OPSET = 13
_UPGRADE_TO = 17
_RESIZE_HAS_MODES = 11
_OLDEST_RUN = 7


def upgrade_opset(model: ir.Model) -> int:
    """Upgrade the model in place; return 1 if it was older.

    Raises:
        ModelError: if the opset is older than any that onnxruntime runs, or onnx's converter fails.
    """
    version = model.opset_imports.get("", 1)
    if version >= OLDEST_OPSET:
        return 0
    if version < _OLDEST_RUN:
        raise ModelError(
            f"the model is of opset {version}: expected {_OLDEST_RUN} or newer, which is what onnxruntime runs. "
            f"Export it again with opset {_UPGRADE_TO}."
        )
    try:
        converted = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(model), _UPGRADE_TO))
    except Exception as error:  # the converter raises RuntimeError and others from C++
        raise ModelError(
            f"the model is of opset {version} and onnx cannot convert it to {_UPGRADE_TO}: {error}. "
            f"Export it again with opset {_UPGRADE_TO}."
        ) from error
    if version < _RESIZE_HAS_MODES:
        for node in converted.graph:
            if node.op_type == "Resize":
                _resize_as_before(node)
    _take_over(model, converted)
    return 1


def _take_over(model: ir.Model, converted: ir.Model) -> None:
    model.graph, model.ir_version = converted.graph, converted.ir_version
    for old, new in ((model.functions, converted.functions), (model.metadata_props, converted.metadata_props)):
        old.clear()
        old.update(new)  # type: ignore[arg-type]
    model.producer_name, model.producer_version = converted.producer_name, converted.producer_version
    model.domain, model.model_version, model.doc_string = (
        converted.domain,
        converted.model_version,
        converted.doc_string,
    )


def _resize_as_before(node: ir.Node) -> None:
    """Resize 10 and Upsample knew one mode of coordinates; the converter leaves the new default in its place."""
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
    scales = node.inputs[2].const_value if len(node.inputs) > 2 and node.inputs[2] is not None else None
    smaller = scales is not None and bool((scales.numpy() < 1).any())
    node.attributes.add(ir.AttrString("nearest_mode", "ceil" if smaller else "floor"))
