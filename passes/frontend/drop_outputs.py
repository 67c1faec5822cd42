"""Drop outputs: what is no tensor cannot be class scores, and onnx-ir does not know maps.

    outputs label, probabilities (a ZipMap's sequence of maps)    ->    outputs label

Where such an output is the only one, or the chosen one, the model is refused.
"""

from __future__ import annotations

import onnx

from krypton_compile.errors import ModelError


def drop_outputs(model: onnx.ModelProto, output_name: str | None) -> list[str]:
    """Drops them, in place, and returns their names.

    Raises:
        ModelError: no output is left, or the chosen one is no tensor.
    """
    outputs = list(model.graph.output)
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
    del model.graph.output[:]
    model.graph.output.extend(value for value in outputs if value.name not in odd)
    if odd:
        _remove_makers(model.graph, set(odd))
    return list(odd)


def _remove_makers(graph: onnx.GraphProto, names: set[str]) -> None:
    read = {name for node in graph.node for name in node.input}
    for node in [node for node in graph.node if names & set(node.output) and not read & set(node.output)]:
        graph.node.remove(node)
