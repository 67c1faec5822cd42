"""The executable spec: a NumPy reference of every op in schemas.py.

``onnx.reference.ReferenceEvaluator(model, new_ops=REFERENCE_OPS)`` runs a compiled model without
onnxruntime and without the C++ library. Sums are taken in float64; everything else in float32, in
the order of operations that the kernels follow.
"""

from __future__ import annotations

from onnx.reference.op_run import OpRun

from krypton_compile.reference.boundary import (
    BaseMap,
    DeltaLimit,
    Densify,
    OcclusionChunks,
    OcclusionDelta,
    RowDelta,
    RowValues,
)
from krypton_compile.reference.boxes import (
    BaselineRows,
    DepthBoxes,
    DifferenceCounts,
    ResampleBoxes,
    ShrinkBoxes,
    SliceBoxes,
    StackBoxes,
    TranslateBoxes,
    TransposeBoxes,
    UnionBoxes,
    WindowBoxes,
)
from krypton_compile.reference.conv import IncrementalConcatConv, IncrementalConv, IncrementalGemm
from krypton_compile.reference.moves import (
    DepthGather,
    IncrementalConcat,
    IncrementalPad,
    IncrementalResample,
    IncrementalTranspose,
)
from krypton_compile.reference.pointwise import (
    IncrementalActivation,
    IncrementalAdd,
    IncrementalBinary,
    IncrementalClip,
    IncrementalScale,
)
from krypton_compile.reference.pool import (
    IncrementalAveragePool,
    IncrementalGlobalAveragePool,
    IncrementalGlobalMaxPool,
    IncrementalLpPool,
    IncrementalMaxPool,
)
from krypton_compile.reference.rows import (
    IncrementalLRN,
    IncrementalReduceChannels,
    IncrementalSoftmax,
)

REFERENCE_OPS: tuple[type[OpRun], ...] = (
    OcclusionChunks,
    DeltaLimit,
    BaseMap,
    DifferenceCounts,
    BaselineRows,
    SliceBoxes,
    OcclusionDelta,
    WindowBoxes,
    UnionBoxes,
    StackBoxes,
    TransposeBoxes,
    TranslateBoxes,
    ResampleBoxes,
    DepthBoxes,
    DepthGather,
    ShrinkBoxes,
    IncrementalPad,
    IncrementalTranspose,
    IncrementalResample,
    IncrementalConv,
    IncrementalConcatConv,
    IncrementalClip,
    IncrementalActivation,
    IncrementalMaxPool,
    IncrementalLpPool,
    IncrementalAveragePool,
    IncrementalScale,
    IncrementalAdd,
    IncrementalBinary,
    IncrementalConcat,
    IncrementalLRN,
    IncrementalSoftmax,
    IncrementalReduceChannels,
    IncrementalGemm,
    IncrementalGlobalAveragePool,
    IncrementalGlobalMaxPool,
    RowValues,
    RowDelta,
    Densify,
)

__all__ = ["REFERENCE_OPS"]
