"""Exports the torch networks with both of torch's ONNX exporters, once, into the cache."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from models.fetch import cache_folder

EXPORTERS = ("torchscript", "dynamo")


def exported(name: str, exporter: str = "torchscript", seed: int = 0) -> Path:
    """Path of the ONNX file of ``torch_models.build(name)``; made on the first call."""
    import torch

    target = cache_folder() / f"{name}-{exporter}-seed{seed}-torch{torch.__version__.split('+')[0]}.onnx"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as work:
            made = Path(work) / target.name
            export(name, made, exporter, seed)
            made.replace(target)
    return target


def export(name: str, path: Path, exporter: str, seed: int = 0) -> None:
    """Writes one file, weights inside, batch size free; input ``input``, output ``output``."""
    import torch

    from models.torch_models import IMAGE_SIZES, build

    size = IMAGE_SIZES[name]
    model = build(name, seed)
    names = {"input_names": ["input"], "output_names": ["output"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own deprecations
        if exporter == "dynamo":
            batch = torch.export.Dim("N")
            example = (torch.zeros(2, 3, size, size),)
            torch.onnx.export(
                model,
                example,
                path,
                dynamo=True,
                dynamic_shapes=({0: batch},),
                external_data=False,
                **names,
            )
        else:
            axes = {"input": {0: "N"}, "output": {0: "N"}}
            example = (torch.zeros(1, 3, size, size),)
            torch.onnx.export(model, example, str(path), dynamo=False, opset_version=17, dynamic_axes=axes, **names)
