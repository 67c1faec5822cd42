"""Infer shapes: onnx's shape inference, whose contradictions are errors.

onnx-ir's pass leaves a model as it was where onnx finds a contradiction, and logs that; here the log is read.
"""

from __future__ import annotations

import logging
import threading

import onnx_ir as ir
from onnx_ir.passes import common

from krypton_compile.errors import ModelError
from krypton_compile.stages import INVALID, one_line

_SHAPE_LOG = logging.getLogger("onnx_ir.passes.common.shape_inference")


def infer_shapes(model: ir.Model) -> int:
    """Infer the shapes of all values; return how many have another type or shape, or initializers another place, now.

    Raises:
        ModelError: if onnx finds a contradiction, and some shape is not known without its inference.
    """
    failure, before, names = _Failure(), _types(model), list(model.graph.initializers)
    _SHAPE_LOG.addHandler(failure)
    try:
        common.ShapeInferencePass()(model)
    finally:
        _SHAPE_LOG.removeHandler(failure)
    known = all(value.shape is not None and value.shape.is_static() for node in model.graph for value in node.outputs)
    if failure.reason is not None and not known:
        raise ModelError(f"the shapes of the model contradict each other: {one_line(failure.reason)}. {INVALID}")
    moved = sum(one != other for one, other in zip(names, model.graph.initializers, strict=True))
    return moved + sum(one != other for one, other in zip(before, _types(model), strict=True))


def _types(model: ir.Model) -> list[tuple[ir.DataType | None, str]]:
    return [(value.dtype, str(value.shape)) for node in model.graph for value in node.outputs]


class _Failure(logging.Handler):
    """Keeps the exception of the last record of this thread: others may compile at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.reason: BaseException | None = None
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.thread == self._thread:
            self.reason = record.exc_info[1]
