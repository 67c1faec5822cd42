"""Schemas of the incremental ops: the one table that compiler, reference and C++ kernels agree on.

Forms of a tensor inside the incremental graph (DESIGN section 4), for a chunk of B positions:

* ``values`` float32 [R, C], the delta's rows: for each box in order, its pixels row by row, C
  channels each, R = sum of h*w; ``boxes`` int32 [B, 4] = (y0, x0, h, w), empty = (0, 0, 0, 0).
* a *base map* float32 [H, W, C]: the same tensor for the image itself.

A volume is carried as its slices: a delta of B positions on D slices has B * D boxes, box b * D + z that of slice z, on
the slice's own (H, W); its base maps are [D, H, W, C]. A signal is a picture of one row.

Thresholds of approximate inference are ``tau`` and ``eps`` [G], a value for each layer group or one for all, picked by
the attribute ``layer_group``; 1 and 0 are exact. Ops that compute new numbers take ``limit`` [1]: entries of their
result up to it, in absolute value, become 0.

Window attributes are ONNX's: ``kernel_shape`` [2], ``strides`` [2], ``pads`` [y0, x0, y1, x1],
``dilations`` [2]; ``input_shape`` and ``output_shape`` are (H, W) of the maps before and after. Along the slices of
volumes a window is ``depth``, [kernel, stride, pad, end pad, dilation, slices before, slices after]; absent, of
pictures, there is one slice.

| op | inputs | outputs | meaning |
|---|---|---|---|
| OcclusionChunks | boxes [P,2n], patches [r,C], mask [m], tau [G], eps [G] | chunks [n,B,2n], offsets int64 [n,B] | checks all that a caller gives; pads the boxes with empty ones to n*B, n = max(1, ceil(P/B)); offsets: first patch/mask row of a box. Without `chunk` all are one, [max(1,P),2n] and [max(1,P)] |
| DeltaLimit | tensor T0, eps [G] | [1] | eps * max abs T0 |
| BaseMap | tensor [1,C,H,W] or [1,H,W,C] | [H,W,C] | NHWC view; refuses NaN and Inf, unless `finite` is 0 |
| DifferenceCounts | image, baseline [H,W,C] | int32 [D+1,H+1,W+1] | in how many pixels they differ, summed up to each corner |
| BaselineRows | windows [B,2n], offsets, patches, mask, counts [, y_boxes, fields int64 [D+H+W,2]] | bool [R] | whether all pixels that a row depends on are the baseline's, once the window is hidden; without boxes [B], of the whole image |
| SliceBoxes | boxes [B,2n], offsets | boxes, offsets [B*D] | geometry.slice_boxes: a caller's boxes as boxes of slices |
| OcclusionDelta | image, baseline [H,W,C], patches, mask, boxes, offsets | values | (baseline or patch - image) where the mask holds, else 0 |
| WindowBoxes | boxes [, tau [G]] | boxes | geometry.window_boxes, then geometry.crop_boxes |
| UnionBoxes | boxes, boxes, ... | boxes | geometry.union_boxes |
| StackBoxes | boxes, boxes, ... | boxes [n*B,4] | one list after another, for IncrementalConcat |
| TransposeBoxes | boxes | boxes | rows and columns changed places: (x0, y0, w, h) |
| TranslateBoxes | boxes | boxes | geometry.translate_boxes (Pad with a constant) |
| ResampleBoxes | boxes, y_index [Ho,S], x_index [Wo,T] | boxes | geometry.resample_boxes |
| DepthBoxes | boxes | boxes | geometry.depth_boxes: the hull of the slices that each output slice reads |
| DepthGather | X, x_boxes, y_boxes | values | those slices' channels side by side, [group][tap][C/group] |
| ShrinkBoxes | values, boxes | boxes | each box cut to the hull of its rows that are not all zero |
| IncrementalPad | X, x_boxes, y_boxes | values | the rows of y_boxes, shifted back by the pads |
| IncrementalTranspose | X, x_boxes, y_boxes | values | the rows of y_boxes, each from where its row and column trade places |
| IncrementalResample | X, x_boxes, y_boxes, y_index, y_weight [Ho,S], x_index, x_weight [Wo,T] [, limit] | values | weighted sums of the pixels that separable tables name |
| IncrementalConv | X, x_boxes, y_boxes, W [, Z0, B, b_boxes, limit] | values | Conv of the delta, no bias; plus B, another delta; with Z0 [H,W,M] the clip rule follows. Of volumes X is DepthGather's and W has its depth |
| IncrementalConcatConv | y_boxes, x_boxes [n*B,4], W [M,C,1,1] [, X0, scale [C], x_limit, Z0, limit], X1, X2, ... Xn | values | IncrementalConcat, with X0 the clip rule of scale * D, and IncrementalConv by single pixels; with Z0 another clip rule follows |
| IncrementalClip | X, boxes, Z0 [, limit] [, scale [C]] | values | clip(Z0 + scale * D) - clip(Z0), by branch |
| IncrementalActivation | X, boxes, Z0 [, limit] | values | f(Z0 + D) - f(Z0); f one of ``FUNCTIONS`` |
| IncrementalMaxPool | X, x_boxes, y_boxes, X0, Y0 [, limit] | values | max over taps of (X0 - Y0) + D |
| IncrementalLpPool | X, x_boxes, y_boxes, X0 [, limit] | values | (sum over taps of abs(X0 + D)^p)^(1/p), less that of X0 |
| IncrementalAveragePool | X, x_boxes, y_boxes [, limit] | values | sum over taps / count of the absolute window |
| IncrementalScale | X, scale [C] [, limit] | values | D * scale |
| IncrementalAdd | A, a_boxes, B, b_boxes, y_boxes [, limit] | values | A + beta * B |
| IncrementalBinary | A, a_boxes, A0, B0, y_boxes [, B, b_boxes, limit] | values | f(A0 + DA, B0 + DB) - f(A0, B0), or of f(B, A) where ``swapped``; f one of ``BINARY``; A or B may have 1 channel, a B that is constant 1 row or column too |
| IncrementalConcat | y_boxes, x_boxes [n*B,4], X1, X2, ... Xn | values | channels side by side |
| IncrementalLRN | X, boxes, Z0 [, limit] | values | lrn(Z0 + D) - lrn(Z0) |
| IncrementalSoftmax | X, boxes, Z0 [, limit] | values | softmax(Z0 + D) - softmax(Z0) of each row, or of its logarithm |
| IncrementalReduceChannels | X, boxes, Z0 [, limit] | values [R, 1] | r(Z0 + D) - r(Z0) of each row; r one of ``REDUCTIONS`` |
| IncrementalGemm | X, boxes, W [H*W*C, N] | [B, N] | D flattened (y, x, c), times W |
| IncrementalGlobalAveragePool | X, boxes | [B, C] | sum over the box, of volumes over the boxes of all slices / (H*W) |
| IncrementalGlobalMaxPool | X, boxes, X0 | [B, C] | max of X0 + D over the map, less that of X0 |
| RowValues | y_boxes, X0 [, X, x_boxes, known [R], XB] | values, changed bool [R] | T' itself: XB where known, else X0 + D; X is T' already where `of` is "values"; which rows differ from X0 |
| RowDelta | V, boxes, changed [R], Y0 [, limit] | values | V - Y0, and 0 in rows that have not changed |
| Densify | X, boxes, T0 | [B,C,H,W] or [B,H,W,C] | T0 + D as full maps; X is T' already where `of` is "values" |
"""

