"""Straighten views: what reshapes a map, works on it and brings it back becomes work on the map itself.

    Reshape([1, C, H W]) - Transpose - MatMul - Transpose - Reshape([1, C, H, W])    ->    Conv1x1
    Unsqueeze - Conv2d - Squeeze, of a signal    ->    Conv1d
    Gather(1) - Mul - Unsqueeze - Concat with others    ->    Gather([1]) - Mul - Concat

Rules know maps in their own axes alone. Where a node reads a map in other axes, its output is a *view* of another map
(views/view.py), found by what the op means there. A view whose axes are a map's takes the original's place: by then
everything since the map was last one is known on maps. So does a pool over the whole map, or a product of its flattened
pixels. Where no such place is reached, as with attention, nothing is changed.

Before: a canonical graph. After: the same, shapes known; what is not read any more is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from krypton_compile.errors import ModelError
from krypton_compile.passes.interface import find_image, find_layout
from krypton_compile.passes.shapes import has_static_shape, static_shape
from krypton_compile.passes.simplify.views.blocks import as_blocks
from krypton_compile.passes.simplify.views.build import Builder, as_map, reordered
from krypton_compile.passes.simplify.views.choices import choose, slide
from krypton_compile.passes.simplify.views.elementwise import ELEMENTWISE, apply
from krypton_compile.passes.simplify.views.joins import join
from krypton_compile.passes.simplify.views.maps import is_map, is_odd, layout_after
from krypton_compile.passes.simplify.views.moves import MOVES, move
from krypton_compile.passes.simplify.views.places import INDEXED, place
from krypton_compile.passes.simplify.views.products import flattened, multiply
from krypton_compile.passes.simplify.views.reductions import normalize, reduce
from krypton_compile.passes.simplify.views.view import View, view_of
from krypton_compile.passes.simplify.views.windows import WINDOWED, slide_window

Handler = Callable[[ir.Node, Sequence[View | None], Builder], View | list[View] | None]

_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
).split()
_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(MOVES, move),
    **dict.fromkeys(ELEMENTWISE, apply),
    **dict.fromkeys(("Gather", "Slice", "Split"), choose),
    **dict.fromkeys(("CumSum", "Pad"), slide),
    **dict.fromkeys(("Einsum", "Gemm", "MatMul"), multiply),
    **dict.fromkeys(_REDUCTIONS, reduce),
    **dict.fromkeys(("Hardmax", "LayerNormalization", "LogSoftmax", "Softmax"), normalize),
    **dict.fromkeys(INDEXED, place),
    **dict.fromkeys(WINDOWED, slide_window),
    "Concat": join,
}


def straighten_views(model: ir.Model) -> int:
    """Straighten every view that becomes a map again; return the number of those."""
    graph = model.graph
    image = find_image(graph, None)
    try:
        layout = find_layout(image, model.meta.get("layout"))
    except ModelError:  # who needs it says so
        return 0
    return _Straightening(graph, image, layout).run()


class _Straightening:
    """One walk through the graph.

    ``maps``: the layouts of the values that are maps; ``views``: those that are views of maps.
    """

    def __init__(self, graph: ir.Graph, image: ir.Value, layout: str) -> None:
        self._graph = graph
        self._maps: dict[ir.Value, str] = {image: layout}
        self._views: dict[ir.Value, View] = {}
        self._build: Builder | None = None
        self._count = 0

    def run(self) -> int:
        for node in list(self._graph):
            if node.graph is not None and node.domain in ("", "ai.onnx"):
                self._visit(node)
        if self._build is not None:
            self._build.sweep()
        return self._count

    def _visit(self, node: ir.Node) -> None:
        if not all(has_static_shape(value) for value in node.outputs if value.name):
            return
        variable = [value for value in node.inputs if value is not None and value.const_value is None]
        if not variable or not all(value in self._maps or value in self._views for value in variable):
            return
        odd = any(value in self._views for value in variable) or is_odd(node, self._maps[variable[0]])
        if not odd:
            layout = layout_after(node, self._maps)
            if layout is not None:
                self._maps.update({value: layout for value in node.outputs if is_map(value, layout)})
            return
        if self._build is None:
            self._build = Builder(self._graph, node)
        self._build.at = node
        self._convert(node, self._build)

    def _convert(self, node: ir.Node, build: Builder) -> None:
        views = [self._view(value) for value in node.inputs]
        if node.op_type in ("Gemm", "MatMul") and views[0] is not None and len(views) == sum(
            view is None for view in views
        ) + 1:  # fmt: skip
            product = flattened(node, views[0], build)
            if product is not None:
                self._views[node.outputs[0]] = views[0]
                self._take_over(node.outputs[0], product)
                return
        handler = _HANDLERS.get(node.op_type)
        result = None if handler is None else handler(node, views, build)
        if result is None:
            self._arrange(node, views, build)
            return
        for value, view in zip(node.outputs, result if isinstance(result, list) else [result], strict=False):
            if view is not None:
                self._finish(value, view, build)

    def _arrange(self, node: ir.Node, views: Sequence[View | None], build: Builder) -> None:
        """Make maps of the node's inputs that are views of blocks of pixels, if it can do with maps alone."""
        maps = {value: self._maps[value] for value in node.inputs if value in self._maps}
        new: dict[ir.Value, tuple[ir.Value, str]] = {}
        for value, view in zip(node.inputs, views, strict=True):
            if value is None or view is None or value in maps or value in new:
                continue
            found = as_blocks(build, view)
            if found is None:
                return
            new[value] = found
        layouts = {value: layout for value, (_, layout) in new.items()}
        if not new or layout_after(node, {**maps, **layouts}) is None:
            return
        for value, (source, layout) in new.items():
            self._maps[source] = layout
            self._take_over(value, source)
        self._visit(node)

    def _view(self, value: ir.Value | None) -> View | None:
        if value is None or value.const_value is not None:
            return None
        return self._views[value] if value in self._views else view_of(value, self._maps[value])

    def _finish(self, value: ir.Value, view: View, build: Builder) -> None:
        """Put the view in the value's place where it is a map, or one number a channel; note it elsewhere."""
        self._views[value] = view
        if not value.uses() and not value.is_graph_output():
            return
        if not any(view.own[axis] for axis in view.spatial):
            atoms = tuple(atom for axis in view.axes for atom in axis)
            source = reordered(build, view, view.channel, atoms).source
            shape = build.constant(np.array(static_shape(value), np.int64))
            self._take_over(value, build.add("Reshape", [source, shape], static_shape(value)))
            return
        found = as_map(build, view)
        if found is not None and (build.wrote(found[0]) or not value.is_graph_output()):
            self._maps[found[0]] = found[1]
            self._take_over(value, found[0])

    def _take_over(self, value: ir.Value, new: ir.Value) -> None:
        """Let all who read the value read the new one, which gets its name if it has none of a model's."""
        assert self._build is not None
        node, name = value.producer(), value.name
        value.replace_all_uses_with(new, replace_graph_outputs=True)
        del self._views[value]
        self._count += 1
        if self._build.wrote(new):
            value.name = f"{name}.viewed"
            self._build.name(new, str(name))
        if node is not None:
            _drop(node, self._graph)


def _drop(node: ir.Node, graph: ir.Graph) -> None:
    """Remove a node that nobody reads, and those that it alone read."""
    if node.graph is None or any(value.uses() or value.is_graph_output() for value in node.outputs):
        return
    before = [value.producer() for value in node.inputs if value is not None]
    graph.remove(node, safe=True)
    for each in before:
        if each is not None:
            _drop(each, graph)
