"""The contract's inputs, the occluder, base maps, limits and full maps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from krypton_compile.contract import geometry
from tests.ops.cases.case import Case
from tests.ops.cases.inputs import (
    CHANNELS,
    make_boxes,
    make_regions,
    make_signal,
    make_values,
    make_volume,
)

TAU, EPS = np.ones(1, np.float32), np.zeros(1, np.float32)
NO_PATCHES, NO_MASK = np.zeros((0, 0), np.float32), np.zeros(0, bool)


def boundary_cases(rng: np.random.Generator) -> Iterator[Case]:
    """From a caller's boxes to the first delta, and from the last one to a tensor."""
    yield from occlusion_cases(rng)
    yield from region_cases(rng)
    yield from map_cases(rng)
    yield from row_cases(rng)


def occlusion_cases(rng: np.random.Generator) -> Iterator[Case]:
    """The contract's inputs: boxes, patches, masks, chunks."""
    shape, channels = (9, 8), 3
    attributes = {"image_shape": shape, "channels": channels, "chunk": 4}
    for count in (0, 1, 4, 9):
        boxes = make_boxes(rng, shape)[:count]
        rows = int(geometry.areas(boxes).sum())
        patches = rng.standard_normal((rows, channels)).astype(np.float32)
        mask = rng.random(rows) < 0.5
        yield Case(f"chunks {count}", "OcclusionChunks", [boxes, NO_PATCHES, NO_MASK, TAU, EPS], attributes)
        whole = {name: value for name, value in attributes.items() if name != "chunk"}
        yield Case(f"chunks {count} in one", "OcclusionChunks", [boxes, NO_PATCHES, NO_MASK, TAU, EPS], whole)
        yield Case(f"chunks {count} with rows", "OcclusionChunks", [boxes, patches, mask, TAU, EPS], attributes)
        image, baseline = (rng.standard_normal((*shape, channels)).astype(np.float32) for _ in range(2))
        offsets = geometry.row_offsets(boxes)[:-1]
        for title, own, chosen in (
            ("", NO_PATCHES, NO_MASK),
            (" patches", patches, NO_MASK),
            (" mask", NO_PATCHES, mask),
        ):
            inputs = [image, baseline, own, chosen, boxes, offsets]
            yield Case(f"occlusion {count}{title}", "OcclusionDelta", inputs)


def region_cases(rng: np.random.Generator) -> Iterator[Case]:
    """What callers give of signals and volumes."""
    for shape in ((11,), (5, 6), (4, 5, 6)):
        boxes = make_regions(rng, shape)
        attributes = {"image_shape": shape, "channels": 3, "chunk": 4}
        inputs = [boxes, NO_PATCHES, NO_MASK, TAU, EPS]
        yield Case(f"chunks {len(shape)} axes", "OcclusionChunks", inputs, attributes)
    offsets = geometry.row_offsets(boxes)
    sliced, rows = geometry.slice_boxes(boxes, offsets[:-1], shape)
    image, baseline = rng.standard_normal((2, *shape, 3)).astype(np.float32)
    patches = rng.standard_normal((int(offsets[-1]), 3)).astype(np.float32)
    mask = rng.random(len(patches)) < 0.5
    for own, chosen in ((NO_PATCHES, NO_MASK), (patches, NO_MASK), (NO_PATCHES, mask)):
        inputs = [image, baseline, own, chosen, sliced, rows]
        yield Case(f"occlusion of volumes {len(own)} {len(chosen)}", "OcclusionDelta", inputs)


def map_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Base maps, limits and full maps of every layout."""
    for channels in CHANNELS:
        shape = (5, 4)
        boxes = make_boxes(rng, shape)
        x = make_values(rng, boxes, channels)
        t0 = rng.standard_normal((*shape, channels)).astype(np.float32)
        for layout in ("NCHW", "NHWC"):
            yield Case(f"densify {layout} {channels}", "Densify", [x, boxes, t0], {"layout": layout})
            full = rng.standard_normal((1, 19, 21, channels)).astype(np.float32)
            eps = np.array([0.25, 0.0, 0.5], np.float32)
            for group in range(3):
                yield Case(f"limit {channels} {group}", "DeltaLimit", [-full, eps], {"layer_group": group})
            yield Case(f"base map {layout} {channels}", "BaseMap", [full], {"layout": layout, "tensor_name": "t"})
    x, boxes, z0 = make_volume(rng)
    signal, rows, row = make_signal(rng)
    volume, line = rng.standard_normal((1, 3, 4, 5, 6)), rng.standard_normal((1, 7, 5))
    for layout, inputs, full in (
        ("NCDHW", [x, boxes, z0], volume),
        ("NDHWC", [x, boxes, z0], volume),
        ("NCL", [signal, rows, row], line),
        ("NLC", [signal, rows, row], line),
    ):
        yield Case(f"densify {layout}", "Densify", inputs, {"layout": layout})
        attributes = {"layout": layout, "tensor_name": "t"}
        yield Case(f"base map {layout}", "BaseMap", [full.astype(np.float32)], attributes)


def row_cases(rng: np.random.Generator) -> Iterator[Case]:
    """T' on boxes: from a delta, values on other boxes, the base alone, with rows of the baseline; and back."""
    shape = (6, 5)
    for channels in CHANNELS:
        y_boxes, x_boxes = make_boxes(rng, shape), make_boxes(rng, shape)
        x = make_values(rng, x_boxes, channels)
        x[rng.random(len(x)) < 0.5] = 0
        x0, xb = rng.standard_normal((2, *shape, channels)).astype(np.float32)
        xb[::2] = x0[::2]
        rows = int(geometry.areas(y_boxes).sum())
        known = rng.random(rows) < 0.4
        for of in ("delta", "values"):
            yield Case(f"rows {of} {channels}", "RowValues", [y_boxes, x0, x, x_boxes], {"of": of})
            inputs = [y_boxes, x0, x, x_boxes, known, xb]
            yield Case(f"rows {of} {channels} known", "RowValues", inputs, {"of": of})
        yield Case(f"rows of the base {channels}", "RowValues", [y_boxes, x0])
        yield Case(f"rows of the baseline {channels}", "RowValues", [y_boxes, x0, None, None, known, xb])
        v = rng.standard_normal((rows, channels)).astype(np.float32)
        yield Case(f"row delta {channels}", "RowDelta", [v, y_boxes, known, x0])
        for layout in ("NCHW", "NHWC"):
            yield Case(
                f"densify values {layout} {channels}", "Densify", [v, y_boxes, x0], {"layout": layout, "of": "values"}
            )
    x, boxes, z0 = make_volume(rng)
    known = rng.random(len(x)) < 0.5
    yield Case("rows of volumes", "RowValues", [boxes, z0, x, boxes, known, z0 + 1])
    yield Case("row delta of volumes", "RowDelta", [x, boxes, known, z0])
    infinite = np.full((1, 2, 3, 4), np.inf, np.float32)
    yield Case("base map with infinities", "BaseMap", [infinite], {"layout": "NCHW", "tensor_name": "t", "finite": 0})
