"""The baseline's own base pass: what the network makes of the picture that shows inside the windows.

Where all pixels that an entry of T' depends on are the baseline's, once a window is hidden, T' is the
baseline's own entry, to the last bit. T0 + D is that number as well, but rounded at T0's size; a norm
of a black patch divides by what is left. So ops that are ill-conditioned read such entries here.

    counts = DifferenceCounts(image, baseline)                  once an image
    known  = BaselineRows(windows, counts, boxes, fields)       once a chunk
    T'     = TB where known, else T0 + D

TB is computed by a copy of the base graph's nodes that reads the baseline. A window that hides all
that differs from the baseline has the baseline's own scores. Only what an op asks for is emitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from krypton_compile.passes.lower.emit import Attributes, Emitter
from krypton_compile.passes.lower.forms import Journaled, Ragged
from krypton_compile.passes.lower.journal import Journal
from krypton_compile.passes.lower.values.fields import Fields, shape_of_map


@dataclass(frozen=True)
class Windows:
    """The values of graph and body that say what is hidden, and by what.

    Attributes:
        image: the graph's input, and ``image_map`` its view.
        baseline: the picture that shows inside, and ``baseline_map`` its view.
        boxes: the chunk's boxes as callers give them, and ``offsets`` their first rows in ``patches`` and ``mask``.
    """

    image: ir.Value
    image_map: ir.Value
    baseline: ir.Value
    baseline_map: ir.Value
    patches: ir.Value
    mask: ir.Value
    boxes: ir.Value
    offsets: ir.Value


class BaselinePass:
    """Emits the baseline's base pass as far as it is asked for."""

    def __init__(self, emitter: Emitter, journal: Journal, windows: Windows, image_shape: tuple[int, ...]) -> None:
        self._emitter, self._windows = emitter, windows
        self._fields = Fields(windows.boxes, image_shape)
        self._shape = image_shape
        self._copies: Journaled[ir.Value, ir.Value] = Journaled(journal)
        self._copies[windows.image] = windows.baseline
        self._maps: Journaled[ir.Value, ir.Value] = Journaled(journal)
        self._maps[windows.image] = windows.baseline_map
        self._known: Journaled[tuple[ir.Value, ir.Value] | None, ir.Value] = Journaled(journal)
        self._tables: Journaled[bytes, ir.Value] = Journaled(journal)
        self._counts: Journaled[str, ir.Value] = Journaled(journal)

    @property
    def is_used(self) -> bool:
        """Whether any op reads it."""
        return bool(self._known)

    def can_copy(self, value: ir.Value) -> bool:
        """Whether the nodes behind a value can be copied: none of them holds a graph of its own."""
        graphs = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        nodes = self._ancestors(value)
        return not any(attribute.type in graphs for node in nodes for attribute in node.attributes.values())

    def map(self, value: ir.Value, layout: str) -> ir.Value:
        """The view [H, W, C] of the baseline's own tensor; NaN and infinities of it are its own."""
        if value not in self._maps:
            view = self._emitter.base_map(value, layout)
            name = f"{value.name}.baseline_map"
            attributes: Attributes = {"layout": layout, "tensor_name": str(value.name), "finite": 0}
            copied = self._emitter.emit_base("BaseMap", [self.value(value)], attributes, name)
            copied.type, copied.shape = view.type, view.shape
            self._maps[value] = copied
        return self._maps[value]

    def value(self, value: ir.Value) -> ir.Value:
        """The baseline's own tensor of a value of the base graph."""
        for node in self._ancestors(value):
            inputs = [self._copies.get(each, each) if each is not None else None for each in node.inputs]
            names = [f"{output.name}.of_baseline" for output in node.outputs]
            copy = self._emitter.emit_base_node(node.op_type, inputs, {}, *names, domain=node.domain)
            for attribute in node.attributes.values():
                copy.attributes.add(attribute)
            if node.op_type == "BaseMap":
                copy.attributes.add(ir.AttrInt64("finite", 0))
            for output, copied in zip(node.outputs, copy.outputs, strict=True):
                copied.type, copied.shape = output.type, output.shape
                self._copies[output] = copied
        return self._copies[value]

    def known_rows(self, x: Ragged, boxes: ir.Value) -> ir.Value:
        """Bool [R]: which rows of ``boxes``, on the map of ``x``, are the baseline's own."""
        table = self._table(x)
        if (boxes, table) not in self._known:
            inputs = [*self._asked(), boxes, table]
            attributes = {"map_shape": shape_of_map(x)}
            self._known[boxes, table] = self._emitter.emit("BaselineRows", inputs, attributes, f"{boxes.name}.known")
        return self._known[boxes, table]

    def hidden(self) -> ir.Value:
        """Bool [B]: whether the whole occluded image is the baseline."""
        if None not in self._known:
            self._known[None] = self._emitter.emit("BaselineRows", self._asked(), {}, "chunk.is_baseline")
        return self._known[None]

    def _asked(self) -> list[ir.Value]:
        windows = self._windows
        if "counts" not in self._counts:
            inputs = [windows.image_map, windows.baseline_map]
            counts = self._emitter.emit_base("DifferenceCounts", inputs, {}, "krypton.difference_counts")
            depth, height, width = (*(1,) * (3 - len(self._shape)), *self._shape)
            counts.type, counts.shape = ir.TensorType(ir.DataType.INT32), ir.Shape([depth + 1, height + 1, width + 1])
            self._counts["counts"] = counts
        return [windows.boxes, windows.offsets, windows.patches, windows.mask, self._counts["counts"]]

    def _table(self, x: Ragged) -> ir.Value:
        fields = self._fields.of(x)
        key = fields.tobytes()
        if key not in self._tables:
            sizes = "x".join(str(size) for size in x.spatial)
            self._tables[key] = self._emitter.initializer(f"krypton.fields.{sizes}", fields)
        return self._tables[key]

    def _ancestors(self, value: ir.Value) -> list[ir.Node]:
        """The nodes that depend on the image and lie behind a value, as far as they are not copied yet, in order."""
        order: list[ir.Node] = []
        state: dict[ir.Node, bool] = {}
        depends: dict[ir.Node, bool] = {}
        root = value.producer()
        pending = [root] if root is not None and value not in self._copies else []
        while pending:
            node = pending[-1]
            if node in state:
                if not state[node]:
                    state[node] = True
                    depends[node] = any(self._depends(each, depends) for each in node.inputs)
                    if depends[node]:
                        order.append(node)
                pending.pop()
                continue
            state[node] = False
            for each in node.inputs:
                maker = None if each is None or each in self._copies else each.producer()
                if maker is not None and maker not in state:
                    pending.append(maker)
        return order

    def _depends(self, value: ir.Value | None, depends: dict[ir.Node, bool]) -> bool:
        if value is None:
            return False
        maker = value.producer()
        return value in self._copies or (maker is not None and depends.get(maker, False))
