"""Every value op's reference is the difference of two dense runs: reference(D) = op(T0 + D) - op(T0).

The dense side runs the image and all occluded maps as one batch in onnxruntime; a case holds on the
whole map, so also that nothing changes outside the output's box.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Window
from krypton_compile.contract.schemas import BINARY, REDUCTIONS
from tests.ops.cases import Case, make_boxes, make_values
from tests.ops.dense import paste, run_dense, to_base
from tests.ops.running import run_reference

TOLERANCE = 5e-6
"""Of the largest dense entry: the dense side is a difference of two float32 sums of up to 600 products, each rounded at
about 6e-8 of the sum's size; the reference itself adds in float64."""

SEEDS = range(20)
FUNCTIONS = {
    "Abs": {},
    "Atan": {},
    "Celu": {"alpha": 0.7},
    "Cos": {},
    "Elu": {"alpha": 1.3},
    "Erf": {},
    "Exp": {},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "HardSwish": {},
    "LeakyRelu": {"alpha": 0.2},
    "Mish": {},
    "Selu": {"alpha": 1.5, "gamma": 1.2},
    "Sigmoid": {},
    "Sin": {},
    "Softplus": {},
    "Softsign": {},
    "Tanh": {},
}
"""Those that onnxruntime has in the tests' opset, for every input."""


@dataclass(frozen=True)
class Change:
    """A random base tensor and what a chunk of boxes adds to it; ``batch`` is T0 first, then T0 + D of each box."""

    rng: np.random.Generator
    shape: tuple[int, int]
    boxes: geometry.Boxes
    values: np.ndarray
    batch: np.ndarray

    @property
    def base(self) -> np.ndarray:
        return to_base(self.batch)


def make_change(seed: int, channels: int | None = None, shape: tuple[int, int] | None = None) -> Change:
    rng = np.random.default_rng(seed)
    shape = shape or (int(rng.integers(5, 13)), int(rng.integers(5, 13)))
    channels = channels or int(rng.choice([1, 3, 4, 5, 16]))
    boxes = make_boxes(rng, shape, count=3)
    values = make_values(rng, boxes, channels)
    base = rng.standard_normal((1, channels, *shape)).astype(np.float32)
    return Change(rng, shape, boxes, values, np.concatenate([base, base + paste(values, boxes, shape)]))


def assert_same(case: Case, boxes: geometry.Boxes | None, dense: np.ndarray) -> None:
    """``case`` equals the dense difference; ``boxes`` is None where the op's result is dense itself."""
    found = run_reference(case)[0]
    expected = dense[1:] - dense[:1]
    if boxes is not None:
        found = paste(found, boxes, expected.shape[2:])
    scale = float(np.abs(dense).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale, err_msg=f"{case}")


def make_window(rng: np.random.Generator, shape: tuple[int, int], pool: bool) -> dict[str, Any]:
    """Random window attributes that fit the map; a pool's pads stay below its kernel, as onnxruntime demands."""
    kernel = [int(k) for k in rng.integers(1, 6, 2)]
    wide = rng.integers(1, 4, 2).tolist()
    dilations = [d if (k - 1) * d < size else 1 for d, k, size in zip(wide, kernel, shape, strict=True)]
    strides = [int(s) for s in rng.integers(1, 7, 2)]
    limits = [k if pool else 4 for k in (*kernel, *kernel)]
    pads = [int(rng.integers(0, min(limit, 4))) for limit in limits]
    return {"kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": dilations}


def place(attributes: dict[str, Any], change: Change, dense: np.ndarray) -> tuple[dict[str, Any], geometry.Boxes]:
    """The window of the custom op, its output size as onnxruntime found it, and the output's boxes."""
    sizes = (dense.shape[2], dense.shape[3])
    kernel, strides, pads, dilations = (
        (attributes[name][0], attributes[name][1]) for name in ("kernel_shape", "strides", "pads", "dilations")
    )
    window = Window(kernel, strides, pads, dilations, change.shape, sizes)
    full = {**attributes, "input_shape": list(change.shape), "output_shape": list(sizes)}
    return full, geometry.window_boxes(change.boxes, window)


