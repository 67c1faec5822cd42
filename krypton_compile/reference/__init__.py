"""The executable spec: a NumPy reference of every op in schemas.py.

``onnx.reference.ReferenceEvaluator(model, new_ops=REFERENCE_OPS)`` runs a compiled model without
onnxruntime and without the C++ library. Sums are taken in float64; everything else in float32, in
the order of operations that the kernels follow.
"""

from __future__ import annotations

from onnx.reference.op_run import OpRun

from krypton_compile.reference.activation import IncrementalActivation, IncrementalClip
from krypton_compile.reference.binary import IncrementalBinary
from krypton_compile.reference.boxes import ShrinkBoxes, StackBoxes, TranslateBoxes, UnionBoxes, WindowBoxes
from krypton_compile.reference.channels import IncrementalReduceChannels, IncrementalSoftmax
from krypton_compile.reference.conv import IncrementalConv
from krypton_compile.reference.densify import BaseMap, Densify
from krypton_compile.reference.elementwise import (
    IncrementalAdd,
    IncrementalConcat,
    IncrementalLayerNorm,
    IncrementalLRN,
    IncrementalPad,
    IncrementalScale,
)
from krypton_compile.reference.occlusion import OcclusionChunks, OcclusionDelta
from krypton_compile.reference.pool import IncrementalAveragePool, IncrementalLpPool, IncrementalMaxPool
from krypton_compile.reference.reduce import IncrementalGemm, IncrementalGlobalAveragePool, IncrementalGlobalMaxPool
from krypton_compile.reference.resample import IncrementalResample, ResampleBoxes
from krypton_compile.reference.slices import DepthBoxes, DepthGather, SliceBoxes
from krypton_compile.reference.thresholds import DeltaLimit

REFERENCE_OPS: tuple[type[OpRun], ...] = (
    OcclusionChunks,
    DeltaLimit,
    BaseMap,
    SliceBoxes,
    OcclusionDelta,
    WindowBoxes,
    UnionBoxes,
    StackBoxes,
    TranslateBoxes,
    ResampleBoxes,
    DepthBoxes,
    DepthGather,
    ShrinkBoxes,
    IncrementalPad,
    IncrementalResample,
    IncrementalConv,
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
    IncrementalLayerNorm,
    IncrementalSoftmax,
    IncrementalReduceChannels,
    IncrementalGemm,
    IncrementalGlobalAveragePool,
    IncrementalGlobalMaxPool,
    Densify,
)

__all__ = ["REFERENCE_OPS"]
