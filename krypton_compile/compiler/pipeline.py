"""The pipeline: an ONNX classifier in, a model with incremental ops out. Read from top to bottom."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from krypton_compile.compiler.fallbacks import find_fallbacks
from krypton_compile.compiler.provenance import provenance
from krypton_compile.compiler.report import LayerReport, Report
from krypton_compile.contract import geometry, schemas
from krypton_compile.contract.annotations import (
    FROZEN_KEY,
    MODEL_KEY,
    TARGETS,
    ModelAnnotation,
    write_labels,
    write_model_annotation,
)
from krypton_compile.contract.layouts import KINDS, channels_first, channels_last, spatial_axes
from krypton_compile.errors import ModelError
from krypton_compile.files.loading import Source, describe, load_proto, save_proto
from krypton_compile.passes.body.add_thresholds import add_thresholds
from krypton_compile.passes.body.batch_positions import Contract, batch_positions, make_contract, make_occlusion_inputs
from krypton_compile.passes.body.fuse_epilogue import fuse_epilogue
from krypton_compile.passes.body.propagate_boxes import propagate_boxes
from krypton_compile.passes.frontend.cap_opset import CAP, cap_opset
from krypton_compile.passes.frontend.check_model import check_model
from krypton_compile.passes.frontend.drop_outputs import drop_outputs
from krypton_compile.passes.frontend.hold_inputs import hold_inputs
from krypton_compile.passes.frontend.narrow_double import narrow_double
from krypton_compile.passes.frontend.unbatch import unbatch
from krypton_compile.passes.frontend.unpack_sparse import unpack_sparse
from krypton_compile.passes.frontend.widen_half import widen_half
from krypton_compile.passes.frontend.widen_image import widen_image
from krypton_compile.passes.interface import (
    Interface,
    find_image,
    find_layout,
    find_logits,
    find_scores,
    has_static_shape,
    static_shape,
)
from krypton_compile.passes.lower.context import LoweringContext, Target
from krypton_compile.passes.lower.forms import Delta
from krypton_compile.passes.lower.walk import INCREMENTAL, OcclusionInputs, Outcome, lower, occluded
from krypton_compile.passes.simplify.absorb_pads import absorb_pads
from krypton_compile.passes.simplify.canonicalize import canonicalize, fix_shapes, upgrade_opset
from krypton_compile.passes.simplify.commute_mean import commute_mean
from krypton_compile.passes.simplify.decompose import decompose
from krypton_compile.passes.simplify.fold_affine import fold_affine
from krypton_compile.passes.simplify.gather_shuffles import gather_shuffles
from krypton_compile.passes.simplify.measure_shapes import measure_shapes
from krypton_compile.passes.simplify.name_blocks import name_blocks
from krypton_compile.passes.simplify.refuse_nodes import refuse_nodes
from krypton_compile.passes.verify import compare_models
from krypton_compile.stages import INVALID, REPORT, stage

if TYPE_CHECKING:
    from krypton_compile.contract.preprocessing import Preprocessing

IR_VERSION = 10
"""Newest ONNX IR that the oldest supported onnxruntime (1.20) reads."""

_CHUNK = 32
_DENSE_BYTES = 8 << 20
_CUDA_CHUNK, _CUDA_DENSE_CHUNK = 512, 64
_SIZES = ("D", "H", "W")
_MOST_PIXELS = 1 << 28
"""16384 x 16384: boxes of the report's positions alone take 1 GB there."""


