"""The names of the classes that an exporter wrote into a model: in its metadata, or in nodes that answer with names.

    ZipMap <classlabels_strings>, classifiers        the probabilities by name
    ArgMax -> LabelEncoder <values_strings>          the predicted name
    ArgMax -> Gather (names), ArrayFeatureExtractor  the same, of a tensor of names

Numbers of classes are names where they are others than the classes' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import helper

from krypton_compile.contract.labels import labels_in_metadata
from krypton_compile.passes.interface import Interface

_SPELLED = ("classlabels_strings", "classes_strings")
_CHOOSING = ("Gather", "ArrayFeatureExtractor")
Names = tuple[str, ...]


@dataclass(frozen=True)
class ExportedNames:
    """The metadata of a model, and the names that its nodes hold, each with the node's kind."""

    metadata: Mapping[str, str]
    of_nodes: tuple[tuple[str, Names], ...]

    def of(self, interface: Interface, notes: list[str]) -> Names | None:
        """The names that are as many as the classes, or None; ``notes`` is told where they were found."""
        classes = interface.classes
        found = labels_in_metadata(self.metadata, classes)
        if found is not None:
            notes.append(f"the names of the classes are those of the model's metadata, '{found[0]}'")
            return found[1]
        for kind, names in self.of_nodes:
            if len(names) == classes and "" not in names:
                notes.append(f"the names of the classes are those of the model's {kind}")
                return names
        return None


def read_names(model: onnx.ModelProto) -> ExportedNames:
    """Read all names of a model as it was exported: the first passes take such nodes away."""
    entries = ((entry.key, entry.value) for entry in model.metadata_props)
    metadata = {key: value for key, value in entries if isinstance(key, str) and isinstance(value, str)}  # UTF-8
    return ExportedNames(metadata, tuple(_of_nodes(model.graph)))


def _of_nodes(graph: onnx.GraphProto) -> Iterator[tuple[str, Names]]:
    texts = {
        tensor.name: tuple(text.decode("utf-8", "replace").strip() for text in tensor.string_data)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.STRING
    }
    for node in graph.node:
        values = {attribute.name: attribute for attribute in node.attribute}
        spelled = next((values[name] for name in _SPELLED if name in values), None)
        if spelled is not None:
            yield node.op_type, _strings(spelled)
        elif "classlabels_int64s" in values:
            numbers = helper.get_attribute_value(values["classlabels_int64s"])
            if numbers != list(range(len(numbers))):
                yield node.op_type, tuple(map(str, numbers))
        elif node.op_type == "LabelEncoder" and {"keys_int64s", "values_strings"} <= values.keys():
            keys, names = helper.get_attribute_value(values["keys_int64s"]), _strings(values["values_strings"])
            if sorted(keys) == list(range(len(names))):
                yield node.op_type, tuple(names[keys.index(number)] for number in range(len(names)))
        elif node.op_type in _CHOOSING and node.input[0] in texts:
            yield node.op_type, texts[node.input[0]]
        elif node.op_type == "Constant" and "value_strings" in values:
            texts[node.output[0]] = _strings(values["value_strings"])


def _strings(attribute: onnx.AttributeProto) -> Names:
    return tuple(text.decode("utf-8", "replace").strip() for text in attribute.strings)
