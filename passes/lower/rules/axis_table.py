"""Tables of what an op does to one axis of a map.

Output o is the sum over t of weight[o, t] * input[index[o, t]].

    Slice(X, 1, 7, step 2)         index [[1], [3], [5]]
    Pad(X, [2, 2], "reflect")      index [[2], [1], [0], [1], ...]
    Resize(X, linear)              index [[0, 1], ...], weight [[.75, .25], ...]

Resize has many modes, in which onnxruntime's versions agree more than their descriptions do; so it
is asked: its answers to the unit vectors are the columns of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.lower.emit import Emitter
from krypton_compile.passes.lower.forms import Delta, make_delta

Indices = npt.NDArray[np.int64]
Constants = Sequence[npt.NDArray[np.generic] | None]


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
    """``step - 1`` zeros between neighbours; of that ``length`` entries after the first ``skip``."""
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


def ask(node: ir.Node, axes: Sequence[tuple[int, Constants]], opset: int) -> list[AxisTable]:
    """Ask onnxruntime for the tables of an op, in one session.

    The op must be linear along the height of a map, but for a constant.

    Args:
        node: the op and its attributes.
        axes: for each table the size of the axis, and the op's inputs after the map.
        opset: of the op.

    Returns:
        One table an axis.

    Raises:
        Exception: if the op does not take the inputs; onnxruntime's errors have no common type.
    """
    graph = ir.Graph([], [], nodes=[], opset_imports={"": opset})
    for number, (size, constants) in enumerate(axes):
        image = _float(f"x{number}", [size + 1, 1, size, 1])
        inputs: list[ir.Value | None] = [image]
        for position, array in enumerate(constants):
            value = None
            if array is not None:
                tensor = ir.tensor(array, name=f"x{number}.{position}")
                value = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), const_value=tensor)
                graph.register_initializer(value)
            inputs.append(value)
        asked = ir.node(
            node.op_type, inputs, dict(node.attributes), outputs=[_float(f"y{number}")], name=f"asked{number}"
        )
        graph.append(asked)
        graph.inputs.append(image)
        graph.outputs.extend(asked.outputs)
    session = open_session(ir.to_proto(ir.Model(graph, ir_version=9)))
    units = [np.concatenate([np.zeros((1, size), np.float32), np.eye(size, dtype=np.float32)]) for size, _ in axes]
    feeds = {f"x{number}": unit[:, None, :, None] for number, unit in enumerate(units)}
    answers = [answer.reshape(len(answer), -1) for answer in session.run(None, feeds)]
    return [from_matrix((answer[1:] - answer[:1]).T) for answer in answers]


def emit_resampled(
    emitter: Emitter, node: ir.Node, x: Delta, vertical: AxisTable, horizontal: AxisTable, part: str = ""
) -> Delta:
    """Emit ``x`` after both tables; ``part`` sets names apart where the node needs several deltas."""
    name = f"{node.outputs[0].name}{part}"
    tables = []
    for axis, table in (("y", vertical), ("x", horizontal)):
        tables.append(emitter.initializer(f"{name}.{axis}_index", table.index))
        tables.append(emitter.initializer(f"{name}.{axis}_weight", table.weight))
    attributes = {"input_shape": x.map_shape}
    boxes = emitter.emit("ResampleBoxes", [x.live, tables[0], tables[2]], attributes, f"{name}.boxes")
    values = emitter.emit("IncrementalResample", [x.values, x.boxes, boxes, *tables], attributes, f"{name}.delta")
    if not part:
        return make_delta(node, values, boxes, x.layout)
    return Delta(values, boxes, boxes, x.layout, x.channels, len(vertical.index), len(horizontal.index))


def _float(name: str, shape: Sequence[int] | None = None) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=None if shape is None else ir.Shape(shape))