from __future__ import annotations

from dataclasses import dataclass

DOMAIN = "krypton"
VERSION = 1

PRECISIONS = ("float32", "bfloat16x3", "bfloat16")
"""Of the convolutions' ``precision``: the lowest that a kernel may multiply in. bfloat16x3 makes a float32 product of
three bfloat16 ones (relative error about 5e-6) where the processor multiplies bfloat16 matrices, else it is float32;
bfloat16 takes one where it multiplies matrices or vectors of them."""

FUNCTIONS = (
    "Abs Atan Celu Cos Elu Erf Exp Gelu GeluTanh HardSigmoid HardSwish LeakyRelu Log Mish Reciprocal Selu Sigmoid Sin "
    "Softplus Softsign Sqrt Swish Tanh"
).split()
"""Of IncrementalActivation's ``function``: ONNX's names and parameters (Selu's gamma is ``beta``); GeluTanh is Gelu's
approximation by tanh, Swish x sigmoid(alpha x)."""

BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow")
"""Of IncrementalBinary's ``function``: ONNX's names."""

REDUCTIONS = ("L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Sum", "SumSquare")
"""Of IncrementalReduceChannels' ``function``: ONNX's names without Reduce."""

_WINDOW = ("kernel_shape", "strides", "pads", "dilations", "input_shape", "output_shape")


