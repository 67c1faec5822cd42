"""Compiled sessions of a torch module: it is exported once for each input size, and compiled once for each content."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from krypton_compile.contract.exactness import EXPORT_BOUND
from krypton_compile.errors import ModelError
from krypton_compile.opening import open_session
from krypton_compile.runtime import OcclusionSession

_REMEDY = (
    "Export it by other means, compile the file with krypton-compile, and give Occlusion the compiled file's path."
)
_OPSET = 18  # what torch's exporter writes by itself
_TALKATIVE = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class ModuleSessions:
    """The sessions of one module, one for each input size; made again when its parameters or buffers change.

    Only the content of parameters and buffers counts: a layer that is replaced by one without parameters of its own
    goes unnoticed.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self._digest = b""
        self._sessions: dict[torch.Size, OcclusionSession] = {}

    def session(self, image: torch.Tensor) -> OcclusionSession:
        """The session for images like this one, [1, C, H, W] or [1, H, W, C].

        Raises:
            ModelError: if the module is in training mode, or cannot be exported or compiled.
            NotImplementedError: if its output is no row of class scores.
        """
        self._require_eval()
        digest = _digest(self._module)
        if digest != self._digest:
            self._sessions.clear()
            self._digest = digest
        if image.shape not in self._sessions:
            self._sessions[image.shape] = _compile(self._module, image)
        return self._sessions[image.shape]

    def _require_eval(self) -> None:
        for name, part in self._module.named_modules():
            if part.training:
                raise ModelError(
                    f"module '{name or type(part).__name__}': expected eval mode, found training mode, which would "
                    "explain dropout and the statistics of batches too. Call .eval() on the whole module first."
                )


def _digest(module: torch.nn.Module) -> bytes:
    """SHA-256 of all parameters and buffers.

    Not their addresses and versions: writing to ``parameter.data`` changes neither. A gigabyte takes half a second.
    """
    digest = hashlib.sha256()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def _compile(module: torch.nn.Module, image: torch.Tensor) -> OcclusionSession:
    device = next((tensor.device for tensor in module.parameters()), image.device)
    example = image.detach().to(device)
    with torch.no_grad():
        scores = module(example)
    if not isinstance(scores, torch.Tensor) or scores.dim() != 2 or len(scores) != 1:
        output = f"shape {list(scores.shape)}" if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise NotImplementedError(
            f"forward_func: expected class scores [N, K] for N images, found {output} for one. "
            "Wrap the module in one whose forward returns such a tensor."
        )
    with tempfile.TemporaryDirectory(prefix="krypton-") as folder:
        exported = Path(folder) / "module.onnx"
        _export(module, example, exported)
        session = open_session(exported)
    expected = scores[0].cpu().numpy()
    difference = np.abs(session.prepare(image.detach().cpu().numpy()).base_scores - expected).max()
    if difference > EXPORT_BOUND * np.abs(expected).max():
        raise ModelError(
            f"the export of the module {type(module).__name__} gives other scores than itself, by {difference:.2g}: "
            f"expected at most {EXPORT_BOUND:g} of the largest. {_REMEDY}"
        )
    return session


def _export(module: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write the module for this input size.

    The exporter's notes on nodes hold line numbers of the source: left out, equal networks give equal files.
    """
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(module, (example,), dynamo=True, opset_version=_OPSET, verbose=False)
            assert program is not None
            for node in program.model.graph.all_nodes():
                node.metadata_props.clear()
            program.save(path)
    except Exception as error:  # the exporter runs the module's own code, which may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"torch.onnx.export failed on the module {type(module).__name__}: {reason} {_REMEDY}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings, and what is no error of the exporter's loggers."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
