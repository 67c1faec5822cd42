"""Mutations of ONNX files, compiled or not: of the ModelProto's structure and of its raw bytes, all from one seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Mutation = Callable[[np.random.Generator, onnx.ModelProto], None]

INTEGERS = (-(2**63), -(2**31), -65536, -7, -2, -1, 0, 1, 2, 3, 5, 64, 4097, 2**20, 2**31 - 1, 2**31, 2**62, 2**63 - 1)
NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-42, 1e30, 3.4e38)
LISTS = ("kernel_shape", "strides", "pads", "dilations", "perm", "axes", "output_padding", "output_shape")
OPS = ("Relu", "Conv", "Add", "MaxPool", "Reshape", "Softmax", "Loop", "If", "Scan", "NonZero", "Nonsense", "Gather")
TYPES = tuple(range(28))
RAW = ("flip", "flip", "overwrite", "truncate", "insert", "remove", "repeat")


def mutate(rng: np.random.Generator, model: onnx.ModelProto) -> tuple[bytes, list[str]]:
    """The bytes of a mutated copy, and what was done to it: two of three have their structure mutated alone."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if rng.random() < 1 / 3:
        data, name = _mutate_bytes(rng, copy.SerializeToString())
        return data, [name]
    done = []
    for _ in range(int(rng.integers(1, 4))):
        mutation = STRUCTURAL[int(rng.integers(len(STRUCTURAL)))]
        try:
            mutation(rng, copy)
        except (ValueError, IndexError, TypeError, onnx.checker.ValidationError):
            continue  # nothing of the kind is left in the model
        done.append(mutation.__name__)
    return copy.SerializeToString(), done


def _mutate_bytes(rng: np.random.Generator, data: bytes) -> tuple[bytes, str]:
    kind = RAW[int(rng.integers(len(RAW)))]
    raw = bytearray(data)
    # The weights are most of a file and its least interesting part: half of the mutations go where names are.
    limit = len(raw) if rng.random() < 0.5 else min(len(raw), 600)
    at = int(rng.integers(limit))
    length = int(rng.integers(1, 32))
    if kind == "flip":
        for _ in range(int(rng.integers(1, 5))):
            raw[int(rng.integers(limit))] ^= 1 << int(rng.integers(8))
    elif kind == "overwrite":
        raw[at : at + length] = rng.bytes(length)
    elif kind == "truncate":
        del raw[at:]
    elif kind == "insert":
        raw[at:at] = rng.bytes(length)
    elif kind == "remove":
        del raw[at : at + length]
    else:
        raw[at:at] = raw[at : at + 8 * length]
    return bytes(raw), kind


def _one(rng: np.random.Generator, items: object) -> object:
    listed = list(items)  # type: ignore[call-overload]
    return listed[int(rng.integers(len(listed)))]


