"""Ops on blocks of channels, as onnxruntime's highest level writes them: NCHW, and the padding of channels gone.

    ReorderInput, ReorderOutput    ->    nothing, or a Transpose where channels come last
    Conv(X, W, B, Z)               ->    act(Conv(X, W', B) + Z),  W' in the order [M, C, kH, kW]
    pools                          ->    the same of ONNX
    Upsample<scales>               ->    Resize

A tensor on blocks has as many channels as fill its blocks of 8 or 16; filters are zero there. Here a tensor has those
channels too from a convolution on, and loses them where it leaves the blocks. How large a block is depends on the
processor: onnxruntime is asked, since the file runs on processors like the one that it was written on alone.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from krypton_compile.errors import ModelError
from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.interface import find_image
from krypton_compile.passes.shapes import static_shape
from krypton_compile.passes.simplify.unfuse.products import convolve, plain_attributes
from krypton_compile.passes.simplify.unfuse.steps import Steps, knows_activation

NCHWC = "com.microsoft.nchwc"

_ORDERS = ("ReorderInput", "ReorderOutput")
_POOLS = ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")
_LAST_TO_FIRST, _FIRST_TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
_RESIZE_HAS_MODES = 11
_SLICE_HAS_INPUTS = 10
_PAD_HAS_INPUTS = 11


def unblock(model: ir.Model) -> int:
    """Rewrite every such node; return their number."""
    channels = _measure_channels(model)
    nodes = [node for node in model.graph if node.domain == NCHWC]
    version = model.opset_imports.get("", 1)
    unfilled: dict[str, int] = {}
    for node in nodes:
        steps = Steps(model.graph, node, version)
        if node.op_type == "ReorderInput":
            _enter_blocks(steps, channels, unfilled)
        elif node.op_type == "ReorderOutput":
            _leave_blocks(steps, channels)
        elif node.op_type == "Conv" and knows_activation(node):
            _unblock_conv(steps, unfilled)
        elif node.op_type == "Upsample":
            _resize(steps)
        elif node.op_type in _POOLS:
            steps.replace(steps.add_node(node.op_type, node.inputs, plain_attributes(node)))
    return len(nodes)


@cache
def block_size() -> int:
    """How many channels are a block on this processor."""
    node = helper.make_node("ReorderInput", ["x"], ["y"], domain=NCHWC)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64, 1, 2]) for name in "xy"]
    imports = [helper.make_opsetid("", 13), helper.make_opsetid(NCHWC, 1)]
    model = helper.make_model(helper.make_graph([node], "order", values[:1], values[1:]), opset_imports=imports)
    model.ir_version = 8
    numbers = np.arange(128, dtype=np.float32).reshape(1, 64, 1, 2)  # channel by channel, two pixels each
    blocked = open_session(model).run(None, {"x": numbers})[0]
    return int(np.flatnonzero(blocked.reshape(-1) == 1)[0])


def _measure_channels(model: ir.Model) -> dict[str, int]:
    """The channels of what enters blocks and of what leaves them, by a run of the model."""
    axes = {
        str(node.inputs[0].name): -1 if node.op_type == "ReorderInput" and _is_last(node) else 1
        for node in model.graph
        if node.domain == NCHWC and node.op_type in _ORDERS and node.inputs[0] is not None
    }
    image = find_image(model.graph, None)
    proto = ir.to_proto(model)
    listed = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in axes if name not in listed)
    try:
        feeds = {str(image.name): np.zeros(static_shape(image), np.float32)}
        arrays = open_session(proto, optimized=False).run(list(axes), feeds)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise ModelError(
            f"the model does not run in onnxruntime on this processor: {error}. onnxruntime has optimised it for one "
            "kind of processor; compile the model that it was made from."
        ) from error
    return {name: array.shape[axis] for (name, axis), array in zip(axes.items(), arrays, strict=True)}


def _is_last(node: ir.Node) -> bool:
    return bool(node.attributes.get_int("channels_last", 0))


def _enter_blocks(steps: Steps, channels: dict[str, int], unfilled: dict[str, int]) -> None:
    """Fill the last block with zeros, unless filters read all of it: they lose what would read them."""
    node = steps.node
    source = node.inputs[0]
    assert source is not None
    found = channels[str(source.name)]
    result = steps.add("Transpose", [source], {"perm": _LAST_TO_FIRST}) if _is_last(node) else source
    missing = -found % block_size()
    if missing and all(_mixes_all(user) for user in node.outputs[0].consumers()):
        unfilled[str(node.outputs[0].name)] = found
    elif missing:
        result = _pad_channels(steps, result, missing)
    steps.replace(steps.add("Identity", [result]))


def _mixes_all(node: ir.Node) -> bool:
    return node.domain == NCHWC and node.op_type == "Conv" and node.attributes.get_int("group", 1) == 1


def _pad_channels(steps: Steps, value: ir.Value, count: int) -> ir.Value:
    pads = [0, 0, 0, 0, 0, count, 0, 0]
    if steps.version < _PAD_HAS_INPUTS:
        return steps.add("Pad", [value], {"pads": pads})
    return steps.add("Pad", [value, steps.constant(pads, np.int64)])


def _leave_blocks(steps: Steps, channels: dict[str, int]) -> None:
    result, node = steps.node.inputs[0], steps.node
    assert result is not None
    wanted = node.attributes["channels"].as_int()
    if channels[str(result.name)] != wanted:
        result = _first_channels(steps, result, wanted)
    if _is_last(node):
        result = steps.add("Transpose", [result], {"perm": _FIRST_TO_LAST})
    steps.replace(steps.add("Identity", [result]))


def _first_channels(steps: Steps, value: ir.Value, count: int) -> ir.Value:
    if steps.version < _SLICE_HAS_INPUTS:
        return steps.add("Slice", [value], {"starts": [0], "ends": [count], "axes": [1]})
    return steps.add("Slice", [value, *(steps.constant([bound], np.int64) for bound in (0, count, 1))])


def _unblock_conv(steps: Steps, unfilled: dict[str, int]) -> None:
    node = steps.node
    source, weight = node.inputs[0], node.inputs[1]
    if source is None or weight is None or weight.const_value is None:
        raise ModelError(f"node '{node.name}' (Conv of {NCHWC}): expected constant weights; found others")
    filters = _unblock_filters(weight.const_value.numpy())
    if node.attributes.get_int("group", 1) == 1:
        filters = filters[:, : unfilled.get(str(source.name), filters.shape[1])]
    convolve(steps, [source, steps.constant(filters), *node.inputs[2:]], plain_attributes(node))


def _unblock_filters(blocked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[M/B, C/B, kH, kW, B of C, B of M] as [M, C, kH, kW]; where C does not fill blocks, [M/B, C, kH, kW, B of M]."""
    (outputs, inputs, *kernel), block = blocked.shape, block_size()
    if inputs % block:
        whole = blocked.reshape(outputs // block, inputs, *kernel, block).transpose(0, 4, 1, 2, 3)
    else:
        whole = blocked.reshape(outputs // block, inputs // block, *kernel, block, block).transpose(0, 5, 1, 4, 2, 3)
    return np.ascontiguousarray(whole.reshape(outputs, inputs, *kernel))


def _resize(steps: Steps) -> None:
    node = steps.node
    mode = node.attributes.get_string("mode", "nearest")
    scales = steps.constant(np.asarray(node.attributes["scales"].as_ints(), np.float32))
    if steps.version < _RESIZE_HAS_MODES:
        steps.replace(steps.add_node("Upsample", [node.inputs[0], scales], [ir.AttrString("mode", mode)]))
        return
    where = node.attributes.get_string("coordinate_transformation_mode", "asymmetric")
    attributes = [ir.AttrString("mode", mode), ir.AttrString("coordinate_transformation_mode", where)]
    if mode == "nearest":
        attributes.append(ir.AttrString("nearest_mode", "floor"))
    steps.replace(steps.add_node("Resize", [node.inputs[0], None, scales], attributes))
