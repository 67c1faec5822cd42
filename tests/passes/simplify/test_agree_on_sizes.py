"""A Resize whose scale is a hair less than what was meant: the size is onnxruntime's, and the pixels too."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.graphs import compile_and_check, dense, floats, parse

TAIL = "m = Conv (n, wm) p = GlobalAveragePool (m) q = Flatten (p) y = Gemm <transB = 1> (q, wz)"
SCALE = float(np.float32(31 / 24))
"""Times 24 it is less than 31, and rounds to it."""


def resized(attributes: str, *scales: float):
    return parse(
        f"a = Conv (x, wa) r = Resize <{attributes}> (a, , scales) b = Conv (r, wb) n = Relu (b) {TAIL}",
        image="float[1,3,26,26] x",
        scores="float[1,5] y",
        wa=(6, 3, 3, 3),
        wb=(6, 6, 3, 3),
        wm=(8, 6, 1, 1),
        wz=(5, 8),
        scales=floats(1, 1, *scales),
    )


def test_the_scale_is_such_a_one():
    assert SCALE * 24 < 31
    assert np.float32(SCALE) * np.float32(24) == 31


@pytest.mark.parametrize(
    "attributes",
    [
        'mode = "linear", coordinate_transformation_mode = "half_pixel"',
        'mode = "linear", coordinate_transformation_mode = "align_corners"',
        'mode = "cubic", coordinate_transformation_mode = "half_pixel"',
        'mode = "nearest", coordinate_transformation_mode = "half_pixel", nearest_mode = "floor"',
        'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "round_prefer_ceil"',
    ],
)
@pytest.mark.parametrize("scales", [(SCALE, SCALE), (1, SCALE), (2, SCALE), (float(np.float32(17 / 24)), 0.5)])
def test_the_size_is_that_of_onnxruntime(attributes, scales):
    assert not dense(compile_and_check(resized(attributes, *scales)))
