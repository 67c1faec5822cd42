"""Choose the class scores among what the model answers, as exporters leave it.

    loss = ZipMap(p), classLabel = LabelEncoder(ArgMax(p))    ->    p
    y = ArgMax(p), or one of TopK(p)                          ->    p
    logits [N, K], features [N, 512, 7, 7]                    ->    logits
    logits, probabilities = Softmax(logits)                   ->    probabilities, whose logits are known anyway
    y [N, T, K] with the index -1                             ->    y.at(-1) [N, K] = Gather(y, -1)

Sequences and maps are no scores, and onnx-ir does not know them; they are dropped. A tensor within the graph may be
named as well. Where several outputs may be the scores, all stay, and interface.py asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend.check_model import light_model, reads
from krypton_compile.passes.frontend.source_model import SourceModel

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_SAME = frozenset("Identity Cast Reshape Squeeze Unsqueeze Flatten".split())
_CHOOSING = frozenset("ArgMax TopK Hardmax Greater GreaterOrEqual Less LessOrEqual".split())
_LOOKING_UP = frozenset(("LabelEncoder", "ArrayFeatureExtractor", "Gather"))
_PROBABILITY = frozenset(("Softmax", "Sigmoid"))


def choose_output(source: SourceModel) -> int:
    """Choose the scores, and drop all other outputs; return how many outputs there are fewer, or others.

    Raises:
        ModelError: if no output can be the scores, the one called ``output_name`` cannot or does not exist, or
            ``output_index`` does not fit it.
    """
    graph, before = source.proto.graph, [value.name for value in source.proto.graph.output]
    makers = {name: node for node in graph.node for name in node.output if name}
    _open_maps(source, makers)
    _name_inner_tensor(source, makers)
    _follow_choices(source, makers)
    _choose_among_several(source, makers)
    if len(graph.output) == 1 and graph.output[0].name not in before:
        source.scores = graph.output[0].name
    elif source.output_name in makers and source.output_name not in before:
        source.scores = source.output_name
    _take_element(source)
    _remove_unread(graph)
    after = [value.name for value in graph.output]
    return int(after != before) * max(1, abs(len(before) - len(after)))


def _open_maps(source: SourceModel, makers: Mapping[str, onnx.NodeProto]) -> None:
    """Put the tensor that a ZipMap was given in the place of its map; drop all other sequences and maps."""
    graph = source.proto.graph
    outputs: list[onnx.ValueInfoProto] = []
    refused: list[tuple[str, str]] = []
    for value in graph.output:
        kind, node = value.type.WhichOneof("value"), makers.get(value.name)
        if kind in ("tensor_type", None) and (node is None or node.op_type != "ZipMap"):
            outputs.append(value)
        elif node is not None and node.op_type == "ZipMap":
            outputs.append(helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, None))
            source.notes.append(f"output '{value.name}' is a map: its tensor '{node.input[0]}' is taken")
            if source.output_name == value.name:
                source.output_name = node.input[0]
        else:
            refused.append((value.name, str(kind).removesuffix("_type")))
    chosen = [each for each in refused if each[0] == source.output_name] or (refused if not outputs else [])
    if chosen:
        name, kind = chosen[0]
        others = ", ".join(f"'{value.name}'" for value in outputs)
        choice = f"name another output with --output-name ({others}), or " if others else ""
        raise ModelError(
            f"output '{name}' is a {kind}: expected a tensor [1, classes]. Remedy: {choice}export the tensor itself "
            "(skl2onnx: options={'zipmap': False})."
        )
    _set_outputs(graph, list({value.name: value for value in outputs}.values()))


def _name_inner_tensor(source: SourceModel, makers: Mapping[str, onnx.NodeProto]) -> None:
    graph, name = source.proto.graph, source.output_name
    if name is None or name in [value.name for value in graph.output] or name not in makers:
        return
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def _follow_choices(source: SourceModel, makers: Mapping[str, onnx.NodeProto]) -> None:
    """Where no output is of floats, or TopK's best scores are one, take what the choice was made from."""
    graph = source.proto.graph
    if source.output_name is not None:
        return
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    if not all(kinds.values()):
        kinds = _infer(source.proto)[0]
    chosen = {value.name: _chosen_from(value.name, makers) for value in graph.output}
    plain = [value for value in graph.output if kinds.get(value.name) in (*_FLOATS, None) and not chosen[value.name]]
    if plain:
        _set_outputs(graph, plain)
        return
    scores = {tensor: name for name, tensor in chosen.items() if tensor is not None}
    if len(scores) == 1:
        tensor, name = next(iter(scores.items()))
        source.notes.append(
            f"output '{name}' is a choice of classes: the scores '{tensor}' that it is made from are taken"
        )
        _set_outputs(graph, [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None)])