@pytest.mark.parametrize("seed", SEEDS)
def test_conv_alone_and_with_the_clip_that_follows(seed: int) -> None:
    per_group, group, multiplier = [(3, 1, 5), (4, 2, 3), (1, 6, 1), (1, 3, 2), (16, 1, 4)][seed % 5]
    change = make_change(seed, per_group * group)
    attributes = {**make_window(change.rng, change.shape, pool=False), "group": group}
    weight = change.rng.standard_normal((group * multiplier, per_group, *attributes["kernel_shape"]))
    weight = (weight / np.sqrt(weight[0].size)).astype(np.float32)
    bias = change.rng.standard_normal(len(weight)).astype(np.float32)
    dense = run_dense("Conv", [change.batch, weight, bias], **attributes)
    attributes, y_boxes = place(attributes, change, dense)
    case = Case("conv", "IncrementalConv", [change.values, change.boxes, y_boxes, weight], attributes)
    assert_same(case, y_boxes, dense)

    fused = replace(case, inputs=[*case.inputs, to_base(dense)])
    assert_same(fused, y_boxes, run_dense("Relu", [dense]))
    low, high = np.array(-0.25, np.float32), np.array(0.75, np.float32)
    bounded = replace(fused, attributes={**attributes, "min": float(low), "max": float(high)})
    assert_same(bounded, y_boxes, run_dense("Clip", [dense, low, high]))

    other = make_change(seed + 100, len(weight), dense.shape[2:])
    hull, total = geometry.union_boxes([y_boxes, other.boxes]), run_dense("Add", [dense, other.batch])
    added = [change.values, change.boxes, hull, weight, None, other.values, other.boxes]
    assert_same(replace(case, inputs=added), hull, total)
    added[4] = to_base(total)
    assert_same(replace(fused, inputs=added), hull, run_dense("Relu", [total]))


@pytest.mark.parametrize("seed", SEEDS)
def test_pools(seed: int) -> None:
    change = make_change(seed)
    attributes = make_window(change.rng, change.shape, pool=True)
    include = seed % 2
    if seed % 4 == 0:
        # onnxruntime's versions agree on ceil_mode only while no window starts in the end's padding, and on
        # count_include_pad only while none ends beyond it.
        strides = [min(pair) for pair in zip(attributes["strides"], attributes["kernel_shape"], strict=True)]
        attributes |= {"ceil_mode": 1, "strides": strides, "pads": [*attributes["pads"][:2], 0, 0]}

    dense = run_dense("MaxPool", [change.batch], **attributes)
    placed, y_boxes = place(attributes, change, dense)
    placed.pop("ceil_mode", None)
    inputs = [change.values, change.boxes, y_boxes]
    case = Case("max pool", "IncrementalMaxPool", [*inputs, change.base, to_base(dense)], placed)
    assert_same(case, y_boxes, dense)

    power = 1 + seed % 3
    norms = {name: value for name, value in attributes.items() if name != "ceil_mode"}
    dense = run_dense("LpPool", [change.batch], **norms, p=power)
    unceiled, lp_boxes = place(norms, change, dense)
    case = Case("lp pool", "IncrementalLpPool", [*inputs[:2], lp_boxes, change.base], {**unceiled, "p": power})
    assert_same(case, lp_boxes, dense)

    dense = run_dense("AveragePool", [change.batch], **attributes, count_include_pad=include)
    assert [*dense.shape[2:]] == placed["output_shape"]
    case = Case("average pool", "IncrementalAveragePool", inputs, {**placed, "count_include_pad": include})
    assert_same(case, y_boxes, dense)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_ops_that_keep_each_pixel_in_its_place(seed: int) -> None:
    change = make_change(seed)
    boxes, inputs = change.boxes, [change.values, change.boxes, change.base]
    assert_same(Case("relu", "IncrementalClip", inputs), boxes, run_dense("Relu", [change.batch]))
    low, high = np.array(-0.5, np.float32), np.array(1.25, np.float32)
    clip = Case("clip", "IncrementalClip", inputs, {"min": float(low), "max": float(high)})
    assert_same(clip, boxes, run_dense("Clip", [change.batch, low, high]))
    for op, attributes in FUNCTIONS.items():
        own = {"beta" if name == "gamma" else name: value for name, value in attributes.items()}
        case = Case(op, "IncrementalActivation", inputs, {"function": op, **own})
        assert_same(case, boxes, run_dense(op, [change.batch], **attributes))
    lrn = {"size": 5, "alpha": 0.3, "beta": 0.6, "bias": 1.5}
    assert_same(Case("lrn", "IncrementalLRN", inputs, lrn), boxes, run_dense("LRN", [change.batch], **lrn))

    channels = change.values.shape[1]
    scale, shift, mean, variance = change.rng.uniform(0.5, 2, (4, channels)).astype(np.float32)
    dense = run_dense("BatchNormalization", [change.batch, scale, shift, mean, variance], epsilon=1e-3)
    slope = (scale / np.sqrt(variance + np.float32(1e-3))).astype(np.float32)
    assert_same(Case("scale", "IncrementalScale", [change.values, slope]), boxes, dense)


