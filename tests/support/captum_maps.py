"""Torch networks, images for them, and the comparison of our attributions with Captum's."""

from __future__ import annotations

from typing import Any

import captum.attr
import numpy as np
import torch
from torch import nn

SHAPE = (3, 28, 36)
CLASSES = 5
RANGE_BOUND = 1e-4
"""Of a map's range: how far off a map may be. Differences of scores in float32, hundreds of them summed."""
SCORE_BOUND = 1e-5
"""Of the largest score, whose rounding each difference has: the product's own bound."""
SPREAD = 100
"""By how many tolerances a map must vary, or the comparison would be no test."""


def make_net(seed: int = 0, classes: int = CLASSES, *last: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12 * 7 * 9, classes),
            *last,
        ).eval()


def make_images(count: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32))


def make_numbers(*shape: int, seed: int = 3) -> torch.Tensor:
    """Numbers from 0 to 1."""
    return torch.from_numpy(np.random.default_rng(seed).random(shape, np.float32))


def check(occlusion: Any, images: Any, *windows: Any, module: Any = None, **options: Any) -> Any:
    """Both maps agree, and vary enough for that to mean something; returns ours."""
    module = module or occlusion.forward_func
    options = {"perturbations_per_eval": 64, **options}
    theirs = getattr(captum.attr, type(occlusion).__name__)(module).attribute(images, *windows, **options)
    mine = occlusion.attribute(images, *windows, **options)
    assert type(mine) is type(theirs)
    inputs, pairs = (value if isinstance(value, tuple) else (value,) for value in (images, theirs))
    found = mine if isinstance(mine, tuple) else (mine,)
    further = options.get("additional_forward_args", ())
    with torch.no_grad():
        scores = module(*inputs, *(further if isinstance(further, tuple) else (further,)))
    score = float(scores.abs().max()) if isinstance(scores, torch.Tensor) else 1.0
    for ours, expected in zip(found, pairs, strict=True):
        assert (ours.shape, ours.dtype, ours.device) == (expected.shape, expected.dtype, expected.device)
        for row, other in zip(ours.double(), expected.double(), strict=True):
            spread = float(other.max() - other.min())
            tolerance = max(RANGE_BOUND * spread, SCORE_BOUND * score)
            assert spread > SPREAD * tolerance, f"the map varies by {spread}, tolerance {tolerance}"
            torch.testing.assert_close(row, other, rtol=0, atol=tolerance)
    return mine
