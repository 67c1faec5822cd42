"""What holds of a model between the frontend's passes; tests look, compilations do not."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from krypton_compile.errors import ModelError
from krypton_compile.passes.frontend.accept_spellings import find_spelling
from krypton_compile.passes.frontend.axes.find_axes import find_input, read_sizes
from krypton_compile.passes.frontend.cap_opset import CAP
from krypton_compile.passes.frontend.check_model import check_model
from krypton_compile.passes.frontend.drop_inputs import find_idle
from krypton_compile.passes.frontend.narrow_double import computes_in_double
from krypton_compile.passes.frontend.replace_retired import find_retired
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.subgraphs import subgraphs
from krypton_compile.passes.frontend.unbatch import find_batch
from krypton_compile.passes.frontend.widen_half import HALVES
from krypton_compile.passes.frontend.widen_image import find_integer_image
from krypton_compile.passes.runner import Property

SourceProperty = Property[SourceModel]


def _odd_output(source: SourceModel) -> str | None:
    for value in source.proto.graph.output:
        kind = value.type.WhichOneof("value")
        if kind not in ("tensor_type", None):
            return f"output '{value.name}' is a {kind}"
    return None


def _sparse_tensor(source: SourceModel) -> str | None:
    graph = source.proto.graph
    if graph.sparse_initializer:
        return f"initializer '{graph.sparse_initializer[0].values.name}' is sparse"
    for node in graph.node:
        if any(attribute.name == "sparse_value" for attribute in node.attribute):
            return f"Constant '{node.output[0]}' is sparse"
    return None


def _invalid(source: SourceModel) -> str | None:
    try:
        check_model(SourceModel(source.proto))
    except ModelError as error:
        return str(error)
    return None


def _held_input(source: SourceModel) -> str | None:
    for value in source.proto.graph.input:
        if value.name in source.held:
            return f"input '{value.name}' is held and still an input"
    return None


def _half(source: SourceModel) -> str | None:
    for graph in _graphs(source.proto.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type in HALVES:
                return f"value '{value.name}' has 16 bits"
        for tensor in graph.initializer:
            if tensor.data_type in HALVES:
                return f"initializer '{tensor.name}' has 16 bits"
    return None


def _double(source: SourceModel) -> str | None:
    return "the image or the weights of a convolution have 64 bits" if computes_in_double(source.proto.graph) else None


def _newer_opset(source: SourceModel) -> str | None:
    versions = [entry.version for entry in source.proto.opset_import if entry.domain in ("", "ai.onnx")]
    explained = any(note.startswith("stays above") for note in source.notes)
    return None if explained or max(versions, default=0) <= CAP else f"opset {max(versions)} and no note why"


def _batch(source: SourceModel) -> str | None:
    image, batch = find_batch(source)
    return f"input '{image.name}' has a batch of {batch}" if image is not None and batch > 1 else None


def _idle_input(source: SourceModel) -> str | None:
    idle = find_idle(source)
    return f"no output needs the input '{min(idle)}'" if idle else None


def _open_image(source: SourceModel) -> str | None:
    value = find_input(source)
    sizes = None if value is None else read_sizes(value)
    open_axes = value is not None and source.axes is not None and (sizes is None or None in sizes)
    return f"input '{value.name}' has the sizes {sizes}" if open_axes and value is not None else None


def _integer_image(source: SourceModel) -> str | None:
    found = find_integer_image(source)
    return f"input '{found}' is of integers" if found is not None else None


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _graphs(inner)


USUAL_SPELLING = SourceProperty("the model is spelled as onnx's checker wants", lambda s: find_spelling(s.proto))
NONE_RETIRED = SourceProperty("no op is one that ONNX has retired", lambda source: find_retired(source.proto))
TENSORS_AS_OUTPUTS = SourceProperty("every output is a tensor", _odd_output)
DENSE_TENSORS = SourceProperty("no tensor is sparse", _sparse_tensor)
VALID = SourceProperty("onnx's checker accepts the model", _invalid)
NO_HELD_INPUT = SourceProperty("what is held is no input", _held_input)
NO_HALVES = SourceProperty("nothing has 16 bits", _half)
NO_DOUBLE_IMAGE = SourceProperty("neither image nor convolution has 64 bits", _double)
CAPPED = SourceProperty(f"the opset is at most {CAP}, or a note says why not", _newer_opset)
INPUTS_IN_USE = SourceProperty("the scores depend on every input", _idle_input)
IMAGE_FIXED = SourceProperty("the image has its size in numbers", _open_image)
ONE_IMAGE = SourceProperty("the image's batch is 1 or free", _batch)
FLOAT_IMAGE = SourceProperty("the image is not of integers", _integer_image)