@pytest.mark.parametrize("seed", SEEDS[:5])
@pytest.mark.parametrize("pads", [(2, 1, 0, 3), (0, 0, 1, 1), (-2, 1, 1, -1), (-1, -2, -1, -1)])
def test_pad_with_a_constant_and_crop(seed: int, pads: tuple[int, int, int, int]) -> None:
    change = make_change(seed)
    every = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)
    dense = run_dense("Pad", [change.batch, every, np.array(7, np.float32)])
    sizes = (dense.shape[2], dense.shape[3])
    moved = geometry.translate_boxes(change.boxes, pads[:2], sizes)
    attributes = {"shift": pads[:2], "output_shape": sizes}
    assert_same(Case("pad", "IncrementalPad", [change.values, change.boxes, moved], attributes), moved, dense)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_rows_and_columns_change_places(seed: int) -> None:
    change = make_change(seed)
    dense = run_dense("Transpose", [change.batch], perm=[0, 1, 3, 2])
    turned, attributes = geometry.transpose_boxes(change.boxes), {"input_shape": dense.shape[:1:-1]}
    case = Case("transpose", "IncrementalTranspose", [change.values, change.boxes, turned], attributes)
    assert_same(case, turned, dense)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_ops_of_two_maps(seed: int) -> None:
    left, right = (make_change(2 * seed + i, 5, (8, 7)) for i in (0, 1))
    hull = geometry.union_boxes([left.boxes, right.boxes])
    inputs = [left.values, left.boxes, right.values, right.boxes]
    for op, beta in (("Add", 1.0), ("Sub", -1.0)):
        case = Case(op, "IncrementalAdd", [*inputs, hull], {"beta": beta})
        assert_same(case, hull, run_dense(op, [left.batch, right.batch]))
    dense = run_dense("Concat", [left.batch, right.batch], axis=1)
    stacked = np.concatenate([left.boxes, right.boxes])
    assert_same(Case("concat", "IncrementalConcat", [hull, stacked, left.values, right.values]), hull, dense)


@pytest.mark.parametrize("function", BINARY)
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_functions_of_two(seed: int, function: str) -> None:
    positive = function in ("Div", "Pow")
    left, right = (raised(make_change(2 * seed + i, 5, (8, 7)), positive) for i in (0, 1))
    hull = geometry.union_boxes([left.boxes, right.boxes])
    inputs = [left.values, left.boxes, left.base, right.base, hull, right.values, right.boxes]
    case = Case(function, "IncrementalBinary", inputs, {"function": function})
    assert_same(case, hull, run_dense(function, [left.batch, right.batch]))
    constant = right.batch[0, :, :1]  # one row for all, [C, 1, W]
    inputs = [left.values, left.boxes, left.base, np.ascontiguousarray(constant.transpose(1, 2, 0)), left.boxes]
    case = Case(function, "IncrementalBinary", inputs, {"function": function})
    assert_same(case, left.boxes, run_dense(function, [left.batch, constant]))


def raised(change: Change, positive: bool) -> Change:
    """With a base that keeps quotients and powers in bounds."""
    if not positive:
        return change
    base = np.abs(change.batch[:1]) + 3
    values = np.clip(change.values, -2, 2)
    batch = np.concatenate([base, base + paste(values, change.boxes, change.shape)])
    return replace(change, values=values, batch=batch)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_functions_of_a_pixels_channels(seed: int) -> None:
    change = make_change(seed)
    inputs = [change.values, change.boxes, change.base]
    for logarithm, op in enumerate(("Softmax", "LogSoftmax")):
        case = Case(op, "IncrementalSoftmax", inputs, {"logarithm": logarithm})
        assert_same(case, change.boxes, run_dense(op, [change.batch], axis=1))
    for function in REDUCTIONS:
        case = Case(function, "IncrementalReduceChannels", inputs, {"function": function})
        own = [change.batch] if function != "Sum" else [change.batch, np.array([1], np.int64)]
        axes = {} if function == "Sum" else {"axes": [1]}
        assert_same(case, change.boxes, run_dense(f"Reduce{function}", own, opset=13, **axes))


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_resampling_by_half(seed: int) -> None:
    """Every other pixel, halfway to the next one: [1, 1] / 2."""
    change = make_change(seed)
    tables, sizes = [], []
    for size in change.shape:
        first = np.arange(0, size - 1, 2)
        tables += [np.stack([first, first + 1], axis=1), np.full((len(first), 2), 0.5, np.float32)]
        sizes.append(len(first))
    moved = geometry.resample_boxes(change.boxes, tables[0], tables[2])
    inputs = [change.values, change.boxes, moved, *tables]
    case = Case("halves", "IncrementalResample", inputs, {"input_shape": list(change.shape)})
    assert_same(case, moved, run_dense("AveragePool", [change.batch], kernel_shape=[2, 2], strides=[2, 2]))


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_ops_that_end_the_spatial_part(seed: int) -> None:
    change = make_change(seed)
    (height, width), channels = change.shape, change.values.shape[1]
    weight = change.rng.standard_normal((channels, height, width, 6)).astype(np.float32)
    flat = change.batch.reshape(len(change.batch), -1)
    dense = run_dense("MatMul", [flat, weight.reshape(-1, 6)])
    rows = np.ascontiguousarray(weight.transpose(1, 2, 0, 3)).reshape(-1, 6)
    inputs, attributes = [change.values, change.boxes], {"input_shape": change.shape}
    assert_same(Case("gemm", "IncrementalGemm", [*inputs, rows], attributes), None, dense)
    dense = run_dense("GlobalAveragePool", [change.batch])[:, :, 0, 0]
    assert_same(Case("average", "IncrementalGlobalAveragePool", inputs, attributes), None, dense)
    dense = run_dense("GlobalMaxPool", [change.batch])[:, :, 0, 0]
    assert_same(Case("largest", "IncrementalGlobalMaxPool", [*inputs, change.base]), None, dense)


