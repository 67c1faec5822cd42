"""The pipeline: an ONNX classifier in, a model with incremental ops out. Read from top to bottom."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy.typing as npt
import onnx
import onnx_ir as ir

from krypton_compile.compiler.arguments import check_arguments
from krypton_compile.compiler.class_names import read_names
from krypton_compile.compiler.make_incremental import Making
from krypton_compile.compiler.provenance import provenance, require_uncompiled
from krypton_compile.compiler.reference_patch import make_reference_patch
from krypton_compile.compiler.report import Report
from krypton_compile.compiler.trace import NoTrace, Trace
from krypton_compile.contract import validate
from krypton_compile.contract.annotations import OUTPUT_KEY, OutputAnnotation, write_output
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import ModelError
from krypton_compile.files.loading import Source, describe, load_proto, save_proto
from krypton_compile.passes.frontend import FRONTEND, SourceModel
from krypton_compile.passes.frontend.read_graph import read_graph
from krypton_compile.passes.interface import find_interface
from krypton_compile.passes.runner import run
from krypton_compile.passes.simplify import SIMPLIFY
from krypton_compile.stages import INVALID, REPORT, stage


def compile(  # noqa: PLR0913 - the face of the compiler: what a user may say of a model
    model: Source,
    output: str | os.PathLike[str] | None = None,
    *,
    image_size: tuple[int, ...] | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
    output_index: int | Sequence[int | None] | None = None,
    layout: str | None = None,
    channels: int | None = None,
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
    trace: str | os.PathLike[str] | None = None,
) -> tuple[onnx.ModelProto, Report]:
    """Compile a CNN classifier for occlusion explanations by incremental inference.

    Args:
        model: a path, bytes, an ``onnx.ModelProto`` or an ``onnx_ir.Model``: a network in float32 (16 bits are widened,
            64 bits are rounded) of one image, which may be a picture, a signal or a volume.
        output: where to write the compiled file; it is written only if everything succeeds.
        image_size: the image's size, if the model leaves it open: (H, W); (L,) of a signal; (D, H, W) of a volume.
        input_name: the image input, if the model has several inputs.
        output_name: the output with the class scores, if the model has several outputs; or any tensor in it.
        output_index: which element of the scores is a row of classes, if they have more axes than [N, classes]: an
            index for each axis behind the batch, None where an axis stays. -1 of [N, T, classes] is the last of T.
        layout: the order of the image's axes, if neither its shape nor what reads it tells: "NCHW" or "NHWC"; "NCL" or
            "NLC" of signals; "NCDHW" or "NDHWC" of volumes; without N or C where the model has no such axis ("HW",
            "NHW", "HWC"); "flat-NCHW" and the like where all but the batch are one axis.
        channels: the image's number of channels, if the model leaves it open and nothing that reads the image tells.
        chunk: how many positions an iteration of the Scan takes; when None, as many as fit into a few megabytes.
        patch_size: the size of the report's reference patch: one number, or one for each axis.
        stride: the steps of the reference patch, likewise.
        verify: whether to run a few positions against the original model, and to refuse to go on if they differ.
        preprocessing: how pictures become the model's input: "imagenet", "unit", "tf", "caffe", "none", a Hugging Face
            preprocessor_config.json, or a :class:`~krypton_compile.runtime.Preprocessing`; stored in the file.
        labels: the classes' names, in order; stored in the file.
        frozen_gates: whether gates of squeeze-and-excitation keep the values that they have on the image itself, which
            is approximate. Such gates depend on the whole image, so that all behind them is computed densely
            otherwise. Results say that they are approximate, and by how much a few windows are off.
        explain_fallbacks: whether the report says what each dense region costs (krypton_compile/compiler/fallbacks.py).
        target: "cpu", or "cuda" for onnxruntime's CUDA provider: boxes are not shrunk to what is not zero, all
            positions of a call run at once, and no Scan is in the way. Either file runs on both, slower.
        held: values of the model's other inputs, by name; they become constants.
        trace: a folder for the model after each pass (krypton_compile/compiler/trace.py). It is made if it does not
            exist, and must hold nothing but an earlier trace, which is deleted.

    Returns:
        The compiled model (DESIGN section 5) and the :class:`Report`.

    Raises:
        ModelError: if the model cannot be compiled, or an argument does not fit it; the message says why and what to
            do.
        VerificationError: if the compiled model differs from the original.
        OSError: if ``output`` or ``trace`` cannot be written, or the folder ``trace`` holds other files.
    """
    check_arguments(locals())
    readable = validate.is_path(model) or isinstance(model, bytes | onnx.ModelProto | ir.Model)
    validate.require("model", model, readable, "a path, bytes, an onnx.ModelProto or an onnx_ir.Model", ModelError)
    proto = require_uncompiled(model, load_proto(model))
    source = SourceModel(proto, input_name, output_name, held or {}, layout, image_size, channels)
    if output_index is not None:
        source.output_index = tuple(output_index) if isinstance(output_index, Sequence) else (output_index,)
    names = read_names(proto)
    with Trace(Path(trace), source.proto) if trace is not None else NoTrace() as watch:
        with stage("read the model's inputs, outputs and weights", INVALID):
            run(FRONTEND, source, watch.frontend)
        with stage("simplify the graph", REPORT):
            base = read_graph(source)
            run(SIMPLIFY, base, watch.simplify)
        interface = find_interface(base.graph, input_name, source.output_name, source.layout)
        picture = len(interface.image_shape) == 2 and str(interface.image.name) in source.pictures
        if preprocessing is None and picture:
            preprocessing = "none"
        if labels is None:
            labels = names.of(interface, source.notes)
        about = provenance(model, interface, preprocessing, labels)
        if source.scores is not None:
            about[OUTPUT_KEY] = write_output(OutputAnnotation(source.scores, source.output_index or ()))
        patch = make_reference_patch(patch_size, stride, interface)
        report = Report(describe(model), patch.size, patch.stride, len(patch.grid), notes=source.notes)
        making = Making(source, patch, report, about, watch, chunk, target, frozen_gates)
        compiled = making.make(base, verify=verify, explain_fallbacks=explain_fallbacks)
    if output is not None:
        save_proto(compiled, Path(output))
    return compiled, report
