"""LRN, LayerNorm, Softmax and reductions, of a pixel's row of channels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from krypton_compile.contract.schemas import REDUCTIONS
from tests.ops.cases.case import Case
from tests.ops.cases.inputs import CHANNELS, MAP, make_boxes, make_values, make_volume


def row_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Of pictures, then of volumes."""
    for channels in CHANNELS:
        boxes = make_boxes(rng, MAP)
        x = make_values(rng, boxes, channels)
        z0 = rng.standard_normal((*MAP, channels)).astype(np.float32)
        lrn = {"size": 5, "alpha": 0.1, "beta": 0.6, "bias": 1.5}
        yield Case(f"lrn {channels}", "IncrementalLRN", [x, boxes, z0], lrn)
        yield Case(f"lrn even {channels}", "IncrementalLRN", [x, boxes, z0], {**lrn, "size": 4})
        inputs = [x, boxes, 3 * z0]
        for logarithm in (0, 1):
            yield Case(f"softmax {channels} {logarithm}", "IncrementalSoftmax", inputs, {"logarithm": logarithm})
        for function in REDUCTIONS:
            name = f"reduce {function} {channels}"
            yield Case(name, "IncrementalReduceChannels", inputs, {"function": function})
    x, boxes, z0 = make_volume(rng)
    yield Case("lrn of volumes", "IncrementalLRN", [x, boxes, z0], {"size": 3, "alpha": 0.2})
    yield Case("softmax of volumes", "IncrementalSoftmax", [x, boxes, z0])
    yield Case("reduce volumes", "IncrementalReduceChannels", [x, boxes, z0], {"function": "L2"})
