"""A linear network whose maps can be worked out by hand.

Its first score is the sum of all pixels, its second the value of pixel (1, 2). A window of zeros takes from the first
the sum of the pixels that it hides, from the second that one pixel or nothing.
"""

from __future__ import annotations

import numpy as np
import onnx

H, W = 5, 7
PIXELS = np.random.default_rng(0).integers(-8, 9, (H, W)).astype(np.float32)
IMAGE = PIXELS[None, None]
TOLERANCE = 1e-4
"""Sums of 35 small integers are exact in float32 but for the order of division."""


def linear_model(tail=""):
    weights = np.zeros((H * W, 3), np.float32)
    weights[:, 0], weights[1 * W + 2, 1] = 1, 1
    output = "output = Softmax <axis = 1> (s)" if tail == "softmax" else "output = Identity (s)"
    text = f"""
        <ir_version: 9, opset_import: ["" : 17]>
        linear (float[1, 1, {H}, {W}] image) => (float[1, 3] output)
        <float[1, 1, 1, 1] one = {{1}}>
        {{ c = Conv (image, one)
           f = Flatten (c)
           s = MatMul (f, weights)
           {output} }}
    """
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "weights"))
    return model


def hidden(y0, x0, h, w):
    """What the window takes from the sum."""
    return PIXELS[max(y0, 0) : y0 + h, max(x0, 0) : x0 + w].sum()
