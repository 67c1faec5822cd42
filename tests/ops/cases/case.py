"""A case: one call of one op, and the model that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

from krypton_compile.contract.schemas import DOMAIN, SCHEMAS, VERSION


@dataclass(frozen=True)
class Case:
    """One call of one op; an input that is None is left out."""

    name: str
    op: str
    inputs: Sequence[np.ndarray | None]
    attributes: dict[str, Any] = field(default_factory=dict)


def make_model(case: Case) -> onnx.ModelProto:
    """A model of the one node; inputs i0, i1, ..., outputs o0, o1, ..."""
    schema = next(schema for schema in SCHEMAS if schema.name == case.op)
    names = ["" if array is None else f"i{index}" for index, array in enumerate(case.inputs)]
    outputs = [f"o{index}" for index in range(len(schema.outputs))]
    node = helper.make_node(case.op, names, outputs, domain=DOMAIN, name="node", **case.attributes)
    graph = helper.make_graph(
        [node],
        "case",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), [f"{name}_{axis}" for axis in range(array.ndim)]
            )
            for name, array in zip(names, case.inputs, strict=True)
            if array is not None
        ],
        [
            helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind.split(":")[1].upper()), None)
            for name, kind in zip(outputs, schema.outputs, strict=True)
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)
