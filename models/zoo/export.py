"""A torch network as an ONNX file whose batch size is free, by either of torch's exporters."""

from __future__ import annotations

import warnings
from pathlib import Path

OPSETS = {"dynamo": 18, "torchscript": 17}
"""The exporters, the newer one first, and the opset that each is at home in."""


def write(model: object, shape: tuple[int, ...], path: Path, exporter: str) -> None:
    """One file, weights inside; input ``input``, output ``output``."""
    import torch

    assert isinstance(model, torch.nn.Module)
    dynamo = exporter == "dynamo"
    # The newer exporter takes a batch of 1 for a constant, even where it is declared free.
    example = torch.zeros(2 if dynamo else 1, *shape)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            path,
            input_names=["input"],
            output_names=["output"],
            opset_version=OPSETS[exporter],
            dynamo=dynamo,
            dynamic_shapes=({0: torch.export.Dim("N")},) if dynamo else None,
            dynamic_axes=None if dynamo else {"input": {0: "N"}, "output": {0: "N"}},
            external_data=False,
            verbose=False,
        )
