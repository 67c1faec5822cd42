"""Cases of every op: random, empty, full, border and one-pixel boxes, odd channel counts, all window attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Window
from krypton_compile.contract.schemas import BINARY, DOMAIN, FUNCTIONS, PRECISIONS, REDUCTIONS, SCHEMAS, VERSION


@dataclass(frozen=True)
class Case:
    """One call of one op; an input that is None is left out."""

    name: str
    op: str
    inputs: Sequence[np.ndarray | None]
    attributes: dict[str, Any] = field(default_factory=dict)


def make_model(case: Case) -> onnx.ModelProto:
    """A model of the one node; inputs i0, i1, ..., outputs o0, o1, ..."""
    schema = next(schema for schema in SCHEMAS if schema.name == case.op)
    names = ["" if array is None else f"i{index}" for index, array in enumerate(case.inputs)]
    outputs = [f"o{index}" for index in range(len(schema.outputs))]
    node = helper.make_node(case.op, names, outputs, domain=DOMAIN, name="node", **case.attributes)
    graph = helper.make_graph(
        [node],
        "case",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), [f"{name}_{axis}" for axis in range(array.ndim)]
            )
            for name, array in zip(names, case.inputs, strict=True)
            if array is not None
        ],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.INT32, None)
            if kind.split(":")[1] == "int32"
            else helper.make_tensor_value_info(
                name, onnx.TensorProto.INT64 if kind.endswith("int64") else onnx.TensorProto.FLOAT, None
            )
            for name, kind in zip(outputs, schema.outputs, strict=True)
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def make_boxes(rng: np.random.Generator, shape: tuple[int, int], count: int = 5) -> geometry.Boxes:
    """Empty, full, border corner, one pixel, then random ones."""
    height, width = shape
    rows = [(0, 0, 0, 0), (0, 0, height, width), (height - 1, width - 1, 1, 1), (0, width // 2, 1, 1)]
    for _ in range(count):
        y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
        rows.append((y, x, int(rng.integers(1, height - y + 1)), int(rng.integers(1, width - x + 1))))
    return np.array(rows, np.int32)


def make_values(rng: np.random.Generator, boxes: geometry.Boxes, channels: int) -> np.ndarray:
    """Rows of a delta, half of whose entries are exact zeros, as after a Relu."""
    values = rng.standard_normal((int(geometry.areas(boxes).sum()), channels)).astype(np.float32)
    return np.where(rng.random(values.shape) < 0.5, 0, values).astype(np.float32)


def window_attributes(window: Window, ends: tuple[int, int]) -> dict[str, Any]:
    """The window as the ops take it."""
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.strides),
        "pads": [*window.pads, *ends],
        "dilations": list(window.dilations),
        "input_shape": list(window.input_shape),
        "output_shape": list(window.output_shape),
    }


def make_window(kernel, strides, pads, dilations, shape, ceil=False) -> tuple[Window, tuple[int, int]]:
    """ONNX's output sizes; pads are (y0, x0, y1, x1)."""
    sizes = []
    for axis in (0, 1):
        room = shape[axis] + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1
        sizes.append((-(-room // strides[axis]) if ceil else room // strides[axis]) + 1)
    window = Window(kernel, strides, (pads[0], pads[1]), dilations, shape, (sizes[0], sizes[1]))
    return window, (pads[2], pads[3])


WINDOWS = {
    "3x3": ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), (9, 8)),
    "1x1": ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1), (6, 7)),
    "1x1 stride 2": ((1, 1), (2, 2), (0, 0, 0, 0), (1, 1), (7, 6)),
    "1x7": ((1, 7), (1, 1), (0, 3, 0, 3), (1, 1), (5, 9)),
    "7x1": ((7, 1), (1, 1), (3, 0, 3, 0), (1, 1), (9, 5)),
    "5x5 asymmetric": ((5, 5), (2, 1), (2, 0, 1, 3), (1, 1), (11, 9)),
    "11x11 stride 4": ((11, 11), (4, 4), (2, 2, 2, 2), (1, 1), (31, 27)),
    "dilated": ((3, 3), (1, 2), (2, 3, 2, 3), (2, 3), (10, 12)),
    "stride over kernel": ((2, 2), (3, 3), (0, 0, 0, 0), (1, 1), (11, 10)),
}


