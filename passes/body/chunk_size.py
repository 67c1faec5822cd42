"""How many positions an iteration of the Scan takes, where nobody asked for a number."""

from __future__ import annotations

import math

from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.forms import Delta
from krypton_compile.passes.shapes import static_shape

_CHUNK = 32
_DENSE_BYTES = 8 << 20
_CUDA_CHUNK, _CUDA_DENSE_CHUNK = 512, 64


def choose_chunk(context: LoweringContext) -> int:
    """Choose as many positions as keep the largest full map of a dense region within some megabytes.

    A GPU wants many, and has the memory that the usual way takes at a batch of 64; whole maps take as much.
    """
    if context.target.cuda:
        return _CUDA_DENSE_CHUNK if context.forms.densified else _CUDA_CHUNK
    sizes = [math.prod(static_shape(value)) * 4 for value in context.forms.densified]
    sizes += [
        math.prod(static_shape(value)) * 4
        for value, form in context.forms.items()
        if not isinstance(form, Delta) and value.shape is not None
    ]
    return max(1, min(_CHUNK, _DENSE_BYTES // max(sizes, default=1)))