@dataclass(frozen=True)
class OpSchema:
    """One incremental op: inputs as ``name:type``, ``?`` optional, ``*`` variadic; outputs alike."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[str, ...] = ()


SCHEMAS: tuple[OpSchema, ...] = (
    OpSchema(
        "OcclusionChunks",
        ("boxes:int32", "patches:float", "mask:bool", "tau:float", "eps:float"),
        ("chunks:int32", "offsets:int64"),
        ("image_shape", "channels", "chunk", "layer_groups"),
    ),
    OpSchema("DeltaLimit", ("tensor:float", "eps:float"), ("limit:float",), ("layer_group",)),
    OpSchema("BaseMap", ("tensor:float",), ("map:float",), ("layout", "tensor_name", "finite")),
    OpSchema("DifferenceCounts", ("image:float", "baseline:float"), ("counts:int32",)),
    OpSchema(
        "BaselineRows",
        (
            "windows:int32",
            "offsets:int64",
            "patches:float",
            "mask:bool",
            "counts:int32",
            "y_boxes:int32?",
            "fields:int64?",
        ),
        ("rows:bool",),
        ("map_shape",),
    ),
    OpSchema("SliceBoxes", ("boxes:int32", "offsets:int64"), ("y_boxes:int32", "y_offsets:int64"), ("image_shape",)),
    OpSchema(
        "OcclusionDelta",
        ("image:float", "baseline:float", "patches:float", "mask:bool", "boxes:int32", "offsets:int64"),
        ("values:float",),
    ),
    OpSchema("WindowBoxes", ("boxes:int32", "tau:float?"), ("y_boxes:int32",), (*_WINDOW, "layer_group")),
    OpSchema("UnionBoxes", ("boxes:int32*",), ("y_boxes:int32",)),
    OpSchema("StackBoxes", ("boxes:int32*",), ("y_boxes:int32",)),
    OpSchema("TransposeBoxes", ("boxes:int32",), ("y_boxes:int32",)),
    OpSchema("TranslateBoxes", ("boxes:int32",), ("y_boxes:int32",), ("shift", "output_shape")),
    OpSchema("ResampleBoxes", ("boxes:int32", "y_index:int64", "x_index:int64"), ("y_boxes:int32",), ("input_shape",)),
    OpSchema("DepthBoxes", ("boxes:int32",), ("y_boxes:int32",), ("depth",)),
    OpSchema("DepthGather", ("X:float", "x_boxes:int32", "y_boxes:int32"), ("Y:float",), ("depth", "group")),
    OpSchema("ShrinkBoxes", ("X:float", "boxes:int32"), ("y_boxes:int32",)),
    OpSchema("IncrementalPad", ("X:float", "x_boxes:int32", "y_boxes:int32"), ("Y:float",), ("shift", "output_shape")),
    OpSchema("IncrementalTranspose", ("X:float", "x_boxes:int32", "y_boxes:int32"), ("Y:float",), ("input_shape",)),
    OpSchema(
        "IncrementalResample",
        (
            "X:float",
            "x_boxes:int32",
            "y_boxes:int32",
            "y_index:int64",
            "y_weight:float",
            "x_index:int64",
            "x_weight:float",
            "limit:float?",
        ),
        ("Y:float",),
        ("input_shape",),
    ),
    OpSchema(
        "IncrementalConv",
        (
            "X:float",
            "x_boxes:int32",
            "y_boxes:int32",
            "W:float",
            "Z0:float?",
            "B:float?",
            "b_boxes:int32?",
            "limit:float?",
        ),
        ("Y:float",),
        (*_WINDOW, "group", "slices", "min", "max", "precision"),
    ),
    OpSchema(
        "IncrementalConcatConv",
        (
            "y_boxes:int32",
            "x_boxes:int32",
            "W:float",
            "X0:float?",
            "scale:float?",
            "x_limit:float?",
            "Z0:float?",
            "limit:float?",
            "X:float*",
        ),
        ("Y:float",),
        ("x_min", "x_max", "min", "max", "precision"),
    ),
    OpSchema(
        "IncrementalClip",
        ("X:float", "boxes:int32", "Z0:float", "limit:float?", "scale:float?"),
        ("Y:float",),
        ("min", "max"),
    ),
    OpSchema(
        "IncrementalActivation",
        ("X:float", "boxes:int32", "Z0:float", "limit:float?"),
        ("Y:float",),
        ("function", "alpha", "beta"),
    ),
    OpSchema(
        "IncrementalMaxPool",
        ("X:float", "x_boxes:int32", "y_boxes:int32", "X0:float", "Y0:float", "limit:float?"),
        ("Y:float",),
        (*_WINDOW, "depth"),
    ),
    OpSchema(
        "IncrementalLpPool",
        ("X:float", "x_boxes:int32", "y_boxes:int32", "X0:float", "limit:float?"),
        ("Y:float",),
        (*_WINDOW, "p", "depth"),
    ),
    OpSchema(
        "IncrementalAveragePool",
        ("X:float", "x_boxes:int32", "y_boxes:int32", "limit:float?"),
        ("Y:float",),
        (*_WINDOW, "count_include_pad", "depth"),
    ),
    OpSchema("IncrementalScale", ("X:float", "scale:float", "limit:float?"), ("Y:float",)),
    OpSchema(
        "IncrementalAdd",
        ("A:float", "a_boxes:int32", "B:float", "b_boxes:int32", "y_boxes:int32", "limit:float?"),
        ("Y:float",),
        ("beta",),
    ),
    OpSchema(
        "IncrementalBinary",
        (
            "A:float",
            "a_boxes:int32",
            "A0:float",
            "B0:float",
            "y_boxes:int32",
            "B:float?",
            "b_boxes:int32?",
            "limit:float?",
        ),
        ("Y:float",),
        ("function", "swapped"),
    ),
    OpSchema("IncrementalConcat", ("y_boxes:int32", "x_boxes:int32", "X:float*"), ("Y:float",)),
    OpSchema(
        "IncrementalLRN",
        ("X:float", "boxes:int32", "Z0:float", "limit:float?"),
        ("Y:float",),
        ("size", "alpha", "beta", "bias"),
    ),
    OpSchema(
        "IncrementalSoftmax", ("X:float", "boxes:int32", "Z0:float", "limit:float?"), ("Y:float",), ("logarithm",)
    ),
    OpSchema(
        "IncrementalReduceChannels", ("X:float", "boxes:int32", "Z0:float", "limit:float?"), ("Y:float",), ("function",)
    ),
    OpSchema("IncrementalGemm", ("X:float", "boxes:int32", "W:float"), ("Y:float",), ("input_shape",)),
    OpSchema("IncrementalGlobalAveragePool", ("X:float", "boxes:int32"), ("Y:float",), ("input_shape",)),
    OpSchema("IncrementalGlobalMaxPool", ("X:float", "boxes:int32", "X0:float"), ("Y:float",)),
    OpSchema(
        "RowValues",
        ("y_boxes:int32", "X0:float", "X:float?", "x_boxes:int32?", "known:bool?", "XB:float?"),
        ("Y:float", "changed:bool"),
        ("of",),
    ),
    OpSchema("RowDelta", ("V:float", "boxes:int32", "changed:bool", "Y0:float", "limit:float?"), ("Y:float",)),
    OpSchema("Densify", ("X:float", "boxes:int32", "T0:float"), ("Y:float",), ("layout", "of")),
)