def compile(
    model: Source,
    output: str | os.PathLike[str] | None = None,
    *,
    image_size: tuple[int, ...] | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
    layout: str | None = None,
    chunk: int | None = None,
    patch_size: int | tuple[int, ...] = 16,
    stride: int | tuple[int, ...] = 4,
    verify: bool = True,
    preprocessing: Preprocessing | str | None = None,
    labels: Sequence[str] | None = None,
    frozen_gates: bool = False,
    explain_fallbacks: bool = False,
    target: str = "cpu",
    held: Mapping[str, npt.ArrayLike] | None = None,
) -> tuple[onnx.ModelProto, Report]:
    """Compiles a CNN classifier for occlusion explanations by incremental inference.

    Args:
        model: path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``; float32 (16 bits are
            widened), one image input: a picture, or a signal or volume.
        output: where to write the compiled file; written only if everything succeeds.
        image_size: (H, W) for a model whose image has symbolic sizes; of signals (L,), of volumes (D, H, W).
        input_name: the image input, if the model has several inputs.
        output_name: the class scores, if the model has several outputs.
        layout: "NCHW" or "NHWC" where it cannot be told from the shapes; of signals "NCL" or "NLC", of volumes "NCDHW"
            or "NDHWC".
        chunk: positions a Scan iteration; chosen by the model's memory when None.
        patch_size: of the reference patch of the report: one number, or (h, w) and the like.
        stride: of its steps, likewise.
        verify: run a few positions against the original model and refuse to go on if they differ.
        preprocessing: how pictures become the model's input: "imagenet", "unit", "tf", "caffe", "none", a Hugging Face
            preprocessor_config.json, or a :class:`~krypton_compile.runtime.Preprocessing`; stored in the file.
        labels: the classes' names, in order; stored in the file.
        frozen_gates: approximate. Gates of squeeze-and-excitation depend on the whole image, and what follows them is
            dense; with this they keep the values that they have on the image itself. Results say that they are
            approximate, and by how much a few windows are off.
        explain_fallbacks: the report says what each dense region costs (krypton_compile/compiler/fallbacks.py).
        target: "cpu", or "cuda" for onnxruntime's CUDA provider: boxes are not shrunk to what is not zero, all
            positions of a call run at once, and no Scan is in the way. Either file runs on both, slower.
        held: values of the model's other inputs, by name; they become constants.

    Returns:
        The compiled model (DESIGN section 5) and the :class:`Report`.

    Raises:
        ModelError: not a model that can be compiled; the message says why and what to do.
        VerificationError: the compiled model differs from the original.
    """
    if target not in TARGETS:
        raise ModelError(f"target: expected one of {', '.join(TARGETS)}, found {target!r}")
    original, pictures, notes = _opened(model, held or {}, input_name, output_name)
    with stage("simplify the graph", REPORT):
        graph_model = _canonical(original, image_size, input_name, layout)
    graph = graph_model.graph
    interface = _interface(graph, input_name, output_name, layout)
    if preprocessing is None and str(interface.image.name) in pictures:
        preprocessing = "none"  # its numbers are a picture's
    about = provenance(model, interface, preprocessing, labels)
    patch_size, stride = (_per_axis(value, interface) for value in (patch_size, stride))
    grid = _reference_grid(interface, patch_size, stride)

    whole = graph_model.clone() if explain_fallbacks else None
    with stage("make the graph incremental", REPORT):
        lowered = _lower(graph, interface, frozen_gates, target)
        context, contract, inputs = lowered.context, lowered.contract, lowered.inputs
        groups = add_thresholds(context, contract)
        report = Report(describe(model), patch_size, stride, len(grid), _layers(lowered, grid))
        if whole is not None:

            def relower(supposed: frozenset[str]) -> Report:
                copy = whole.clone().graph
                again = _lower(copy, _interface(copy, input_name, output_name, layout), frozen_gates, target, supposed)
                return Report(report.model, patch_size, stride, len(grid), _layers(again, grid))

            report.fallbacks = find_fallbacks(relower)
        report.notes += notes
        context.emitter.body = fuse_epilogue(context.emitter.body)
        chunk = chunk or _choose_chunk(context)
        batch_positions(context, interface, contract, inputs, chunk, len(groups))
        RemoveUnusedNodesPass()(graph_model)  # what base nodes were replaced, their weights above all

    graph_model.ir_version = IR_VERSION
    graph.opset_imports[schemas.DOMAIN] = schemas.VERSION
    names = contract.names
    graph_model.metadata_props[MODEL_KEY] = write_model_annotation(
        ModelAnnotation(
            image=str(interface.image.name),
            layout=interface.layout,
            image_shape=interface.image_shape,
            channels=interface.channels,
            boxes=names["boxes"],
            baseline=names["baseline"],
            patches=names["patches"],
            mask=names["mask"],
            scores=names["scores"],
            base_scores=names["base_scores"],
            logits=names["logits"] if interface.logits else None,
            base_logits=names["base_logits"] if interface.logits else None,
            chunk=chunk,
            layer_groups=tuple(groups),
            target=target,
        )
    )
    graph_model.metadata_props.update(about)
    if context.frozen:
        graph_model.metadata_props[FROZEN_KEY] = write_labels([str(node.name) for node in context.frozen])
    compiled = _to_proto(graph_model)
    if verify:
        with stage("verify the compiled model", REPORT):
            comparison = compare_models(original, compiled, _as_named(interface, context), grid)
        if not context.frozen:
            comparison.require()
        report.verification = comparison.describe(len(context.frozen))
    if output is not None:
        save_proto(compiled, Path(output))
    return compiled, report


