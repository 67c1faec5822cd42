"""Drop the inputs that the scores do not depend on: nobody should have to give them.

model(image, keras_learning_phase), which no node reads    ->    model(image)
"""

from __future__ import annotations

import onnx

from krypton_compile.passes.frontend.check_model import reads
from krypton_compile.passes.frontend.source_model import SourceModel


def drop_inputs(source: SourceModel) -> int:
    """Drop every input without a default that no output needs; return their number.

    Where there is nothing else, and of what the caller names, all stays as it is.
    """
    graph = source.proto.graph
    idle = find_idle(source)
    if idle:
        kept = [value for value in graph.input if value.name not in idle]
        del graph.input[:]
        graph.input.extend(kept)
        _remove_readers(graph, idle)
        source.dropped.extend(sorted(idle))
    return len(idle)


def find_idle(source: SourceModel) -> set[str]:
    """Find the inputs that may be dropped."""
    graph = source.proto.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {value.name for value in graph.input} - constants
    idle = inputs - _needed(graph, source.output_name) - {source.input_name or ""}
    return idle if idle < inputs else set()


def _remove_readers(graph: onnx.GraphProto, names: set[str]) -> None:
    """Remove the nodes that depend on inputs which are gone; no score depends on them."""
    gone = set(names)
    for node in list(graph.node):
        if gone & reads(node):
            gone.update(node.output)
            graph.node.remove(node)
    kept = [value for value in graph.output if value.name not in gone]
    del graph.output[:]
    graph.output.extend(kept)


def _needed(graph: onnx.GraphProto, output_name: str | None) -> set[str]:
    outputs = {value.name for value in graph.output}
    needed = {output_name} if output_name in outputs else outputs
    names: set[str] = {name for name in needed if name is not None}
    for node in reversed(graph.node):
        if names.intersection(node.output):
            names |= reads(node)
    return names
