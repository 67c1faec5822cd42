"""Small faults in a compiled network, which a test of exactness must see.

Each changes one node of the body and says whether there was one to change.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper


def body_of(model: onnx.ModelProto) -> onnx.GraphProto:
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    return next(attribute.g for attribute in scan.attribute if attribute.name == "body")


def nodes_of(model: onnx.ModelProto, op: str) -> list[onnx.NodeProto]:
    return [node for node in body_of(model).node if node.op_type == op]


def attribute_of(node: onnx.NodeProto, name: str) -> onnx.AttributeProto:
    return next(attribute for attribute in node.attribute if attribute.name == name)


def halo_off_by_one(model: onnx.ModelProto) -> bool:
    """A box rule forgets a row or a column of its halo."""
    for rule in nodes_of(model, "WindowBoxes"):
        kernel, strides = (attribute_of(rule, name).ints for name in ("kernel_shape", "strides"))
        for axis in range(2):
            if kernel[axis] > strides[axis]:
                kernel[axis] -= 1
                return True
    return False


def dropped_tap(model: onnx.ModelProto) -> bool:
    """A convolution loses the last of its taps."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for conv in nodes_of(model, "IncrementalConv"):
        if conv.input[3] in weights and np.prod(attribute_of(conv, "kernel_shape").ints) > 1:
            array = numpy_helper.to_array(weights[conv.input[3]]).copy()
            array.reshape(*array.shape[:2], -1)[:, :, -1] = 0
            model.graph.initializer.append(numpy_helper.from_array(array, "mutant"))
            conv.input[3] = "mutant"
            return True
    return False


def wrong_divisor(model: onnx.ModelProto) -> bool:
    """An average pool divides by the taps inside the image where the network counts the pads as well, or reversed."""
    for pool in nodes_of(model, "IncrementalAveragePool"):
        if any(attribute_of(pool, "pads").ints):
            attribute_of(pool, "count_include_pad").i ^= 1
            return True
    return False


def wrong_power(model: onnx.ModelProto) -> bool:
    """A pool takes the norm of the next power."""
    for pool in nodes_of(model, "IncrementalLpPool"):
        attribute_of(pool, "p").i += 1
        return True
    return False


def wrong_branch(model: onnx.ModelProto) -> bool:
    """An activation clips at a small negative number instead of 0."""
    for node in [*nodes_of(model, "IncrementalClip"), *nodes_of(model, "IncrementalConv")]:
        for attribute in node.attribute:
            if attribute.name == "min" and attribute.f == 0:
                attribute.f = -0.05
                return True
    return False


def lost_addend(model: onnx.ModelProto) -> bool:
    """A convolution that ends a residual block forgets the other branch."""
    for conv in nodes_of(model, "IncrementalConv"):
        if len(conv.input) > 5 and conv.input[5]:
            conv.input[5] = conv.input[6] = ""
            return True
    return False


def box_of_one_branch(model: onnx.ModelProto) -> bool:
    """Where branches meet, the first one's box stands for the union."""
    for node in nodes_of(model, "UnionBoxes"):
        if len(set(node.input)) > 1:
            node.input[1] = node.input[0]
            return True
    return False


def pad_shifted_by_one(model: onnx.ModelProto) -> bool:
    """A pad's boxes lie a row too low; their values follow."""
    for node in nodes_of(model, "TranslateBoxes"):
        attribute_of(node, "shift").ints[0] += 1
        return True
    return False


MUTANTS = [
    halo_off_by_one,
    dropped_tap,
    wrong_divisor,
    wrong_power,
    wrong_branch,
    lost_addend,
    box_of_one_branch,
    pad_shifted_by_one,
]
