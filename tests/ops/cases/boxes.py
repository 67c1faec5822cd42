"""The ops on boxes alone, and ShrinkBoxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from krypton_compile.contract import geometry
from tests.ops.cases.case import Case
from tests.ops.cases.inputs import (
    DEPTHS,
    RESAMPLED,
    WINDOWS,
    make_boxes,
    make_depth,
    make_regions,
    make_slices,
    make_tables,
    make_values,
    make_window,
    window_attributes,
)


def box_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Windows with and without a threshold, unions, translations, tables, slices, non-zeros."""
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
    yield Case("transpose", "TransposeBoxes", [parts[0]])
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
    for channels, taps, shape in RESAMPLED:
        tables = make_tables(rng, shape, taps)
        inputs = [make_boxes(rng, shape), tables[0], tables[2]]
        yield Case(f"resample boxes {channels}", "ResampleBoxes", inputs, {"input_shape": list(shape)})
    for title, spec in DEPTHS.items():
        along, depth = make_depth(spec)
        yield Case(f"depth boxes {title}", "DepthBoxes", [make_slices(rng, (7, 6), along.input_depth)], depth)
    for shape in ((11,), (5, 6), (4, 5, 6)):
        boxes = make_regions(rng, shape)
        inputs = [boxes, geometry.row_offsets(boxes)[:-1]]
        yield Case(f"slices {len(shape)} axes", "SliceBoxes", inputs, {"image_shape": shape})
    yield from baseline_cases(rng)


def baseline_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Pixels that differ from the baseline, and rows that depend on none."""
    for shape, smaller in (((11,), (1, 1, 5)), ((9, 8), (1, 4, 3)), ((3, 5, 6), (2, 5, 3))):
        image = rng.integers(0, 2, (*(1,) * (2 - len(shape)), *shape, 2)).astype(np.float32)
        baseline = np.zeros_like(image)
        yield Case(f"differences {len(shape)} axes", "DifferenceCounts", [image, baseline])
        size = (1,) * (3 - len(shape)) + shape
        differs = rng.random(size) < 0.15
        counts = np.pad(differs.cumsum(0).cumsum(1).cumsum(2), ((1, 0),) * 3).astype(np.int32)
        windows = make_regions(rng, shape)
        offsets = geometry.row_offsets(windows)
        fields = np.concatenate([_fields(rng, n, m) for n, m in zip(size, smaller, strict=True)])
        boxes = np.concatenate([make_boxes(rng, smaller[1:]) for _ in range(smaller[0])])
        mask = rng.random(int(offsets[-1])) < 0.5
        mask[offsets[1] : offsets[2]] = True
        patches, none = rng.standard_normal((int(offsets[-1]), 2)).astype(np.float32), np.zeros((0, 0), np.float32)
        for title, own, chosen in (
            ("", none, np.zeros(0, bool)),
            (" masked", none, mask),
            (" with patches", patches, np.zeros(0, bool)),
        ):
            inputs = [windows, offsets[:-1], own, chosen, counts]
            yield Case(f"baseline {len(shape)} axes{title}", "BaselineRows", inputs)
            attributes = {"map_shape": smaller}
            yield Case(f"baseline rows {len(shape)} axes{title}", "BaselineRows", [*inputs, boxes, fields], attributes)


def _fields(rng: np.random.Generator, pixels: int, places: int) -> np.ndarray:
    """A range of pixels for each place."""
    first = rng.integers(0, pixels, places)
    return np.stack([first, np.minimum(first + rng.integers(0, 4, places), pixels)], axis=1)
