"""Pools, those of the whole map among them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Window
from tests.ops.cases.case import Case
from tests.ops.cases.inputs import (
    CHANNELS,
    DEPTHS,
    MAP,
    WINDOWS,
    make_boxes,
    make_depth,
    make_slices,
    make_values,
    make_volume,
    make_window,
    window_attributes,
)


def pool_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Of pictures, of volumes, of whole maps."""
    yield from window_pool_cases(rng)
    yield from volume_pool_cases(rng)
    yield from global_pool_cases(rng)


def window_pool_cases(rng: np.random.Generator) -> Iterator[Case]:
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


def volume_pool_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Windows along the slices too."""
    shape, channels = (7, 6), 4
    for title, spec in DEPTHS.items():
        along, depth = make_depth(spec)
        boxes = make_slices(rng, shape, along.input_depth)
        x = make_values(rng, boxes, channels)
        hulls = geometry.depth_boxes(boxes, along)
        window, ends = make_window(*WINDOWS["3x3"][:4], shape)
        after, attributes = geometry.window_boxes(hulls, window), {**window_attributes(window, ends), **depth}
        x0 = rng.standard_normal((along.input_depth, *shape, channels)).astype(np.float32)
        y0 = rng.standard_normal((along.output_depth, *window.output_shape, channels)).astype(np.float32)
        yield Case(f"max pool of volumes {title}", "IncrementalMaxPool", [x, boxes, after, x0, y0], attributes)
        yield Case(f"lp pool of volumes {title}", "IncrementalLpPool", [x, boxes, after, x0], {**attributes, "p": 2})
        for include in (0, 1):
            extra = {**attributes, "count_include_pad": include}
            yield Case(f"average pool of volumes {title} {include}", "IncrementalAveragePool", [x, boxes, after], extra)


def global_pool_cases(rng: np.random.Generator) -> Iterator[Case]:
    """One number a channel."""
    for channels in CHANNELS:
        shape = (5, 4)
        boxes = make_boxes(rng, shape)
        x = make_values(rng, boxes, channels)
        yield Case(f"gap {channels}", "IncrementalGlobalAveragePool", [x, boxes], {"input_shape": shape})
    for channels in CHANNELS:
        boxes = make_boxes(rng, MAP)
        z0 = 3 * rng.standard_normal((*MAP, channels)).astype(np.float32)
        yield Case(f"global max {channels}", "IncrementalGlobalMaxPool", [make_values(rng, boxes, channels), boxes, z0])
    x, boxes, z0 = make_volume(rng)
    yield Case("gap of volumes", "IncrementalGlobalAveragePool", [x, boxes], {"input_shape": z0.shape[:3]})
