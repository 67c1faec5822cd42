"""What an op does to one axis of a map, as a table: output o is the sum over t of weight[o, t] * input[index[o, t]].

    Slice(X, 1, 7, step 2)         index [[1], [3], [5]]
    Pad(X, [2, 2], "reflect")      index [[2], [1], [0], [1], ...]
    Resize(X, linear)              index [[0, 1], ...], weight [[.75, .25], ...]

Resize has many modes, in which onnxruntime's versions agree more than their descriptions do; so it is asked: its
answers to the unit vectors are the columns of the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.lower.context import Delta, LoweringContext, make_delta

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AxisTable:
    """``index`` int64 [outputs, taps], -1 reads nothing; ``weight`` float32 of the same shape."""

    index: Indices
    weight: npt.NDArray[np.float32]


def select(indices: Indices) -> AxisTable:
    """Each output one input, unchanged; -1 for none."""
    return AxisTable(indices[:, None].astype(np.int64), np.ones((len(indices), 1), np.float32))


def keep(size: int) -> AxisTable:
    """The axis as it is."""
    return select(np.arange(size))


def spread(size: int, step: int, skip: int, length: int) -> AxisTable:
    """``step - 1`` zeros between neighbours; of that the ``length`` entries after the first ``skip``."""
    at = np.arange(skip, skip + length)
    return select(np.where((at % step == 0) & (at // step < size), at // step, -1))


def from_matrix(matrix: npt.NDArray[np.float32]) -> AxisTable:
    """The entries of a matrix [outputs, inputs] that are not zero."""
    taps = max(1, int((matrix != 0).sum(axis=1).max(initial=1)))
    index = np.full((len(matrix), taps), -1, np.int64)
    weight = np.zeros((len(matrix), taps), np.float32)
    for row, entries in enumerate(matrix):
        columns = np.nonzero(entries)[0]
        index[row, : len(columns)], weight[row, : len(columns)] = columns, entries[columns]
    return AxisTable(index, weight)


def ask(op: str, size: int, inputs: list[npt.NDArray[np.generic] | None], node: ir.Node, opset: int) -> AxisTable:
    """The table of an op that is linear along the height of [N, 1, size, 1] maps, but for a constant.

    ``inputs`` are those after the map, ``node`` has the attributes.

    Raises:
        onnxruntime's errors: the op does not take them.
    """
    values = [ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([size + 1, 1, size, 1]))]
    constants = []
    for position, array in enumerate(inputs):
        value = ir.Value(name="")
        if array is not None:
            tensor = ir.tensor(array, name=f"i{position}")
            value = ir.Value(name=f"i{position}", type=ir.TensorType(tensor.dtype), const_value=tensor)
            constants.append(value)
        values.append(value)
    asked = ir.node(op, [value if value.name else None for value in values], name="asked")
    for attribute in node.attributes.values():
        asked.attributes.add(attribute)
    asked.outputs[0].name, asked.outputs[0].type = "y", ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(values[:1], asked.outputs, nodes=[asked], initializers=constants, opset_imports={"": opset})
    session = open_session(ir.to_proto(ir.Model(graph, ir_version=9)))
    units = np.concatenate([np.zeros((1, size), np.float32), np.eye(size, dtype=np.float32)])
    answers = session.run(None, {"x": units.reshape(size + 1, 1, size, 1)})[0].reshape(size + 1, -1)
    return from_matrix((answers[1:] - answers[:1]).T)


def emit_resampled(
    node: ir.Node, context: LoweringContext, x: Delta, vertical: AxisTable, horizontal: AxisTable, part: str = ""
) -> Delta:
    """The delta ``x`` after both tables; ``part`` sets the names apart where the node needs several."""
    name = f"{node.outputs[0].name}{part}"
    tables = []
    for axis, table in (("y", vertical), ("x", horizontal)):
        tables.append(context.initializer(f"{name}.{axis}_index", table.index))
        tables.append(context.initializer(f"{name}.{axis}_weight", table.weight))
    attributes = {"input_shape": x.map_shape}
    boxes = context.emit("ResampleBoxes", [x.live, tables[0], tables[2]], attributes, f"{name}.boxes")
    values = context.emit("IncrementalResample", [x.values, x.boxes, boxes, *tables], attributes, f"{name}.delta")
    if not part:
        return make_delta(node, values, boxes, x.layout)
    return Delta(values, boxes, boxes, x.layout, x.channels, len(vertical.index), len(horizontal.index))