def _graphs(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    bodies = [attribute.g for node in model.graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [model.graph, *bodies]


def _graph(rng: np.random.Generator, model: onnx.ModelProto) -> onnx.GraphProto:
    return _one(rng, _graphs(model))  # type: ignore[return-value]


def _node(rng: np.random.Generator, model: onnx.ModelProto) -> onnx.NodeProto:
    return _one(rng, _graph(rng, model).node)  # type: ignore[return-value]


def _attribute(rng: np.random.Generator, model: onnx.ModelProto) -> tuple[onnx.NodeProto, onnx.AttributeProto]:
    nodes = [node for graph in _graphs(model) for node in graph.node if node.attribute]
    node = _one(rng, nodes)
    return node, _one(rng, node.attribute)  # type: ignore[attr-defined,return-value]


def _names(graph: onnx.GraphProto) -> list[str]:
    inner = [name for node in graph.node for name in node.output]
    return [*inner, *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer), "", "none"]


def change_attribute(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    node, attribute = _attribute(rng, model)
    kind = attribute.type
    if kind == onnx.AttributeProto.INT:
        attribute.i = _one(rng, INTEGERS)
    elif kind == onnx.AttributeProto.INTS:
        _change_list(rng, attribute)
    elif kind == onnx.AttributeProto.FLOAT:
        attribute.f = _one(rng, NUMBERS)
    elif kind == onnx.AttributeProto.STRING:
        attribute.s = _one(rng, (b"", b"NOTSET", b"SAME_LOWER", b"VALID", b"NHWC", b"\xff\xfe", b"x" * 70000))
    else:
        node.attribute.remove(attribute)


def _change_list(rng: np.random.Generator, attribute: onnx.AttributeProto) -> None:
    choice = rng.random()
    if choice < 0.2:
        attribute.ints.append(_one(rng, INTEGERS))
    elif choice < 0.4:
        del attribute.ints[-1]
    elif choice < 0.5:
        del attribute.ints[:]
    else:
        attribute.ints[int(rng.integers(len(attribute.ints)))] = _one(rng, INTEGERS)


def remove_attribute(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    node, attribute = _attribute(rng, model)
    node.attribute.remove(attribute)


def add_attribute(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    name = _one(rng, (*LISTS, "group", "axis", "auto_pad", "ceil_mode", "keepdims", "nonsense"))
    count = int(rng.integers(0, 5))
    values = [_one(rng, INTEGERS) for _ in range(count)]
    node.attribute.append(
        helper.make_attribute(
            name,
            values if name in LISTS else _one(rng, INTEGERS),
            attr_type=None if name not in LISTS or values else onnx.AttributeProto.INTS,
        )
    )


def retype_attribute(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    _, attribute = _attribute(rng, model)
    attribute.type = int(rng.integers(0, 15))


def reshape_initializer(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    tensor = _one(rng, model.graph.initializer)
    if not tensor.dims or rng.random() < 0.3:
        tensor.dims.append(_one(rng, (1, 2, 0, -1)))
    elif rng.random() < 0.3:
        del tensor.dims[-1]
    else:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = _one(rng, INTEGERS)


def resize_initializer(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """Another shape with the data that it needs."""
    index = int(rng.integers(len(model.graph.initializer)))
    tensor = model.graph.initializer[index]
    array = numpy_helper.to_array(tensor)
    choice = rng.random()
    if choice < 0.3:
        array = array[None]
    elif choice < 0.5:
        array = array.T
    elif choice < 0.6:
        array = array.reshape(-1)
    elif array.ndim:
        axis = int(rng.integers(array.ndim))
        array = np.take(
            array, np.arange(int(rng.integers(0, 2 * array.shape[axis] + 1))) % max(1, array.shape[axis]), axis
        )
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


def retype_initializer(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    tensor = _one(rng, model.graph.initializer)
    if rng.random() < 0.5:
        tensor.data_type = _one(rng, TYPES)
        return
    array = numpy_helper.to_array(tensor).astype(_one(rng, (np.float64, np.float16, np.int32, np.uint8, np.bool_)))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def poison_initializer(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    tensor = _one(rng, model.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    values = NUMBERS if array.dtype.kind == "f" else [value for value in INTEGERS if abs(value) < 2**62]
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):  # what does not fit its type is another number
        flat[int(rng.integers(flat.size))] = np.array(_one(rng, values)).astype(array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def remove_initializer(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    model.graph.initializer.remove(_one(rng, model.graph.initializer))


def free_initializer(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """An initializer becomes an input."""
    tensor = _one(rng, model.graph.initializer)
    model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    model.graph.initializer.remove(tensor)


def outsource_initializer(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """Its data is in a file that is not there, or where no model's may be."""
    tensor = _one(rng, model.graph.initializer)
    for field in ("raw_data", "float_data", "int64_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=_one(rng, ("none.bin", "../up.bin", "/dev/zero", "", ".", "m.onnx")))
    if rng.random() < 0.5:
        tensor.external_data.add(key="length", value=_one(rng, ("-1", "1099511627776", "x")))


def remove_node(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    graph = _graph(rng, model)
    graph.node.remove(_one(rng, graph.node))


def repeat_node(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """Its outputs are then made twice."""
    graph = _graph(rng, model)
    graph.node.add().CopyFrom(_one(rng, graph.node))


def shuffle_nodes(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    graph = _graph(rng, model)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes[index] for index in rng.permutation(len(nodes)))


def rename_op(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    _node(rng, model).op_type = _one(rng, OPS)


def rename_domain(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    _node(rng, model).domain = _one(rng, ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "krypton", "nowhere"))


def rewire(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """An input is any other tensor, a later one too, or none."""
    graph = _graph(rng, model)
    node = _one(rng, [node for node in graph.node if node.input])
    node.input[int(rng.integers(len(node.input)))] = _one(rng, _names(graph))


def swap_inputs(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    node = _one(rng, [node for node in _graph(rng, model).node if len(node.input) > 1])
    order = [node.input[index] for index in rng.permutation(len(node.input))]
    del node.input[:]
    node.input.extend(order)


def change_arity(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    graph = _graph(rng, model)
    node = _one(rng, graph.node)
    names = _one(rng, (node.input, node.output))
    if names and rng.random() < 0.6:
        del names[-1]
    else:
        names.append(_one(rng, _names(graph)))


def rename_output(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    graph = _graph(rng, model)
    node = _one(rng, [node for node in graph.node if node.output])
    node.output[int(rng.integers(len(node.output)))] = _one(rng, _names(graph))


def change_shape(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """Of an input or output of the graph."""
    graph = _graph(rng, model)
    value = _one(rng, [*graph.input, *graph.output, *graph.value_info])
    dims = value.type.tensor_type.shape.dim
    choice = rng.random()
    if not dims or choice < 0.15:
        dims.add().dim_value = _one(rng, INTEGERS)
    elif choice < 0.3:
        del dims[-1]
    elif choice < 0.4:
        dims[int(rng.integers(len(dims)))].dim_param = "any"
    elif choice < 0.5:
        value.type.tensor_type.ClearField("shape")
    else:
        dims[int(rng.integers(len(dims)))].dim_value = _one(rng, INTEGERS)


def change_type(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    graph = _graph(rng, model)
    value = _one(rng, [*graph.input, *graph.output])
    if rng.random() < 0.2:
        value.ClearField("type")
    elif rng.random() < 0.2:
        value.type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
    else:
        value.type.tensor_type.elem_type = _one(rng, TYPES)


def change_outputs(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    graph = _graph(rng, model)
    choice = rng.random()
    if choice < 0.3:
        del graph.output[:]
    elif choice < 0.6:
        graph.output[int(rng.integers(len(graph.output)))].name = _one(rng, _names(graph))
    else:
        graph.output.add().CopyFrom(_one(rng, [*graph.output, *graph.input]))


def change_inputs(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    graph = _graph(rng, model)
    choice = rng.random()
    if choice < 0.3:
        graph.input.remove(_one(rng, graph.input))
    elif choice < 0.6:
        graph.input[int(rng.integers(len(graph.input)))].name = _one(rng, _names(graph))
    else:
        graph.input.add().CopyFrom(_one(rng, graph.input))


def change_versions(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    choice = rng.random()
    if choice < 0.3:
        model.ir_version = _one(rng, (0, 1, 3, 7, 99, 2**62))
    elif choice < 0.5:
        del model.opset_import[:]
    elif choice < 0.6:
        model.opset_import.add().CopyFrom(model.opset_import[0])
    else:
        model.opset_import[0].version = _one(rng, (-1, 0, 1, 6, 8, 11, 12, 13, 18, 22, 26, 99, 2**62))


def nest(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """Subgraphs in subgraphs, and the image in the deepest."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [_one(rng, _names(model.graph))], ["deep"])],
        "b",
        [],
        [helper.make_tensor_value_info("deep", 1, None)],
    )
    for _ in range(int(rng.integers(1, 12))):
        node = helper.make_node("If", [_one(rng, _names(model.graph))], ["deep"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "b", [], list(graph.output))
    model.graph.node.append(graph.node[0])


def blow_up(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """A constant expression that would fill the memory where it is folded."""
    name = f"blown{int(rng.integers(10**6))}"
    size = _one(rng, (10**5, 10**10, 10**15))
    model.graph.initializer.append(numpy_helper.from_array(np.array([size], np.int64), name))
    op = _one(rng, ("ConstantOfShape", "Expand", "Tile"))
    inputs = [name] if op == "ConstantOfShape" else [name, name]
    model.graph.node.insert(0, helper.make_node(op, inputs, [f"{name}.large"]))
    node = _one(rng, list(model.graph.node)[1:])
    node.input[int(rng.integers(len(node.input)))] = f"{name}.large"


def change_metadata(rng: np.random.Generator, model: onnx.ModelProto) -> None:
    """Of a compiled file, what a runtime reads first: a field is lost, or of another type or value."""
    entry = _one(rng, model.metadata_props)
    choice = rng.random()
    if choice < 0.2:
        model.metadata_props.remove(entry)
    elif choice < 0.4:
        entry.value = _one(rng, ("", "null", "[]", "{}", "7", '"x"', "{", "[1]", '{"format_version": 2}', "[" * 5000))
    else:
        _change_json(rng, entry)


def _change_json(rng: np.random.Generator, entry: onnx.StringStringEntryProto) -> None:
    import json

    fields = json.loads(entry.value)
    if not isinstance(fields, dict):
        raise TypeError("no object")
    key = _one(rng, fields)
    values = (None, -1, 0, 7, 2**70, 1.5, "", "x", [], [1], [-1, 5], ["a", "b"], {}, True, "NHWC", "image", "y")
    if rng.random() < 0.2:
        del fields[key]
    else:
        fields[key] = _one(rng, values)
    entry.value = json.dumps(fields)


STRUCTURAL: tuple[Mutation, ...] = (
    *(change_attribute,) * 5,
    *(reshape_initializer, resize_initializer, resize_initializer, rewire, rewire, change_shape, change_metadata),
    *(remove_attribute, add_attribute, retype_attribute, retype_initializer, poison_initializer, poison_initializer),
    *(remove_initializer, free_initializer, outsource_initializer, remove_node, repeat_node, shuffle_nodes, rename_op),
    *(rename_domain, swap_inputs, change_arity, rename_output, change_type, change_outputs, change_inputs),
    *(change_versions, nest, blow_up, change_metadata),
)