def _canonical(
    original: onnx.ModelProto, image_size: tuple[int, ...] | None, input_name: str | None, layout: str | None
) -> ir.Model:
    """The model with static shapes, without what exporters leave behind, in ops that the rules know."""
    model = ir.from_proto(original)
    image = find_image(model.graph, input_name)
    fix_shapes(image, _image_shape(image, image_size, layout), model.graph)
    refuse_nodes(model)
    model = upgrade_opset(model)
    graph = model.graph
    canonicalize(model)
    if measure_shapes(model, find_image(graph, input_name)):
        canonicalize(model)
    absorb_pads(graph)
    fold_affine(graph)
    decompose(graph)
    RemoveUnusedNodesPass()(model)
    gather_shuffles(graph)
    name_blocks(graph)
    commute_mean(graph)
    return model


@dataclass(frozen=True)
class _Lowered:
    context: LoweringContext
    contract: Contract
    inputs: OcclusionInputs
    outcomes: list[Outcome]


def _lower(
    graph: ir.Graph, interface: Interface, frozen_gates: bool, target: str, supposed: frozenset[str] = frozenset()
) -> _Lowered:
    """The incremental body of a canonical graph.

    Raises:
        ModelError: the output does not depend on the image.
    """
    contract = make_contract(graph, interface)
    context = LoweringContext(graph, Target(target, frozen_gates, supposed))
    inputs = make_occlusion_inputs(context, interface, contract)
    outcomes = lower(context, interface, inputs)
    if interface.scores not in context.emitter.replaced and interface.scores not in context.forms:
        raise ModelError(f"output '{interface.scores.name}' does not depend on the image '{interface.image.name}'")
    for value in (interface.scores, interface.logits):
        if value is not None:
            occluded(value, context)
    return _Lowered(context, contract, inputs, outcomes)


def _interface(graph: ir.Graph, input_name: str | None, output_name: str | None, layout: str | None) -> Interface:
    image, scores = find_image(graph, input_name), find_scores(graph, output_name)
    return Interface(image, find_layout(image, layout), scores, find_logits(scores))


def _opened(
    model: Source, held: Mapping[str, npt.ArrayLike], input_name: str | None, output_name: str | None
) -> tuple[onnx.ModelProto, list[str], list[str]]:
    """The model of float32 images alone; the inputs whose numbers are a picture's; and notes of what was changed."""
    original, notes = load_proto(model), []
    with stage("read the model's outputs and sparse weights", INVALID):
        drop_outputs(original, output_name)
        unpack_sparse(original)
    check_model(original)
    with stage("read the model's inputs and weights", INVALID):
        hold_inputs(original, held)
        if widen_half(original):
            notes.append("a model of 16 bits: the same weights, computed in float32; its image is float32 too")
        if narrow_double(original):
            notes.append(
                "a model of 64 bits: its weights are rounded to float32, in which it is computed; so is its image"
            )
        newer = cap_opset(original)
        if newer is not None:
            notes.append(
                f"stays above opset {CAP} ({newer}): an onnxruntime that is older does not load the compiled file, and "
                "on CUDA the ops that are newer than its kernels run on the CPU"
            )
        batch = unbatch(original, input_name)
        if batch > 1:
            notes.append(f"a model of {batch} images at once: now of one, which gets the same scores")
        pictures = widen_image(original)
    if pictures:
        notes.append("a uint8 image: now float32, of the same numbers, 0 to 255")
    return original, pictures, notes


def _per_axis(value: int | tuple[int, ...], interface: Interface) -> tuple[int, ...]:
    axes = len(interface.image_shape)
    numbers = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(numbers) != axes:
        raise ModelError(f"patch size or stride {numbers}: expected one number, or {axes} for this {KINDS[axes]}")
    return numbers


