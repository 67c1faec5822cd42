"""Small graphs in onnx's text format, their weights seeded, and the check that compiling one keeps it exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
from onnx import numpy_helper

from krypton_compile import Report, compile, get_library_path
from krypton_compile.contract.layouts import channel_axis, spatial_axes

_BROKEN = ["TransposeOptimizer", "TransposeOptimizer_CPUExecutionProvider"]
"""onnxruntime 1.32's moves a Transpose past a Pad of chosen axes as if that padded all; what results does not run."""

BOUND = 1e-5
"""DESIGN section 10: of max |score|, the base's or the position's own."""


def parse(
    body: str,
    *,
    image: str = "float[N,3,17,19] x",
    scores: str = "float[N,5] y",
    opset: int = 17,
    **weights,
) -> onnx.ModelProto:
    """A model of ``body``; a weight is an array, or a shape to fill with seeded noise that keeps signal."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> small ({image}) => ({scores}) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(len(body))
    for name, value in weights.items():
        array = value
        if isinstance(value, tuple):
            fan_in = max(1, int(np.prod(value[1:])))
            array = (rng.standard_normal(value) * np.sqrt(2 / fan_in)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def random_boxes(shape: tuple[int, int], rng: np.random.Generator, count: int = 10) -> np.ndarray:
    """Whole image, empty, corners, borders, one pixel, twice the same, then random ones."""
    h, w = shape
    rows = [(0, 0, h, w), (0, 0, 0, 0), (0, 0, 3, 3), (h - 3, w - 3, 3, 3), (0, w - 4, 2, 4), (h // 2, 0, 5, 2)]
    rows += [(h // 2, w // 2, 1, 1), (0, 0, 3, 3), (h - 1, w // 3, 1, 6)]
    for _ in range(count):
        y, x = int(rng.integers(0, h)), int(rng.integers(0, w))
        rows.append((y, x, int(rng.integers(1, h - y + 1)), int(rng.integers(1, w - x + 1))))
    return np.array(rows, np.int32)


def random_regions(shape: tuple[int, ...], rng: np.random.Generator, count: int = 14) -> np.ndarray:
    """The same of signals and volumes, [P, 2n]."""
    axes = len(shape)
    rows = [[0] * axes + [*shape], [0] * 2 * axes, [0] * axes + [2] * axes, [n - 2 for n in shape] + [2] * axes]
    rows += [[n // 2 for n in shape] + [1] * axes] * 2
    for _ in range(count):
        start = [int(rng.integers(0, n)) for n in shape]
        rows.append(start + [int(rng.integers(1, n - at + 1)) for n, at in zip(shape, start, strict=True)])
    return np.array(rows, np.int32)


def run_naive(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Scores of the original model, one image at a time: some models know no other batch."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = ort.InferenceSession(model.SerializeToString(), options, providers, disabled_optimizers=_BROKEN)
    name = session.get_inputs()[0].name
    return np.stack([session.run(None, {name: image[None]})[0].reshape(-1) for image in images])


def run_compiled(model: onnx.ModelProto, feeds: dict[str, np.ndarray], outputs: list[str] | None = None):
    """One session.run of a compiled model in plain onnxruntime."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(get_library_path())
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"]).run(outputs, feeds)


@dataclass(frozen=True)
class Measured:
    """Of one compiled model: the largest error of a score, the box it is of, and how far scores lie apart."""

    report: Report
    error: float
    box: np.ndarray
    spread: float

    @property
    def is_dead(self) -> bool:
        """Whether the scores move too little with the boxes for an exact result to say much (DESIGN section 10)."""
        return not self.spread > 100 * BOUND

    def require_exact(self) -> None:
        assert self.error <= BOUND, f"box {self.box}: {self.error} of the largest score"


def compile_and_measure(
    model: onnx.ModelProto,
    layout: str = "NCHW",
    boxes: np.ndarray | None = None,
    positive: bool = False,
    told: bool = False,
    mutate: Callable[[onnx.ModelProto], object] | None = None,
    **options,
) -> Measured:
    """Compiles (``told`` the layout), mutates, runs all boxes in one call, compares with really occluded images."""
    compiled, report = compile(model, verify=False, layout=layout if told else None, **options)
    if mutate is not None:
        mutate(compiled)
    rng = np.random.default_rng(3)
    shape = [dim.dim_value or 1 for dim in compiled.graph.input[0].type.tensor_type.shape.dim]
    image, baseline = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    if positive:
        image, baseline = np.abs(image) + 0.5, np.abs(baseline) + 0.5
    size = tuple(shape[axis] for axis in spatial_axes(layout))
    if boxes is None:
        boxes = random_boxes((size[0], size[1]), rng) if len(size) == 2 else random_regions(size, rng)
    names = [value.name for value in compiled.graph.input]
    found, base = run_compiled(compiled, {names[0]: image, names[1]: boxes, names[2]: baseline})[:2]
    occluded = np.repeat(image, len(boxes), axis=0)
    for row, box in enumerate(boxes):
        area = tuple(slice(start, start + extent) for start, extent in zip(*np.split(box, 2), strict=True))
        index = (slice(None), *area) if channel_axis(layout) == 1 else (*area, slice(None))
        occluded[(row, *index)] = baseline[(0, *index)]
    expected = run_naive(model, occluded)
    largest = np.abs(base).max()
    error = np.abs(found - expected).max(axis=1) / np.maximum(np.abs(expected).max(axis=1), largest)
    apart = (expected.max(axis=0) - expected.min(axis=0)).max()
    return Measured(report, error.max(), boxes[error.argmax()], apart / largest)


def compile_and_check(model: onnx.ModelProto, layout: str = "NCHW", spread: bool = True, **how) -> Report:
    """Asserts that the compiled model is exact, and that its scores ``spread``; how is compile_and_measure's."""
    measured = compile_and_measure(model, layout, **how)
    assert not (spread and measured.is_dead), "scores do not spread"
    measured.require_exact()
    return measured.report


def became(report: Report, op: str) -> set[str]:
    """What the nodes of an op type became."""
    return {layer.became for layer in report.layers if layer.op == op}


def reasons(report: Report, op: str) -> str:
    """Why nodes of an op type are not incremental."""
    return "; ".join(layer.reason for layer in report.layers if layer.op == op)


def dense(report: Report) -> list[str]:
    """Every node that is dense, and why; but those of the classifier, behind the last map."""
    nodes = [layer for layer in report.layers if layer.became == "dense"]
    return [f"{layer.op}: {layer.reason}" for layer in nodes if not layer.reason.startswith("class vector")]