@pytest.mark.parametrize("seed", SEEDS[:5])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_base_map_and_densify_are_the_tensors_themselves(seed: int, layout: str) -> None:
    change = make_change(seed)
    batch = change.batch if layout == "NCHW" else np.ascontiguousarray(change.batch.transpose(0, 2, 3, 1))
    base = run_reference(Case("base", "BaseMap", [batch[:1]], {"layout": layout, "tensor_name": "t"}))[0]
    np.testing.assert_array_equal(base, change.base)
    full = run_reference(Case("full", "Densify", [change.values, change.boxes, base], {"layout": layout}))[0]
    np.testing.assert_array_equal(full, batch[1:])


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_shrink_boxes_finds_the_smallest_box_of_the_delta(seed: int) -> None:
    change = make_change(seed)
    change.values[change.rng.random(len(change.values)) < 0.9] = 0
    boxes = run_reference(Case("shrink", "ShrinkBoxes", [change.values, change.boxes]))[0]
    before = paste(change.values, change.boxes, change.shape)
    for picture, (y0, x0, h, w) in zip(before, boxes.tolist(), strict=True):
        ys, xs = np.nonzero(picture.any(axis=0))
        tight = (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1) if len(ys) else (0, 0, 0, 0)
        assert (y0, x0, y0 + h, x0 + w) == tight


@pytest.mark.parametrize("seed", SEEDS[:5])
@pytest.mark.parametrize(("own", "chosen"), [(False, False), (True, False), (False, True), (True, True)])
def test_chunks_and_deltas_put_the_occluder_into_the_image(seed: int, own: bool, chosen: bool) -> None:
    """Through both ops: the image plus the delta is the image with the box's pixels replaced."""
    change = make_change(seed)
    rng, boxes, channels = change.rng, change.boxes, change.values.shape[1]
    image, baseline = (rng.standard_normal((*change.shape, channels)).astype(np.float32) for _ in range(2))
    rows = int(geometry.areas(boxes).sum())
    patches = rng.standard_normal((rows, channels)).astype(np.float32) if own else np.zeros((0, 0), np.float32)
    mask = rng.random(rows) < 0.5 if chosen else np.zeros(0, bool)
    exact = [np.ones(1, np.float32), np.zeros(1, np.float32)]
    attributes = {"image_shape": change.shape, "channels": channels, "chunk": 3}
    chunks, offsets = run_reference(Case("c", "OcclusionChunks", [boxes, patches, mask, *exact], attributes))
    assert chunks.shape == (-(-len(boxes) // 3), 3, 4)
    row = 0
    for chunk, first in zip(chunks, offsets, strict=True):
        values = run_reference(Case("d", "OcclusionDelta", [image, baseline, patches, mask, chunk, first]))[0]
        found = image + paste(values, chunk, change.shape).transpose(0, 2, 3, 1)
        for picture, (y0, x0, h, w) in zip(found, chunk.tolist(), strict=True):
            expected = image.copy()
            for y, x in np.ndindex(h, w):
                if not chosen or mask[row]:
                    expected[y0 + y, x0 + x] = patches[row] if own else baseline[y0 + y, x0 + x]
                row += 1
            np.testing.assert_allclose(picture, expected, rtol=0, atol=TOLERANCE)
    assert row == rows