def _chosen_from(name: str, makers: Mapping[str, onnx.NodeProto]) -> str | None:
    """The tensor of which an output is the best class, or classes; None where it is something else."""
    node = makers.get(name)
    while node is not None and node.op_type not in _CHOOSING:
        if node.op_type in _SAME or node.op_type == "LabelEncoder":
            node = makers.get(node.input[0])
        elif node.op_type in _LOOKING_UP and len(node.input) > 1:
            node = makers.get(node.input[1])
        else:
            return None
    return node.input[0] if node is not None and node.op_type in _CHOOSING else None


def _choose_among_several(source: SourceModel, makers: Mapping[str, onnx.NodeProto]) -> None:
    graph = source.proto.graph
    if source.output_name is not None or len(graph.output) < 2:
        return
    shapes, changing = _infer(source.proto)[1], _depending_on_inputs(graph)
    rows = [value for value in graph.output if value.name in changing and len(shapes.get(value.name, ())) <= 2]
    sure = all(value.name in shapes for value in graph.output)
    names = {value.name for value in rows}
    finals = [value for value in rows if not any(_behind(other, value.name, makers) for other in names - {value.name})]
    if len(finals) == 1 and (sure or len(rows) == len(graph.output)):
        others = ", ".join(f"'{value.name}'" for value in graph.output if value.name != finals[0].name)
        source.notes.append(f"several outputs: '{finals[0].name}' is taken, a row of scores; not {others}")
        _set_outputs(graph, finals)


def _behind(name: str, other: str, makers: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether an output is another one's probabilities, or the same."""
    node = makers.get(name)
    while node is not None and node.op_type in (_SAME | _PROBABILITY):
        if node.input[0] == other:
            return True
        node = makers.get(node.input[0])
    return False


def _take_element(source: SourceModel) -> None:
    """Let the scores be the element that ``output_index`` chooses of each axis behind the batch; None keeps an axis."""
    index, graph = source.output_index, source.proto.graph
    if index is None or source.is_indexed:
        return
    outputs = [value for value in graph.output if source.output_name in (None, value.name)]
    if len(outputs) != 1:
        return  # interface.py asks for the output's name
    name = outputs[0].name
    text = ",".join(":" if at is None else str(at) for at in index)
    shape = _infer(source.proto)[1].get(name)
    if shape is not None:
        _check_index(index, shape, f"--output-index {text}: output '{name}'")
    at = name
    new = f"{name}.at({text})"
    chosen = [(axis, number) for axis, number in enumerate(index, 1) if number is not None]
    for axis, number in reversed(chosen):
        constant = numpy_helper.from_array(np.array(number, np.int64), f"{new}.index{axis}")
        graph.initializer.append(constant)
        output = new if axis == chosen[0][0] else f"{new}.{axis}"
        graph.node.append(helper.make_node("Gather", [at, constant.name], [output], name=output, axis=axis))
        at = output
    source.scores, source.output_name, source.is_indexed = name, at, True
    _set_outputs(graph, [helper.make_tensor_value_info(at, TensorProto.FLOAT, None)])


def _check_index(index: Sequence[int | None], shape: Sequence[int], what: str) -> None:
    if len(index) >= len(shape):
        raise ModelError(
            f"{what} has {len(shape)} axes; expected an index for each but its batch and its classes, and ':' where an "
            "axis stays"
        )
    for axis, (at, size) in enumerate(zip(index, shape[1:], strict=False), 1):
        if at is not None and size > 0 and not -size <= at < size:
            raise ModelError(f"{what} has {size} entries on axis {axis}; expected an index from {-size} to {size - 1}")


def _depending_on_inputs(graph: onnx.GraphProto) -> set[str]:
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {value.name for value in graph.input} - constants
    names, before = set(inputs), 0
    while len(names) > before:  # the nodes are in any order yet
        before = len(names)
        for node in graph.node:
            if names & reads(node):
                names.update(node.output)
    return names - inputs


def _infer(model: onnx.ModelProto) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Types and shapes of tensors, as far as they are declared or can be inferred; 0 is an open size."""
    try:
        inferred = shape_inference.infer_shapes(light_model(model)).graph
    except Exception:  # of several types; whatever is wrong, the checker will tell
        inferred = model.graph
    values = [value for value in (*inferred.value_info, *inferred.output) if value.type.HasField("tensor_type")]
    kinds = {value.name: value.type.tensor_type.elem_type for value in values if value.type.tensor_type.elem_type}
    shaped = [value for value in values if value.type.tensor_type.HasField("shape")]
    return kinds, {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in shaped}


def _set_outputs(graph: onnx.GraphProto, outputs: Sequence[onnx.ValueInfoProto]) -> None:
    copies = list(outputs)
    del graph.output[:]
    graph.output.extend(copies)


def _remove_unread(graph: onnx.GraphProto) -> None:
    """Remove what made outputs that are no tensors: onnx-ir does not know it."""
    odd = ("ZipMap", "LabelEncoder", "ArrayFeatureExtractor")
    needed = {value.name for value in graph.output}
    while True:
        read = needed | {name for node in graph.node for name in node.input}
        unread = [node for node in graph.node if node.op_type in odd and not read & set(node.output)]
        if not unread:
            return
        for node in unread:
            graph.node.remove(node)
