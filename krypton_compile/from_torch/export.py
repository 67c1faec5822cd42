"""Export a torch function as an ONNX model of one image, in which all its other arguments are constants.

First by torch.export, which reads the function's code and refuses what depends on data; then by tracing, which runs the
function once and freezes what it has read into Python (reads.py finds out for which images that holds).
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import numpy_helper

from krypton_compile.errors import ModelError
from krypton_compile.from_torch.scores import find_scores

_OPSET = 18  # what torch's exporter writes by itself
_TALKATIVE = ("torch", "onnxscript", "onnx_ir")


@dataclass(frozen=True)
class Exported:
    """An exported function; ``traced`` where it was run once instead of read."""

    model: onnx.ModelProto
    traced: bool


class ImageFunction(torch.nn.Module):
    """Scores [1, K] of one image by a function of several arguments.

    Args:
        function: what is called.
        modules: the modules that it runs, so that an exporter finds their weights.
        arguments: all arguments but tensors, None in the places of those.
        places: where the image and the held tensors stand among the arguments.
    """

    def __init__(
        self,
        function: Callable[..., object],
        modules: Sequence[torch.nn.Module],
        arguments: Sequence[object],
        places: Sequence[int],
    ) -> None:
        super().__init__()
        self._function, self._arguments, self._places = function, tuple(arguments), tuple(places)
        self._others = torch.nn.ModuleList(module for module in modules if module is not function)
        self.training = False  # of this module alone; train() and eval() would change the caller's own

    def forward(self, image: torch.Tensor, *held: torch.Tensor) -> torch.Tensor:
        arguments: list[Any] = list(self._arguments)
        for place, tensor in zip(self._places, (image, *held), strict=True):
            arguments[place] = tensor
        return find_scores(self._function(*arguments)).reshape(1, -1).float()


def export(function: ImageFunction, image: torch.Tensor, held: Sequence[torch.Tensor], name: str) -> Exported:
    """Export a function for this size of images and of the tensors that are to be held.

    Raises:
        ModelError: if torch can do neither; the message has both reasons.
    """
    example = (image, *held)
    reasons = []
    for traced, exporter in ((False, _by_reading), (True, _by_tracing)):
        try:
            with _undisturbed(function), torch.no_grad():
                model = exporter(function, example)
            return Exported(model, traced)
        except Exception as error:  # an exporter runs the caller's own code, which may raise anything
            reasons.append(_reason(error))
            cause = error
    both = reasons[0] if reasons[0] == reasons[1] else "; and by tracing: ".join(reasons)
    raise ModelError(f"torch.onnx.export failed on {name}: {both}") from cause


def in_16_bits(model: onnx.ModelProto) -> bool:
    """Tell whether an export rounds to 16 bits anywhere: by a cast, or in its weights."""
    half = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    casts = (
        attribute.i
        for node in model.graph.node
        if node.op_type == "Cast"
        for attribute in node.attribute
        if attribute.name == "to"
    )
    return any(kind in half for kind in (*casts, *(tensor.data_type for tensor in model.graph.initializer)))


def bind(model: onnx.ModelProto, held: Sequence[torch.Tensor]) -> onnx.ModelProto:
    """Copy a model, its inputs behind the image as constants; an exporter may have left out what is not read."""
    if not held:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    model = copy
    inputs = {value.name: value for value in model.graph.input if value.name != "image"}
    ordered = [f"held_{index}" for index in range(len(held))]
    for name, tensor in zip(ordered, held, strict=True):
        if name in inputs:
            model.graph.input.remove(inputs[name])
            model.graph.initializer.append(numpy_helper.from_array(tensor.detach().cpu().contiguous().numpy(), name))
    return model


def _by_reading(function: ImageFunction, example: tuple[torch.Tensor, ...]) -> onnx.ModelProto:
    """The exporter's notes on nodes hold line numbers of the source: left out, equal networks give equal files."""
    program = torch.onnx.export(function, example, dynamo=True, opset_version=_OPSET, verbose=False)
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    return program.model_proto


def _by_tracing(function: ImageFunction, example: tuple[torch.Tensor, ...]) -> onnx.ModelProto:
    written = io.BytesIO()
    names = [f"held_{index}" for index in range(len(example) - 1)]
    # Traced beforehand: the exporter's own tracing refuses modules that are scripts already.
    script = torch.jit.trace(function, example, check_trace=False)  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"dynamo": False, "opset_version": _OPSET, "input_names": ["image", *names]}
    with _closed_standard_output():
        torch.onnx.export(script, example, f=written, **options)  # type: ignore[arg-type]  # streams are taken too
    model = onnx.load_from_string(written.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
    return model


def _reason(error: Exception) -> str:
    """The first line of the error that began it all: exporters wrap what went wrong in advice for themselves."""
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    lines = [line.strip() for line in str(first).splitlines() if line.strip()]
    return f"{type(first).__name__}: {lines[0]}" if lines else type(first).__name__


@contextmanager
def _closed_standard_output() -> Iterator[None]:
    """Keep to itself what C++ prints: this exporter shows its whole graph where an op is not known to it."""
    kept = os.dup(1)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def _undisturbed(function: torch.nn.Module) -> Iterator[None]:
    """Keep modules in their modes, and what exporters print to themselves: warnings, notes, graphs."""
    modes = [(part, getattr(part, "training", False)) for part in function.modules()]
    loggers = [logging.getLogger(name) for name in _all_loggers()]
    levels = [logger.level for logger in loggers]
    try:
        for part, training in modes:
            if training:
                part.training = False
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for part, training in modes:
            if training:
                part.training = True


def _all_loggers() -> list[str]:
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _TALKATIVE]
    return [*_TALKATIVE, *known]
