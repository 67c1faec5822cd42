"""Pad, Transpose, Resample, Concat and DepthGather."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from krypton_compile.contract import geometry
from tests.ops.cases.case import Case
from tests.ops.cases.inputs import (
    CHANNELS,
    DEPTHS,
    MAP,
    RESAMPLED,
    make_boxes,
    make_depth,
    make_slices,
    make_tables,
    make_values,
)


def move_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Rows that come from elsewhere, and zeros where nothing does."""
    for channels in CHANNELS:
        boxes = make_boxes(rng, MAP)
        x = make_values(rng, boxes, channels)
        for shift in ((2, 1), (-3, 0)):
            moved = geometry.translate_boxes(boxes, shift, (10, 9))
            attributes = {"shift": shift, "output_shape": (10, 9)}
            yield Case(f"pad {shift} {channels}", "IncrementalPad", [x, boxes, moved], attributes)
        turned = geometry.transpose_boxes(boxes)
        for title, target in (("", turned), (" elsewhere", turned[::-1].copy())):
            inputs = [x, boxes, target]
            yield Case(f"transpose {channels}{title}", "IncrementalTranspose", inputs, {"input_shape": MAP})
        others = make_boxes(rng, MAP)[::-1].copy()
        hull = geometry.union_boxes([boxes, others])
        thin, other = make_values(rng, others, 2), make_values(rng, others, channels)
        inputs = [hull, np.concatenate([boxes, others, others]), x, thin, other]
        yield Case(f"concat {channels}", "IncrementalConcat", inputs)
        yield Case(f"concat one {channels}", "IncrementalConcat", [boxes, boxes, x])
    for channels, taps, shape in RESAMPLED:
        boxes = make_boxes(rng, shape)
        tables = make_tables(rng, shape, taps)
        moved = geometry.resample_boxes(boxes, tables[0], tables[2])
        inputs = [make_values(rng, boxes, channels), boxes, moved, *tables]
        yield Case(f"resample {channels}", "IncrementalResample", inputs, {"input_shape": list(shape)})
    for index, (title, spec) in enumerate(DEPTHS.items()):
        along, depth = make_depth(spec)
        boxes = make_slices(rng, (7, 6), along.input_depth)
        inputs = [make_values(rng, boxes, 4), boxes, geometry.depth_boxes(boxes, along)]
        yield Case(f"depth gather {title}", "DepthGather", inputs, {**depth, "group": (1, 2, 4)[index % 3]})
