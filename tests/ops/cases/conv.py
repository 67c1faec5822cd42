"""Conv and Gemm: channels that fill, miss and overrun panels, groups, sums with another delta, activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from krypton_compile.contract import geometry
from krypton_compile.contract.schemas import PRECISIONS
from tests.ops.cases.case import Case
from tests.ops.cases.inputs import (
    DEPTHS,
    WINDOWS,
    make_boxes,
    make_depth,
    make_signal,
    make_slices,
    make_values,
    make_volume,
    make_window,
    window_attributes,
)


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
    yield from volume_conv_cases(rng)
    yield from gemm_cases(rng)
    yield from concat_conv_cases(np.random.default_rng(23))


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


def volume_conv_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Volumes behind DepthGather, whose W has a depth, and signals."""
    shape, channels = (7, 6), 4
    for title, spec in DEPTHS.items():
        along, _ = make_depth(spec)
        hulls = geometry.depth_boxes(make_slices(rng, shape, along.input_depth), along)
        window, ends = make_window(*WINDOWS["3x3"][:4], shape)
        after = geometry.window_boxes(hulls, window)
        gathered = make_values(rng, hulls, along.kernel * channels)
        for maps, groups in ((6, 1), (8, 2), (along.kernel * channels, along.kernel * channels)):
            kernel = (1,) if groups > 2 else (along.kernel,)
            weight = rng.standard_normal((maps, along.kernel * channels // groups // kernel[0], *kernel, 3, 3))
            z0 = rng.standard_normal((along.output_depth, *window.output_shape, maps)).astype(np.float32)
            inputs = [gathered, hulls, after, weight.astype(np.float32), z0]
            extra = {**window_attributes(window, ends), "group": groups, "slices": along.output_depth}
            yield Case(f"conv of volumes {title} group {groups}", "IncrementalConv", inputs, extra)
    signal, rows, _ = make_signal(rng)
    window, ends = make_window((1, 3), (1, 2), (0, 1, 0, 1), (1, 1), (1, 9))
    inputs = [signal, rows, geometry.window_boxes(rows, window), rng.standard_normal((6, 4, 3)).astype(np.float32)]
    yield Case("conv of signals", "IncrementalConv", inputs, window_attributes(window, ends))


def concat_conv_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Parts that fill, miss and overrun vectors and words of 64; with and without each of what may stand around."""
    shapes: dict[str, tuple[tuple[int, ...], int, int]] = {  # channels of each part, maps, boxes
        "one part": ((5,), 16, 9),
        "two": ((16, 33), 70, 9),
        "many": ((64, 32, 32, 1, 32, 3), 128, 40),
        "crowded": ((48, 20), 33, 250),
    }
    for title, (channels, maps, count) in shapes.items():
        boxes = make_boxes(rng, (9, 11), count)
        parts = [rng.permutation(boxes) for _ in channels]
        deltas = [make_values(rng, own, each) for own, each in zip(parts, channels, strict=True)]
        weight = rng.standard_normal((maps, sum(channels), 1, 1)).astype(np.float32) / np.float32(sum(channels) ** 0.5)
        x0 = rng.standard_normal((9, 11, sum(channels))).astype(np.float32) - np.float32(0.5)
        scale = rng.standard_normal(sum(channels)).astype(np.float32)
        z0 = rng.standard_normal((9, 11, maps)).astype(np.float32)
        limit = np.array([0.2], np.float32)
        hull = geometry.union_boxes(parts)
        cut = hull.copy()
        cut[:, 2:] = (hull[:, 2:] + 1) // 2
        fixed = [hull, np.concatenate(parts), weight]
        arounds: dict[str, tuple[list[np.ndarray | None], dict[str, Any]]] = {
            "plain": ([None] * 5, {}),
            "relu behind": ([None, None, None, z0, None], {}),
            "relu in front": ([x0, None, None, None, None], {}),
            "scaled": ([None, scale, None, None, None], {}),
            "norm, clip, clip": ([x0, scale, None, z0, None], {"x_min": -0.5, "x_max": 0.25, "min": -0.3, "max": 0.7}),
            "limits": ([x0, scale, limit, z0, limit], {}),
        }
        for around, (optional, attributes) in arounds.items():
            name = f"concat conv {title} {around}"
            yield Case(name, "IncrementalConcatConv", [*fixed, *optional, *deltas], attributes)
        for precision in PRECISIONS:
            inputs = [cut, *fixed[1:], x0, scale, None, z0, None, *deltas]
            yield Case(f"concat conv {title} {precision}", "IncrementalConcatConv", inputs, {"precision": precision})
    whole = np.tile(np.array([[0, 0, 9, 11]], np.int32), (6, 1))
    dense = [rng.standard_normal((6 * 99, channels)).astype(np.float32) for channels in (192, 64)]
    weight = rng.standard_normal((160, 256, 1, 1)).astype(np.float32) / np.float32(16)
    inputs = [whole, np.concatenate([whole, whole]), weight, *[None] * 5, *dense]
    yield Case("concat conv dense", "IncrementalConcatConv", inputs)
    slices = make_slices(rng, (6, 5), 3)
    z0 = rng.standard_normal((3, 6, 5, 4)).astype(np.float32)
    inputs = [slices, slices, rng.standard_normal((4, 8, 1, 1, 1)).astype(np.float32), None, None, None, z0, None]
    yield Case("concat conv of volumes", "IncrementalConcatConv", [*inputs, make_values(rng, slices, 8)])


def gemm_cases(rng: np.random.Generator) -> Iterator[Case]:
    """The first fully connected layer."""
    for channels, columns in ((1, 1), (5, 4), (16, 130), (33, 256)):
        shape = (5, 4)
        boxes = make_boxes(rng, shape)
        x = make_values(rng, boxes, channels)
        weight = rng.standard_normal((20 * channels, columns)).astype(np.float32)
        yield Case(f"gemm {channels}x{columns}", "IncrementalGemm", [x, boxes, weight], {"input_shape": shape})
    x, boxes, z0 = make_volume(rng)
    weight = rng.standard_normal((z0.size, 9)).astype(np.float32)
    yield Case("gemm of volumes", "IncrementalGemm", [x, boxes, weight], {"input_shape": z0.shape[:3]})
