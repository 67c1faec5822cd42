"""Random weights with which any architecture keeps signal: a patch moves the logits far more than rounding does.

He's initialisation; normalisations with an affine part of their own and, where they keep statistics, those of textured
pictures; residual branches damped, and learned scales of branches (LayerScale starts at 1e-6, others at 0) 0.1 to 0.5.
The numbers are those of models/torch_models.py, which says why; here branches are found by how libraries name them.
"""

from __future__ import annotations

import torch
from torch import nn

from models.torch_layers import LastOfResidual
from models.zoo.pictures import Shape, pictures

_RESIDUAL_SCALE = 0.5
_BIAS = (0.3, 0.6)
_PICTURES = 8
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_PRODUCTS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)

_BLOCK_MARKS = ("downsample", "shortcut", "drop_path", "use_res_connect", "apply_residual", "has_skip", "skip", "proj")
"""Attributes that blocks with a residual branch have."""
_NOT_THE_BRANCH = {"downsample", "shortcut", "skip", "proj", "se", "attn", "identity"}
_BRANCH_SCALES = ("gamma", "layer_scale", "scale", "skipinit_gain")
"""Last parts of the names of parameters that scale a branch."""
_ENDS_OF_BRANCHES = ("attn.proj", "mlp.fc2")
"""Of transformers: they have no normalisation after the branch."""


def fill(model: nn.Module, shape: Shape, seed: int = 0) -> nn.Module:
    """The network in eval mode with weights for images of ``shape``; torch's own random state is left alone."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        last = _last_of_residuals(model)
        for name, module in model.named_modules():
            _fill_module(module, _RESIDUAL_SCALE if module in last or name.endswith(_ENDS_OF_BRANCHES) else 1.0)
        for name, parameter in model.named_parameters():
            if name.rpartition(".")[2] in _BRANCH_SCALES:
                nn.init.uniform_(parameter, 0.1, 0.5)
        _calibrate(model.eval(), shape)
    return model


def _fill_module(module: nn.Module, scale: float) -> None:
    if isinstance(module, _PRODUCTS):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        module.weight *= scale
        if module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
    elif isinstance(module, _BATCH_NORMS) and module.weight is not None:
        nn.init.uniform_(module.weight, 0.5 * scale, 1.5 * scale)
        nn.init.normal_(module.bias, *_BIAS)
        module.momentum = None  # the plain mean over the calibration pictures
    elif isinstance(module, nn.LayerNorm | nn.GroupNorm) and module.weight is not None:
        nn.init.uniform_(module.weight, 0.5, 1.5)
        nn.init.normal_(module.bias, std=0.3)


def _calibrate(model: nn.Module, shape: Shape) -> None:
    """Statistics of pictures; only normalisations are in training mode, so that nothing is dropped out."""
    norms = [module for module in model.modules() if isinstance(module, _BATCH_NORMS)]
    if not norms:
        return
    for module in norms:
        module.reset_running_stats()
        module.train()
    model(torch.from_numpy(pictures(_PICTURES, shape, 0)))
    model.eval()


def _last_of_residuals(model: nn.Module) -> set[nn.Module]:
    """The last BatchNormalization of each residual branch: it sets how much the branch adds to its input."""
    last: set[nn.Module] = {module for module in model.modules() if isinstance(module, LastOfResidual)}
    for block in model.modules():
        if not any(hasattr(block, mark) for mark in _BLOCK_MARKS):
            continue
        norms = [
            module
            for name, module in block.named_modules()
            if isinstance(module, _BATCH_NORMS) and not _NOT_THE_BRANCH & set(name.split("."))
        ]
        last.update(norms[-1:])
    return last
