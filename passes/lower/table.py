"""The table of rules: by which an op becomes incremental, and on which kinds of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from krypton_compile.contract.layouts import KINDS, axes_of
from krypton_compile.contract.schemas import FUNCTIONS
from krypton_compile.passes.lower.context import LoweringContext
from krypton_compile.passes.lower.forms import Delta, Form
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules import (
    activation,
    binary,
    channels,
    clip,
    concat,
    conv,
    conv_transpose,
    elementwise,
    gemm,
    global_pool,
    layout,
    lrn,
    pool,
    resample,
    softmax,
)
from krypton_compile.passes.lower.values.pixel_local import lower_pixel_local


@dataclass(frozen=True)
class Rule:
    """A delta rule.

    Attributes:
        lower: emits the ops that compute the delta of a node's output, or raises Refused.
        axes: for tensors of how many spatial axes it holds.
    """

    lower: Callable[[ir.Node, LoweringContext], Form]
    axes: tuple[int, ...] = tuple(KINDS)

    @property
    def _kinds(self) -> str:
        return " and ".join(f"{KINDS[axes]}s" for axes in self.axes)

    def apply(self, node: ir.Node, context: LoweringContext) -> Form:
        """Lower the node; nothing is left in the context of what a rule does that refuses.

        Raises:
            Refused: if the rule does not hold for the node.
        """
        for value in node.inputs:
            form = context.forms.get(value) if value is not None else None
            if isinstance(form, Delta) and axes_of(form.layout) not in self.axes:
                raise Refused(f"its rule does not hold for a {KINDS[axes_of(form.layout)]}, only for {self._kinds}")
        with context.transaction():
            return self.lower(node, context)


_PICTURES = (2,)

_ACTIVATION = Rule(activation.lower)
_BINARY = Rule(binary.lower)
_CHANNELS = Rule(channels.lower)
_CLIP = Rule(clip.lower)
_CONCAT = Rule(concat.lower)
_CONV = Rule(conv.lower)
_CONV_TRANSPOSE = Rule(conv_transpose.lower, (1, 2))
_ELEMENTWISE = Rule(elementwise.lower)
_GEMM = Rule(gemm.lower)
ON_VALUES = Rule(lower_pixel_local)
_GLOBAL_POOL = Rule(global_pool.lower)
_LAYOUT = Rule(layout.lower)
_LRN = Rule(lrn.lower, _PICTURES)
_POOL = Rule(pool.lower)
_RESAMPLE = Rule(resample.lower)
_SOFTMAX = Rule(softmax.lower)

RULES: dict[str, tuple[Rule, ...]] = {
    "Add": (_ELEMENTWISE, _BINARY),
    "AveragePool": (_POOL,),
    "BatchNormalization": (_ELEMENTWISE,),
    "Clip": (_CLIP,),
    "Concat": (_CONCAT,),
    "Conv": (_CONV,),
    "ConvTranspose": (_CONV_TRANSPOSE,),
    "DepthToSpace": (_CONV_TRANSPOSE,),
    "CumSum": (_RESAMPLE,),
    "Div": (_ELEMENTWISE, _BINARY),
    "Dropout": (_LAYOUT,),
    "Expand": (_CHANNELS,),
    "Flatten": (_LAYOUT,),
    "Gather": (_CHANNELS, _RESAMPLE),
    "Gemm": (_GEMM,),
    "GlobalAveragePool": (_GLOBAL_POOL,),
    "GlobalMaxPool": (_GLOBAL_POOL,),
    "Identity": (_LAYOUT,),
    "LRN": (_LRN,),
    "LayerNormalization": (ON_VALUES,),
    "LogSoftmax": (_SOFTMAX,),
    "LpPool": (_POOL,),
    "MatMul": (_GEMM, _RESAMPLE),
    "Max": (_CLIP, _BINARY),
    "MaxPool": (_POOL,),
    "Min": (_CLIP, _BINARY),
    "Mul": (_ELEMENTWISE, _BINARY),
    "Pad": (_LAYOUT, _RESAMPLE),
    "Pow": (_BINARY,),
    "ReduceL1": (_SOFTMAX,),
    "ReduceL2": (_SOFTMAX,),
    "ReduceLogSumExp": (_SOFTMAX,),
    "ReduceMax": (_GLOBAL_POOL, _SOFTMAX),
    "ReduceMean": (_GLOBAL_POOL, _SOFTMAX, _RESAMPLE),
    "ReduceMin": (_SOFTMAX,),
    "ReduceSum": (_GLOBAL_POOL, _SOFTMAX, _RESAMPLE),
    "ReduceSumSquare": (_SOFTMAX,),
    "Relu": (_CLIP,),
    "Reshape": (_LAYOUT,),
    "Resize": (_RESAMPLE,),
    "Slice": (_CHANNELS, _RESAMPLE),
    "Softmax": (_SOFTMAX,),
    "SpaceToDepth": (_CONV_TRANSPOSE,),
    "Split": (_CHANNELS,),
    "Sub": (_ELEMENTWISE, _BINARY),
    "Transpose": (_LAYOUT,),
    **dict.fromkeys((*FUNCTIONS, "Neg", "PRelu"), (_ACTIVATION,)),
}
"""The rules of an op, in the order in which they are tried: the second where the first refuses."""
