"""Clip, all functions of a number, Scale, Add, all functions of two maps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from krypton_compile.contract import geometry
from krypton_compile.contract.schemas import BINARY, FUNCTIONS
from tests.ops.cases.case import Case
from tests.ops.cases.inputs import CHANNELS, MAP, make_boxes, make_values, make_volume


def pointwise_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Of pictures, then of volumes."""
    for channels in CHANNELS:
        yield from function_cases(rng, channels)
        yield from sum_cases(rng, channels)
    yield from binary_cases(rng)
    x, boxes, z0 = make_volume(rng)
    yield Case("relu of volumes", "IncrementalClip", [x, boxes, z0])
    yield Case("tanh of volumes", "IncrementalActivation", [x, boxes, z0], {"function": "Tanh"})
    others, channels = boxes[::-1].copy(), x.shape[1]
    inputs = [x, boxes, z0, z0 + 1, geometry.union_boxes([boxes, others]), make_values(rng, others, channels), others]
    yield Case("multiply of volumes", "IncrementalBinary", inputs, {"function": "Mul"})
    inputs = [x, boxes, z0, rng.standard_normal((z0.shape[1], 1, channels)).astype(np.float32), boxes]
    yield Case("max of volumes and a constant", "IncrementalBinary", inputs, {"function": "Max"})


def function_cases(rng: np.random.Generator, channels: int) -> Iterator[Case]:
    """Clip, and every function of a number."""
    boxes = make_boxes(rng, MAP)
    x = make_values(rng, boxes, channels)
    z0 = rng.standard_normal((*MAP, channels)).astype(np.float32)
    yield Case(f"relu {channels}", "IncrementalClip", [x, boxes, z0])
    yield Case(f"clip {channels}", "IncrementalClip", [x, boxes, z0], {"min": -0.25, "max": 0.5})
    scale = np.random.default_rng(channels).standard_normal(channels).astype(np.float32)
    yield Case(f"scaled relu {channels}", "IncrementalClip", [x, boxes, z0, None, scale])
    yield Case(f"scaled clip {channels}", "IncrementalClip", [x, boxes, z0, None, scale], {"min": -0.25, "max": 0.5})
    for function in FUNCTIONS:
        parameters = {"alpha": 0.7, "beta": 0.4, "function": function}
        # Logarithms, roots and quotients live on positive numbers; others are tried far out as well, but for the
        # exponential: there the rounding of z0 + d itself is more than the bound.
        near, far = function in ("Log", "Sqrt", "Reciprocal"), 0 if function == "Exp" else 9
        base = np.abs(z0) + 4 if near else z0 * (1 + far * (rng.random(z0.shape) < 0.2))
        moved = np.clip(x, -3, 3) if near else x
        inputs = [moved, boxes, base.astype(np.float32)]
        yield Case(f"{function} {channels}", "IncrementalActivation", inputs, parameters)


def sum_cases(rng: np.random.Generator, channels: int) -> Iterator[Case]:
    """Scale, Add and a product, on boxes that miss, meet and overlap."""
    boxes = make_boxes(rng, MAP)
    x = make_values(rng, boxes, channels)
    scale = np.random.default_rng(channels).standard_normal(channels).astype(np.float32)
    yield Case(f"scale {channels}", "IncrementalScale", [x, scale])
    others = make_boxes(rng, MAP)[::-1].copy()
    other = make_values(rng, others, channels)
    hull = geometry.union_boxes([boxes, others])
    for beta in (1.0, -1.0):
        inputs = [x, boxes, other, others, hull]
        yield Case(f"add {beta} {channels}", "IncrementalAdd", inputs, {"beta": beta})
    first, second = rng.standard_normal((2, *MAP, channels)).astype(np.float32)
    inputs = [x, boxes, first, second, hull, other, others]
    yield Case(f"multiply {channels}", "IncrementalBinary", inputs, {"function": "Mul"})


def binary_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Every function of two maps and of a map and a constant, either way round, with the shapes that broadcast."""
    shape = MAP
    for channels in CHANNELS:
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
