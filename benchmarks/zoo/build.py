"""From an entry to a torch network: torchvision, timm (extra ``zoo``), or models/zoo's own definitions."""

from __future__ import annotations

from torch import nn

from benchmarks.zoo.entries import Entry
from models.zoo.weights import fill

# Classifiers beside the main one, which only training reads, and initialisations that take minutes.
_OPTIONS = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}


def build(entry: Entry, seed: int = 0) -> nn.Module:
    """The network in eval mode, random weights; equal seeds give equal weights.

    Raises:
        ValueError: a source that is none.
    """
    if entry.source == "own":
        from models.zoo import networks

        model = getattr(networks, entry.builder)()
    elif entry.source == "torchvision":
        import torchvision

        model = torchvision.models.get_model(entry.builder, weights=None, **_OPTIONS.get(entry.builder, {}))
    elif entry.source == "timm":
        import timm

        model = timm.create_model(entry.builder, pretrained=False)
    else:
        raise ValueError(f"{entry.name}: source {entry.source!r}; expected own, torchvision or timm")
    model = fill(model, entry.shape, seed)
    if entry.slim:
        from timm.utils.model import reparameterize_model

        model = reparameterize_model(model).eval()
    return model
