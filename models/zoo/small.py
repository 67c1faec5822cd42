"""Small relatives of the zoo's families: each has what its family is known for, and is exported in seconds."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.fetch import cache_folder
from models.zoo.pictures import Shape

if TYPE_CHECKING:
    from torch import nn

_SOURCES = ("networks.py", "weights.py", "pictures.py", "export.py", "small.py")


@dataclass(frozen=True)
class Relative:
    """A network of models/zoo/networks.py (its name, its arguments), and which of torch's exporters writes it."""

    builder: str
    arguments: tuple[int | tuple[int, ...], ...]
    exporter: str
    shape: Shape = (3, 64, 72)

    def build(self) -> nn.Module:
        """The network in eval mode with weights that keep signal; equal every time."""
        from models.zoo import networks
        from models.zoo.weights import fill

        builder: Callable[..., nn.Module] = getattr(networks, self.builder)
        return fill(builder(*self.arguments), self.shape)


SMALL = {
    "preactivation": Relative("preactivation_resnet50", (8, (1, 1, 1), 10), "dynamo"),
    "cbam": Relative("cbam_resnet18", (8, (1, 1), 10), "torchscript"),
    "unet": Relative("unet_classifier", (8, 3, 10), "torchscript"),
    "unet bilinear": Relative("small_unet_bilinear", (), "dynamo"),
    "densenet": Relative("small_densenet", (), "torchscript"),
    "shufflenet": Relative("small_shufflenet", (), "dynamo"),
    "gated": Relative("small_gated", (), "torchscript"),
    "convnext": Relative("small_convnext", (), "dynamo"),
    "signal": Relative("signal_resnet34", (8, (1, 1), 5), "torchscript", (12, 256)),
}


def exported(name: str) -> Path:
    """The ONNX file of a small relative, in the cache; written on the first call.

    The file's name holds what its content depends on: torch's version and a hash of the definitions.
    """
    from models.zoo.export import write

    relative = SMALL[name]
    folder = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in (*(folder / one for one in _SOURCES), _layers()))
    torch = importlib.metadata.version("torch").split("+")[0]
    digest = hashlib.sha256(sources).hexdigest()[:8]
    target = cache_folder() / "zoo" / f"small-{name.replace(' ', '_')}-torch{torch}-{digest}.onnx"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as work:
            made = Path(work) / target.name
            write(relative.build(), relative.shape, made, relative.exporter)
            made.replace(target)
    return target


def _layers() -> Path:
    return Path(__file__).parents[1] / "torch_layers.py"