def conv_cases(rng: np.random.Generator) -> Iterator[Case]:
    """All windows with channels that fill, miss and overrun the panels; groups; depthwise; the activation."""
    shapes = [(3, 16, 1), (5, 33, 1), (16, 48, 1), (1, 1, 1), (6, 4, 2), (32, 64, 4), (24, 24, 24), (300, 20, 1)]
    for index, (title, spec) in enumerate(WINDOWS.items()):
        window, ends = make_window(*spec)
        for channels, maps, group in [shapes[index % len(shapes)], shapes[(index + 3) % len(shapes)], (16, 32, 1)]:
            boxes = make_boxes(rng, window.input_shape)
            weight = rng.standard_normal((maps, channels // group, *window.kernel)).astype(np.float32)
            weight /= np.float32(np.sqrt(weight[0].size))  # sums of order 1: the clip rule's bounds stay in reach
            inputs = [make_values(rng, boxes, channels), boxes, geometry.window_boxes(boxes, window), weight]
            attributes = {**window_attributes(window, ends), "group": group}
            name = f"{title} {channels}->{maps} group {group}"
            yield Case(f"conv {name}", "IncrementalConv", inputs, attributes)
            z0 = rng.standard_normal((*window.output_shape, maps)).astype(np.float32)
            yield Case(f"conv+relu {name}", "IncrementalConv", [*inputs, z0], attributes)
            bounds = {"min": -0.5, "max": 0.75}
            yield Case(f"conv+clip {name}", "IncrementalConv", [*inputs, z0], {**attributes, **bounds})
            yield from added_conv_cases(rng, name, inputs, z0, attributes)
    window, ends = make_window(*WINDOWS["3x3"])
    boxes = make_boxes(rng, window.input_shape)
    wide = np.tile(np.array([[0, 0, *window.output_shape]], np.int32), (len(boxes), 1))
    weight = rng.standard_normal((16, 4, 3, 3)).astype(np.float32)
    inputs = [make_values(rng, boxes, 4), boxes, wide, weight]
    yield Case("conv into wider boxes", "IncrementalConv", inputs, window_attributes(window, ends))
    # More rows and channels than any tile or panel holds; every pixel has zeros of its own, and some that all share.
    window, ends = make_window(*WINDOWS["3x3"])
    boxes = make_boxes(rng, window.input_shape, 40)
    weight = rng.standard_normal((80, 160, 3, 3)).astype(np.float32) / np.float32(40)
    z0 = rng.standard_normal((*window.output_shape, 80)).astype(np.float32)
    for share in (0.2, 1.0):
        values = make_values(rng, boxes, 160)
        values *= (rng.random(160) < share) & (rng.random(values.shape) < 0.5 + share / 2)
        inputs = [values, boxes, geometry.window_boxes(boxes, window), weight, z0]
        for precision in PRECISIONS:
            attributes = {**window_attributes(window, ends), "precision": precision}
            yield Case(f"conv deep {share} {precision}", "IncrementalConv", inputs, attributes)
    yield from wide_conv_cases(rng)
    yield from crowded_conv_cases(rng)


def added_conv_cases(
    rng: np.random.Generator, name: str, inputs: list[np.ndarray], z0: np.ndarray, attributes: dict[str, Any]
) -> Iterator[Case]:
    """The same with another delta added, on boxes that miss, meet and overlap those of the convolution."""
    values, boxes, after, weight = inputs
    others = make_boxes(rng, z0.shape[:2], len(boxes) - 4)[::-1].copy()
    added = [make_values(rng, others, z0.shape[2]), others]
    hull = [values, boxes, geometry.union_boxes([after, others]), weight]
    yield Case(f"conv+add {name}", "IncrementalConv", [*hull, None, *added], attributes)
    yield Case(f"conv+add+relu {name}", "IncrementalConv", [*hull, z0, *added], attributes)


def crowded_conv_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Hundreds of boxes over every pixel, which leave the same channels of it as they are, all of some pixels."""
    specs = {
        "3x3": ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), (6, 5)),
        "3x3 stride 2": ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1), (7, 7)),
        "dilated": ((3, 2), (1, 1), (2, 0, 2, 0), (2, 1), (6, 5)),
        "1x1": ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1), (4, 3)),
    }
    for title, spec in specs.items():
        window, ends = make_window(*spec)
        boxes = make_boxes(rng, window.input_shape, 250)
        after, channels, maps = geometry.window_boxes(boxes, window), 68, 70
        height, width = window.input_shape
        lists = (rng.random((height * width, channels)) < 0.3) & (rng.random((height * width, 1)) < 0.9)
        pixels = np.concatenate([(y + np.arange(h))[:, None] * width + x + np.arange(w) for y, x, h, w in boxes], None)
        full = make_values(rng, boxes, channels)
        weight = rng.standard_normal((maps, channels, *window.kernel)).astype(np.float32)
        weight /= np.float32(np.sqrt(0.3 * weight[0].size))
        z0 = rng.standard_normal((*window.output_shape, maps)).astype(np.float32)
        for kind, values in (("sparse", (full * lists[pixels]).astype(np.float32)), ("dense", full)):
            inputs, attributes = [values, boxes, after, weight], window_attributes(window, ends)
            yield Case(f"conv crowded {title} {kind}", "IncrementalConv", inputs, attributes)
            yield Case(f"conv+relu crowded {title} {kind}", "IncrementalConv", [*inputs, z0], attributes)
            yield from added_conv_cases(rng, f"crowded {title} {kind}", inputs, z0, attributes)


def wide_conv_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Enough columns for split precision to pay, one more than blocks of 32 or 64 hold, over an odd reduction."""
    shapes = {
        "1x1": (67, 193),
        "1x1 stride 2": (95, 161),
        "3x3": (33, 97),
        "dilated": (35, 129),
        "5x5 asymmetric": (9, 200),
    }
    for title, (channels, maps) in shapes.items():
        window, ends = make_window(*WINDOWS[title])
        boxes = make_boxes(rng, window.input_shape)
        weight = rng.standard_normal((maps, channels, *window.kernel)).astype(np.float32)
        weight /= np.float32(np.sqrt(weight[0].size))
        z0 = rng.standard_normal((*window.output_shape, maps)).astype(np.float32)
        sparse = make_values(rng, boxes, channels)
        dense = rng.standard_normal(sparse.shape).astype(np.float32)
        after, attributes = geometry.window_boxes(boxes, window), window_attributes(window, ends)
        for kind, values in (("sparse", sparse), ("dense", dense)):
            inputs = [values, boxes, after, weight]
            yield Case(f"conv wide {title} {kind}", "IncrementalConv", inputs, attributes)
            yield Case(f"conv+relu wide {title} {kind}", "IncrementalConv", [*inputs, z0], attributes)
            bounds = {"min": -0.5, "max": 0.75}
            yield Case(f"conv+clip wide {title} {kind}", "IncrementalConv", [*inputs, z0], {**attributes, **bounds})
            yield from added_conv_cases(rng, f"wide {title} {kind}", inputs, z0, attributes)


def pool_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Max and average, also with windows that ceil_mode hangs over the edge."""
    specs = {name: (*spec, False) for name, spec in WINDOWS.items()}
    specs["ceil"] = ((3, 3), (2, 2), (0, 0, 0, 0), (1, 1), (8, 10), True)
    specs["ceil padded"] = ((3, 2), (2, 3), (1, 0, 1, 1), (1, 1), (8, 9), True)
    for index, (title, spec) in enumerate(specs.items()):
        window, ends = make_window(*spec)
        channels = (1, 3, 16, 33)[index % 4]
        boxes = make_boxes(rng, window.input_shape)
        x = make_values(rng, boxes, channels)
        x0 = rng.standard_normal((*window.input_shape, channels)).astype(np.float32)
        y0 = dense_max(x0, window)
        after, attributes = geometry.window_boxes(boxes, window), window_attributes(window, ends)
        yield Case(f"max pool {title}", "IncrementalMaxPool", [x, boxes, after, x0, y0], attributes)
        for power in (1, 2, 3):
            inputs = [x, boxes, after, x0]
            yield Case(f"lp pool {title} {power}", "IncrementalLpPool", inputs, {**attributes, "p": power})
        for include in (0, 1):
            extra = {**attributes, "count_include_pad": include}
            yield Case(f"average pool {title} {include}", "IncrementalAveragePool", [x, boxes, after], extra)


def dense_max(x0: np.ndarray, window: Window) -> np.ndarray:
    """The base map of a MaxPool."""
    y0 = np.full((*window.output_shape, x0.shape[2]), -np.inf, np.float32)
    for oy, ox in np.ndindex(*window.output_shape):
        for ky, kx in np.ndindex(*window.kernel):
            y = oy * window.strides[0] - window.pads[0] + ky * window.dilations[0]
            x = ox * window.strides[1] - window.pads[1] + kx * window.dilations[1]
            if 0 <= y < x0.shape[0] and 0 <= x < x0.shape[1]:
                y0[oy, ox] = np.maximum(y0[oy, ox], x0[y, x])
    return y0


def box_cases(rng: np.random.Generator) -> Iterator[Case]:
    """The ops on boxes alone, and ShrinkBoxes."""
    for title, spec in WINDOWS.items():
        window, ends = make_window(*spec)
        boxes = make_boxes(rng, window.input_shape)
        yield Case(f"window boxes {title}", "WindowBoxes", [boxes], window_attributes(window, ends))
        for taus, group in (((0.4,), 3), ((1.0, 1e-3), 1)):
            tau, attributes = np.array(taus, np.float32), {**window_attributes(window, ends), "layer_group": group}
            yield Case(f"window boxes {title} tau {taus[-1]}", "WindowBoxes", [boxes, tau], attributes)
    parts = [make_boxes(rng, (9, 8)) for _ in range(3)]
    yield Case("union of one", "UnionBoxes", parts[:1])
    yield Case("union of three", "UnionBoxes", [parts[0], parts[1][::-1].copy(), parts[2]])
    yield Case("stack of three", "StackBoxes", parts)
    for shift in ((2, 1), (0, 0), (-2, -1)):
        yield Case(f"translate {shift}", "TranslateBoxes", [parts[0]], {"shift": shift, "output_shape": (10, 9)})
    for channels in (1, 3, 65):
        boxes = make_boxes(rng, (9, 8), 12)
        values = make_values(rng, boxes, channels)
        values[rng.random(len(values)) < 0.8] = 0
        values[len(values) // 2 :] = 0
        values[-1, -1] = np.nan
        yield Case(f"shrink {channels}", "ShrinkBoxes", [values, boxes])
    yield Case("shrink nothing", "ShrinkBoxes", [np.zeros((0, 4), np.float32), np.zeros((0, 4), np.int32)])


def resample_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Random tables, some of whose outputs read nothing, and the identity."""
    for channels, taps, shape in ((1, 1, (9, 8)), (5, 2, (9, 8)), (16, 4, (4, 7)), (33, 3, (1, 12))):
        boxes = make_boxes(rng, shape)
        x = make_values(rng, boxes, channels)
        tables = []
        for size, out in zip(shape, (7, 13), strict=True):
            tables.append(rng.integers(-1, size, (out, taps)))
            tables.append(rng.standard_normal((out, taps)).astype(np.float32))
        attributes = {"input_shape": list(shape)}
        moved = geometry.resample_boxes(boxes, tables[0], tables[2])
        yield Case(f"resample boxes {channels}", "ResampleBoxes", [boxes, tables[0], tables[2]], attributes)
        yield Case(f"resample {channels}", "IncrementalResample", [x, boxes, moved, *tables], attributes)


def pointwise_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Clip, all functions, LRN, layer norm, scale, pad, add, multiply, concat."""
    shape = (9, 8)
    for channels in (1, 5, 16, 33):
        boxes = make_boxes(rng, shape)
        x = make_values(rng, boxes, channels)
        z0 = rng.standard_normal((*shape, channels)).astype(np.float32)
        yield Case(f"relu {channels}", "IncrementalClip", [x, boxes, z0])
        yield Case(f"clip {channels}", "IncrementalClip", [x, boxes, z0], {"min": -0.25, "max": 0.5})
        for function in FUNCTIONS:
            parameters = {"alpha": 0.7, "beta": 0.4, "function": function}
            # Logarithms, roots and quotients live on positive numbers; others are tried far out as well, but for the
            # exponential: there the rounding of z0 + d itself is more than the bound.
            near, far = function in ("Log", "Sqrt", "Reciprocal"), 0 if function == "Exp" else 9
            base = np.abs(z0) + 4 if near else z0 * (1 + far * (rng.random(z0.shape) < 0.2))
            moved = np.clip(x, -3, 3) if near else x
            inputs = [moved, boxes, base.astype(np.float32)]
            yield Case(f"{function} {channels}", "IncrementalActivation", inputs, parameters)
        lrn = {"size": 5, "alpha": 0.1, "beta": 0.6, "bias": 1.5}
        yield Case(f"lrn {channels}", "IncrementalLRN", [x, boxes, z0], lrn)
        yield Case(f"lrn even {channels}", "IncrementalLRN", [x, boxes, z0], {**lrn, "size": 4})
        scale = rng.standard_normal(channels).astype(np.float32)
        yield Case(f"layer norm {channels}", "IncrementalLayerNorm", [x, boxes, z0, scale], {"epsilon": 1e-2})
        yield Case(f"scale {channels}", "IncrementalScale", [x, scale])
        for shift in ((2, 1), (-3, 0)):
            moved = geometry.translate_boxes(boxes, shift, (10, 9))
            yield Case(
                f"pad {shift} {channels}",
                "IncrementalPad",
                [x, boxes, moved],
                {"shift": shift, "output_shape": (10, 9)},
            )
        others = make_boxes(rng, shape)[::-1].copy()
        other = make_values(rng, others, channels)
        hull = geometry.union_boxes([boxes, others])
        for beta in (1.0, -1.0):
            inputs = [x, boxes, other, others, hull]
            yield Case(f"add {beta} {channels}", "IncrementalAdd", inputs, {"beta": beta})
        first, second = rng.standard_normal((2, *shape, channels)).astype(np.float32)
        inputs = [x, boxes, first, second, hull, other, others]
        yield Case(f"multiply {channels}", "IncrementalBinary", inputs, {"function": "Mul"})
        thin = make_values(rng, others, 2)
        yield Case(
            f"concat {channels}", "IncrementalConcat", [hull, np.concatenate([boxes, others, others]), x, thin, other]
        )
        yield Case(f"concat one {channels}", "IncrementalConcat", [boxes, boxes, x])


def binary_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Every function of two maps and of a map and a constant, either way round, with the shapes that broadcast."""
    shape = (9, 8)
    for channels in (1, 5, 16, 33):
        boxes, others = make_boxes(rng, shape), make_boxes(rng, shape)[::-1].copy()
        hull = geometry.union_boxes([boxes, others])
        for function in BINARY:

            def base(extent: tuple[int, int], depth: int, function: str = function) -> np.ndarray:
                found = rng.standard_normal((*extent, depth))
                return (found if function not in ("Div", "Pow") else np.abs(found) + 4).astype(np.float32)

            x, y = (np.clip(make_values(rng, each, channels), -3, 3) for each in (boxes, others))
            thin = np.clip(make_values(rng, others, 1), -3, 3)
            kind = {"function": function}
            inputs = [x, boxes, base(shape, channels), base(shape, channels), hull, y, others]
            yield Case(f"{function} of two {channels}", "IncrementalBinary", inputs, kind)
            inputs = [x, boxes, base(shape, channels), base(shape, 1), hull, thin, others]
            yield Case(f"{function} by one channel {channels}", "IncrementalBinary", inputs, kind)
            inputs = [thin, others, base(shape, 1), base(shape, channels), hull, x, boxes]
            yield Case(f"{function} of one channel {channels}", "IncrementalBinary", inputs, kind)
            for extent, depth in (((1, 1), channels), (shape, 1), ((shape[0], 1), channels), ((1, 1), 1)):
                inputs = [x, boxes, base(shape, channels), base(extent, depth), boxes]
                for swapped in (0, 1):
                    name = f"{function} constant {extent} {depth} {swapped} of {channels}"
                    yield Case(name, "IncrementalBinary", inputs, {**kind, "swapped": swapped})


def channel_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Softmax and reductions of channels, and the largest entry of a map."""
    shape = (9, 8)
    for channels in (1, 5, 16, 33):
        boxes = make_boxes(rng, shape)
        x = make_values(rng, boxes, channels)
        z0 = 3 * rng.standard_normal((*shape, channels)).astype(np.float32)
        for logarithm in (0, 1):
            yield Case(
                f"softmax {channels} {logarithm}", "IncrementalSoftmax", [x, boxes, z0], {"logarithm": logarithm}
            )
        for function in REDUCTIONS:
            name = f"reduce {function} {channels}"
            yield Case(name, "IncrementalReduceChannels", [x, boxes, z0], {"function": function})
        yield Case(f"global max {channels}", "IncrementalGlobalMaxPool", [x, boxes, z0])


DEPTHS = {
    "3": (3, 1, 1, 1, 1),
    "3 stride 2": (3, 2, 1, 0, 1),
    "2 stride 2": (2, 2, 0, 0, 1),
    "dilated": (3, 1, 2, 2, 2),
    "asymmetric": (4, 1, 0, 2, 1),
    "stride over kernel": (1, 2, 0, 0, 1),
    "padded beyond": (2, 3, 1, 3, 1),
}
"""(kernel, stride, pad, end pad, dilation) along 5 slices."""


def make_slices(rng: np.random.Generator, shape: tuple[int, int], depth: int, positions: int = 4) -> geometry.Boxes:
    """Boxes of ``positions`` on volumes of ``depth`` slices."""
    return make_boxes(rng, shape, positions * depth - 4)


def make_depth(spec: tuple[int, ...], slices: int = 5) -> tuple[geometry.DepthWindow, dict[str, Any]]:
    """The window along the slices, and as the ops take it."""
    kernel, stride, pad, end, dilation = spec
    after = (slices + pad + end - dilation * (kernel - 1) - 1) // stride + 1
    window = geometry.DepthWindow(kernel, stride, pad, dilation, slices, after)
    return window, {"depth": [kernel, stride, pad, end, dilation, slices, after]}


def depth_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Windows along the slices of volumes."""
    shape, channels = (7, 6), 4
    for index, (title, spec) in enumerate(DEPTHS.items()):
        along, depth = make_depth(spec)
        boxes = make_slices(rng, shape, along.input_depth)
        x = make_values(rng, boxes, channels)
        hulls = geometry.depth_boxes(boxes, along)
        yield Case(f"depth boxes {title}", "DepthBoxes", [boxes], depth)
        group = (1, 2, 4)[index % 3]
        yield Case(f"depth gather {title}", "DepthGather", [x, boxes, hulls], {**depth, "group": group})
        window, ends = make_window(*WINDOWS["3x3"][:4], shape)
        after, attributes = geometry.window_boxes(hulls, window), {**window_attributes(window, ends), **depth}
        x0 = rng.standard_normal((along.input_depth, *shape, channels)).astype(np.float32)
        y0 = rng.standard_normal((along.output_depth, *window.output_shape, channels)).astype(np.float32)
        yield Case(f"max pool of volumes {title}", "IncrementalMaxPool", [x, boxes, after, x0, y0], attributes)
        yield Case(f"lp pool of volumes {title}", "IncrementalLpPool", [x, boxes, after, x0], {**attributes, "p": 2})
        for include in (0, 1):
            extra = {**attributes, "count_include_pad": include}
            yield Case(f"average pool of volumes {title} {include}", "IncrementalAveragePool", [x, boxes, after], extra)
        gathered = make_values(rng, hulls, along.kernel * channels)
        for maps, groups in ((6, 1), (8, 2), (along.kernel * channels, along.kernel * channels)):
            kernel = (1,) if groups > 2 else (along.kernel,)
            weight = rng.standard_normal((maps, along.kernel * channels // groups // kernel[0], *kernel, 3, 3))
            z0 = rng.standard_normal((along.output_depth, *window.output_shape, maps)).astype(np.float32)
            inputs = [gathered, hulls, after, weight.astype(np.float32), z0]
            extra = {**window_attributes(window, ends), "group": groups, "slices": along.output_depth}
            yield Case(f"conv of volumes {title} group {groups}", "IncrementalConv", inputs, extra)


def volume_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Volumes as slices, and signals: the other ops that know of them."""
    shape, channels, depth = (7, 6), 4, 3
    boxes = make_slices(rng, shape, depth)
    x = make_values(rng, boxes, channels)
    z0 = rng.standard_normal((depth, *shape, channels)).astype(np.float32)
    yield Case("relu of volumes", "IncrementalClip", [x, boxes, z0])
    yield Case("tanh of volumes", "IncrementalActivation", [x, boxes, z0], {"function": "Tanh"})
    yield Case("lrn of volumes", "IncrementalLRN", [x, boxes, z0], {"size": 3, "alpha": 0.2})
    scale = rng.standard_normal(channels).astype(np.float32)
    yield Case("layer norm of volumes", "IncrementalLayerNorm", [x, boxes, z0, scale], {"epsilon": 1e-2})
    others = boxes[::-1].copy()
    inputs = [x, boxes, z0, z0 + 1, geometry.union_boxes([boxes, others]), make_values(rng, others, channels), others]
    yield Case("multiply of volumes", "IncrementalBinary", inputs, {"function": "Mul"})
    inputs = [x, boxes, z0, rng.standard_normal((shape[0], 1, channels)).astype(np.float32), boxes]
    yield Case("max of volumes and a constant", "IncrementalBinary", inputs, {"function": "Max"})
    yield Case("softmax of volumes", "IncrementalSoftmax", [x, boxes, z0])
    yield Case("reduce volumes", "IncrementalReduceChannels", [x, boxes, z0], {"function": "L2"})
    weight = rng.standard_normal((depth * 42 * channels, 9)).astype(np.float32)
    size = {"input_shape": (depth, *shape)}
    yield Case("gemm of volumes", "IncrementalGemm", [x, boxes, weight], size)
    yield Case("gap of volumes", "IncrementalGlobalAveragePool", [x, boxes], size)
    for layout in ("NCDHW", "NDHWC"):
        yield Case(f"densify {layout}", "Densify", [x, boxes, z0], {"layout": layout})
        full = rng.standard_normal((1, 3, 4, 5, 6)).astype(np.float32)
        yield Case(f"base map {layout}", "BaseMap", [full], {"layout": layout, "tensor_name": "t"})
    rows = make_boxes(rng, (1, 9))
    signal, z0 = make_values(rng, rows, channels), rng.standard_normal((1, 9, channels)).astype(np.float32)
    for layout in ("NCL", "NLC"):
        yield Case(f"densify {layout}", "Densify", [signal, rows, z0], {"layout": layout})
        full = rng.standard_normal((1, 7, 5)).astype(np.float32)
        yield Case(f"base map {layout}", "BaseMap", [full], {"layout": layout, "tensor_name": "t"})
    window, ends = make_window((1, 3), (1, 2), (0, 1, 0, 1), (1, 1), (1, 9))
    inputs = [signal, rows, geometry.window_boxes(rows, window), rng.standard_normal((6, 4, 3)).astype(np.float32)]
    yield Case("conv of signals", "IncrementalConv", inputs, window_attributes(window, ends))


def make_regions(rng: np.random.Generator, shape: tuple[int, ...], count: int = 5) -> geometry.Boxes:
    """A caller's boxes, [P, 2n]: empty, full, a corner, one pixel, then random ones."""
    axes = len(shape)
    rows = [[0] * 2 * axes, [0] * axes + [*shape], [n - 1 for n in shape] + [1] * axes, [n // 2 for n in shape]]
    rows[3] += [1] * axes
    for _ in range(count):
        start = [int(rng.integers(0, n)) for n in shape]
        rows.append(start + [int(rng.integers(1, n - at + 1)) for n, at in zip(shape, start, strict=True)])
    return np.array(rows, np.int32)


def region_cases(rng: np.random.Generator) -> Iterator[Case]:
    """What callers give of signals and volumes."""
    tau, eps = np.ones(1, np.float32), np.zeros(1, np.float32)
    none, all_of = np.zeros((0, 0), np.float32), np.zeros(0, bool)
    for shape in ((11,), (5, 6), (4, 5, 6)):
        boxes, title = make_regions(rng, shape), f"{len(shape)} axes"
        attributes = {"image_shape": shape, "channels": 3, "chunk": 4}
        yield Case(f"chunks {title}", "OcclusionChunks", [boxes, none, all_of, tau, eps], attributes)
        offsets = geometry.row_offsets(boxes)
        yield Case(f"slices {title}", "SliceBoxes", [boxes, offsets[:-1]], {"image_shape": shape})
        if len(shape) != 3:
            continue
        sliced, rows = geometry.slice_boxes(boxes, offsets[:-1], shape)
        image, baseline = rng.standard_normal((2, *shape, 3)).astype(np.float32)
        patches = rng.standard_normal((int(offsets[-1]), 3)).astype(np.float32)
        mask = rng.random(len(patches)) < 0.5
        for own, chosen in ((none, all_of), (patches, all_of), (none, mask)):
            inputs = [image, baseline, own, chosen, sliced, rows]
            yield Case(f"occlusion of volumes {len(own)} {len(chosen)}", "OcclusionDelta", inputs)


def tail_cases(rng: np.random.Generator) -> Iterator[Case]:
    """The end of the spatial part, and base maps."""
    for channels, columns in ((1, 1), (5, 4), (16, 130), (33, 256)):
        shape = (5, 4)
        boxes = make_boxes(rng, shape)
        x = make_values(rng, boxes, channels)
        weight = rng.standard_normal((20 * channels, columns)).astype(np.float32)
        yield Case(f"gemm {channels}x{columns}", "IncrementalGemm", [x, boxes, weight], {"input_shape": shape})
        yield Case(f"gap {channels}", "IncrementalGlobalAveragePool", [x, boxes], {"input_shape": shape})
        t0 = rng.standard_normal((*shape, channels)).astype(np.float32)
        for layout in ("NCHW", "NHWC"):
            yield Case(f"densify {layout} {channels}", "Densify", [x, boxes, t0], {"layout": layout})
            full = rng.standard_normal((1, 19, 21, channels)).astype(np.float32)
            eps = np.array([0.25, 0.0, 0.5], np.float32)
            for group in range(3):
                yield Case(f"limit {channels} {group}", "DeltaLimit", [-full, eps], {"layer_group": group})
            yield Case(f"base map {layout} {channels}", "BaseMap", [full], {"layout": layout, "tensor_name": "t"})


def occlusion_cases(rng: np.random.Generator) -> Iterator[Case]:
    """The contract's inputs: boxes, patches, masks, chunks."""
    shape, channels = (9, 8), 3
    attributes = {"image_shape": shape, "channels": channels, "chunk": 4}
    tau, eps = np.ones(1, np.float32), np.zeros(1, np.float32)
    none, all_of = np.zeros((0, 0), np.float32), np.zeros(0, bool)
    for count in (0, 1, 4, 9):
        boxes = make_boxes(rng, shape)[:count]
        rows = int(geometry.areas(boxes).sum())
        patches = rng.standard_normal((rows, channels)).astype(np.float32)
        mask = rng.random(rows) < 0.5
        yield Case(f"chunks {count}", "OcclusionChunks", [boxes, none, all_of, tau, eps], attributes)
        whole = {name: value for name, value in attributes.items() if name != "chunk"}
        yield Case(f"chunks {count} in one", "OcclusionChunks", [boxes, none, all_of, tau, eps], whole)
        yield Case(f"chunks {count} with rows", "OcclusionChunks", [boxes, patches, mask, tau, eps], attributes)
        image, baseline = (rng.standard_normal((*shape, channels)).astype(np.float32) for _ in range(2))
        offsets = geometry.row_offsets(boxes)[:-1]
        for title, own, chosen in (("", none, all_of), (" patches", patches, all_of), (" mask", none, mask)):
            inputs = [image, baseline, own, chosen, boxes, offsets]
            yield Case(f"occlusion {count}{title}", "OcclusionDelta", inputs)


def cases() -> list[Case]:
    """All of them, from one seed."""
    rng = np.random.default_rng(20240731)
    makers = (conv_cases, pool_cases, box_cases, pointwise_cases, tail_cases, occlusion_cases)
    makers += (depth_cases, volume_cases, region_cases, resample_cases, binary_cases, channel_cases)
    return [case for maker in makers for case in maker(rng)]
