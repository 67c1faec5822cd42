"""A network as its users export it.

Those of transformers by torch's older exporter with every axis of the image free, as Optimum writes them; ultralytics'
likewise with the batch free; the others by the newer exporter with the batch free, by the older one where that fails.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from benchmarks.zoo.exports.networks import Export
from models.zoo.export import write

_OPSET = 17


def write_network(export: Export, model: Any, path: Path) -> str:
    """Write ``path``; returns which exporter wrote it, with the axes that are free."""
    if export.symbolic:
        try:
            _write_symbolic(export, model, path)
            return "torchscript, NCHW free"
        except Exception:  # the exporters raise whatever their parts raise
            path.unlink(missing_ok=True)
    if export.source == "ultralytics":
        write(model, export.shape, path, "torchscript")
        return "torchscript, N free"
    try:
        write(_Logits(model) if export.source == "transformers" else model, export.shape, path, "dynamo")
        return "dynamo, N free"
    except Exception:  # likewise
        path.unlink(missing_ok=True)
    write(_Logits(model) if export.source == "transformers" else model, export.shape, path, "torchscript")
    return "torchscript, N free"


def _Logits(model: Any) -> Any:  # noqa: N802 - it makes a module
    """The module whose only output is the first of the network, the logits."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.model(pixels)[0]
            return found

    return Logits().eval()


def _write_symbolic(export: Export, model: Any, path: Path) -> None:
    import torch

    axes = {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(model),
            (torch.zeros(2, *export.shape),),
            path,
            input_names=["pixel_values"],
            output_names=["logits"],
            opset_version=_OPSET,
            dynamo=False,
            dynamic_axes={"pixel_values": axes, "logits": {0: "batch_size"}},
        )
