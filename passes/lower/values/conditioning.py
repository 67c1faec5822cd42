"""What of a base graph is computed on T' itself, as find_ill_conditioned.py finds it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Conditioning:
    """What is computed on T' itself.

    Attributes:
        rows: nodes that are functions of single pixels, as far as they are.
        whole: reductions over the picture.
        read: tensors whose T' is read as exactly as it is known.
        behind: tensors that something ill-conditioned depends on. What is dense reads them likewise: nothing between
            is a delta any more, and a row of zeros, say, is to stay one up to the norm that divides by it.
        quiet: convolutions and pools behind which such a tensor lies, whose T' is exact where they read zeros alone.
    """

    rows: frozenset[ir.Node] = frozenset()
    whole: frozenset[ir.Node] = frozenset()
    read: frozenset[ir.Value] = frozenset()
    behind: frozenset[ir.Value] = frozenset()
    quiet: frozenset[ir.Node] = frozenset()
