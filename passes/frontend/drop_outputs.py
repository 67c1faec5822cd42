"""Drop the outputs that are no tensors: they cannot be class scores, and onnx-ir does not know maps.

    outputs label, probabilities (a ZipMap's sequence of maps)    ->    outputs label

Where such an output is the only one, or the chosen one, the model is refused.
"""

from __future__ import annotations

import onnx

from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend.source_model import SourceModel


def drop_outputs(source: SourceModel) -> int:
    """Drop every output that is no tensor, and the nodes that make it; return the number of outputs dropped.

    Raises:
        ModelError: if none of the outputs is a tensor, or the one called ``output_name`` is not.
    """
    graph, output_name = source.proto.graph, source.output_name
    outputs = list(graph.output)
    odd = {value.name: value.type.WhichOneof("value") for value in outputs}
    odd = {name: kind for name, kind in odd.items() if kind not in ("tensor_type", None)}
    if odd and (output_name in odd or len(odd) == len(outputs)):
        name = output_name if output_name in odd else next(iter(odd))
        kind = odd[str(name)].removesuffix("_type")
        others = ", ".join(f"'{value.name}'" for value in outputs if value.name not in odd)
        choice = f"name another output with --output-name ({others}), or " if others else ""
        raise ModelError(
            f"output '{name}' is a {kind}: expected a tensor [1, classes]. Remedy: {choice}export the tensor itself "
            "(skl2onnx: options={'zipmap': False})."
        )
    del graph.output[:]
    graph.output.extend(value for value in outputs if value.name not in odd)
    if odd:
        _remove_makers(graph, set(odd))
    return len(odd)


def _remove_makers(graph: onnx.GraphProto, names: set[str]) -> None:
    read = {name for node in graph.node for name in node.input}
    for node in [node for node in graph.node if names & set(node.output) and not read & set(node.output)]:
        graph.node.remove(node)
