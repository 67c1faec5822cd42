"""Export one network, compile it as ``krypton-compile`` does, and compare its scores with onnxruntime's."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.zoo.check import BOUND, SPREAD, Checked, check
from benchmarks.zoo.exports.exports_table import Row
from benchmarks.zoo.exports.networks import Export, build
from benchmarks.zoo.exports.write_files import write_network
from benchmarks.zoo.layers.check_files import without_paths
from krypton_compile.passes.lower.reasons import NO_RULE
from models.zoo.pictures import hidden, pictures
from models.zoo.weights import fill

_SMALLEST = 1e-12
"""Scores below are what is left of a signal that has vanished, in numbers that have lost digits."""


def check_network(export: Export) -> Row:
    """What is known of it; whatever fails is in the row."""
    import torch

    torch.manual_seed(0)
    row = Row(export.name)
    with TemporaryDirectory() as work:
        path = Path(work) / "model.onnx"
        try:
            model = build(export)
            if not _moves(model, export):
                row.weights, model = "filled", fill(model, export.shape)
            row.parameters = sum(parameter.numel() for parameter in model.parameters())
            row.exporter = write_network(export, model, path)
        except Exception as error:  # libraries and exporters raise whatever their parts raise
            row.failure = f"no export: {_one_line(error)}"
            return row
        options = {"image_size": export.shape[1:]} if export.symbolic else {}
        try:
            image = pictures(1, export.shape, 1)
            compiled = Path(work) / "model.krypton.onnx"
            checked = check(
                path, compiled, image, verify=True, patch_size=export.patch, stride=export.stride, **options
            )
        except Exception as error:  # whatever breaks is the row's result
            row.failure = _one_line(error)
            return row
    row.seconds, row.share, row.used, row.rounding = (
        round(checked.compile_seconds, 1),
        checked.share,
        checked.used,
        checked.rounding,
    )
    row.redundancy, row.reason = checked.redundancy_overlap, _reason(checked)
    if checked.spread <= SPREAD:
        row.reason = "; ".join(filter(None, (row.reason, f"its scores move by {checked.spread:.0f} bounds only")))
    return row


def _moves(model: Any, export: Export) -> bool:
    """Whether a window moves the scores by far more than rounding does."""
    import torch

    image = pictures(1, export.shape, 1)
    window = np.asarray([[0] * (len(export.shape) - 1) + [side // 2 for side in export.shape[1:]]], np.int32)
    with torch.no_grad():
        found = [model(torch.from_numpy(each)) for each in (image, hidden(image, window))]
    scores = [_scores(each).numpy() for each in found]
    largest = np.abs(scores[0]).max()
    return bool(largest > _SMALLEST and np.abs(scores[0] - scores[1]).max() > 10 * SPREAD * BOUND * largest)


def _scores(found: Any) -> Any:
    """The first output."""
    import torch

    return found if isinstance(found, torch.Tensor) else found[0]


def _reason(checked: Checked) -> str:
    """Why not all is incremental: what depends on the whole map, else the first op without a rule."""
    causes = sorted(checked.dense, key=lambda cause: -cause.behind)
    whole = [cause for cause in causes if cause.op in NO_RULE]
    return next((f"{cause.op}: {cause.reason}" for cause in [*whole, *causes]), "")


def _one_line(error: Exception) -> str:
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return without_paths(text)[:400]