def _image_shape(image: ir.Value, image_size: tuple[int, ...] | None, layout: str | None) -> tuple[int, ...]:
    assert image.shape is not None
    dims: list[int | None] = [dim if isinstance(dim, int) and dim > 0 else None for dim in image.shape]
    if dims[0] not in (None, 1):
        raise ModelError(
            f"input '{image.name}' has the shape {image.shape}: expected a batch of 1 or of any size, found {dims[0]}. "
            "Export the model with a dynamic batch axis."
        )
    dims[0] = 1
    axes = len(dims) - 2
    last = dims[-1] in (1, 3, 4) and dims[1] not in (1, 3, 4)
    chosen = layout or (channels_last(axes) if last else channels_first(axes))
    if image_size is not None:
        if len(image_size) != axes:
            raise ModelError(
                f"input '{image.name}' {image.shape} is a {KINDS[axes]}: expected an image size of {axes} numbers, "
                f"found --image-size {image_size}"
            )
        for axis, size in zip(spatial_axes(chosen), image_size, strict=True):
            if dims[axis] not in (None, size):
                raise ModelError(
                    f"input '{image.name}' {image.shape}: its size is fixed, --image-size {image_size} does not fit"
                )
            dims[axis] = size
    if any(dim is None for dim in dims):
        raise ModelError(
            f"input '{image.name}' has the shape {image.shape}; expected fixed channels, height and width. "
            f"Give the size with --image-size {' '.join(_SIZES[-axes:])}."
        )
    shape = tuple(int(dim) for dim in dims if dim is not None)
    if math.prod(shape[axis] for axis in spatial_axes(chosen)) > _MOST_PIXELS:
        raise ModelError(
            f"input '{image.name}' {list(shape)}: expected an image of at most {_MOST_PIXELS} pixels. "
            "Is its size what it should be?"
        )
    return shape


def _as_named(interface: Interface, context: LoweringContext) -> Interface:
    """The interface with the values that have the original's names now: a product that is the output was replaced."""
    scores = context.emitter.replaced.get(interface.scores, interface.scores)
    logits = None if interface.logits is None else context.emitter.replaced.get(interface.logits, interface.logits)
    return Interface(interface.image, interface.layout, scores, logits)


def _reference_grid(interface: Interface, patch: tuple[int, ...], stride: tuple[int, ...]) -> geometry.Boxes:
    sizes = interface.image_shape
    return geometry.occlusion_grid(sizes, [min(pair) for pair in zip(patch, sizes, strict=True)], stride)


def _layers(lowered: _Lowered, grid: geometry.Boxes) -> list[LayerReport]:
    context, positions = lowered.context, len(grid)
    costs = propagate_boxes(context.emitter.body, lowered.inputs.boxes, grid)
    layers = []
    for outcome in lowered.outcomes:
        node, name = outcome.node, str(outcome.node.name)
        output = context.emitter.replaced.get(node.outputs[0], node.outputs[0])
        naive = _multiply_adds(node)
        cost = costs.get(name) if outcome.became == INCREMENTAL else None
        share = _share_of_taps(node) / positions if naive else 0.0
        layers.append(
            LayerReport(
                name,
                node.op_type,
                static_shape(output) if has_static_shape(output) else (),
                outcome.became,
                outcome.reason,
                cost.growth if cost else None,
                naive,
                cost.paper * share if cost else float(naive),
                cost.overlap * share if cost else float(naive),
            )
        )
    return layers


def _multiply_adds(node: ir.Node) -> int:
    """Of a convolution, or of a product of matrices for every pixel or token; the classifier's are not counted."""
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul") or node.inputs[0] is None or node.inputs[1] is None:
        return 0
    output = static_shape(node.outputs[0])
    if node.op_type == "MatMul":
        return math.prod(output) * static_shape(node.inputs[0])[-1] if len(output) > 2 else 0
    pixels = output if node.op_type == "Conv" else static_shape(node.inputs[0])
    return math.prod(pixels) * math.prod(static_shape(node.inputs[1])[1:])


def _share_of_taps(node: ir.Node) -> float:
    """Of an incremental convolution's taps, those that are not between the pixels that a ConvTranspose spreads."""
    if node.op_type != "ConvTranspose" or "strides" not in node.attributes:
        return 1.0
    return 1 / math.prod(node.attributes["strides"].as_ints())


def _choose_chunk(context: LoweringContext) -> int:
    """As many positions as keep the largest full map of a dense region within some megabytes.

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


def _to_proto(model: ir.Model) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    assert isinstance(proto, onnx.ModelProto)
    return proto
