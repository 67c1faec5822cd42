"""Exports the torch networks with both of torch's ONNX exporters."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from pathlib import Path
from typing import Literal, get_args

from models.fetch import cache_folder

Exporter = Literal["torchscript", "dynamo"]
EXPORTERS: tuple[Exporter, ...] = get_args(Exporter)

# Each exporter's home ground: the older one is frozen, the newer one writes 18 and converts from there.
_OPSETS: dict[Exporter, int] = {"torchscript": 17, "dynamo": 18}
_SOURCES = ("export.py", "torch_densenet.py", "torch_inception.py", "torch_layers.py", "torch_models.py")


def exported(name: str, exporter: Exporter = "torchscript", seed: int = 0) -> Path:
    """Path of the exported network in the cache, its batch size free; made on the first call.

    The file's name holds what its content depends on: torch's version and a hash of the definitions.
    """
    import torch

    sources = b"".join(Path(__file__).with_name(source).read_bytes() for source in _SOURCES)
    version = f"torch{torch.__version__.split('+')[0]}-{hashlib.sha256(sources).hexdigest()[:8]}"
    target = cache_folder() / f"{name}-{exporter}-seed{seed}-{version}.onnx"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as work:
            made = Path(work) / target.name
            export(name, made, exporter, seed=seed)
            made.replace(target)
    return target


def export(
    name: str,
    path: str | Path,
    exporter: Exporter = "torchscript",
    opset: int | None = None,
    dynamic_batch: bool = True,
    *,
    seed: int = 0,
) -> None:
    """Writes the network as one file, weights inside; input ``input``, output ``output``.

    ``opset`` None takes the exporter's usual one; without ``dynamic_batch`` the batch size is 1.

    Raises:
        ValueError: no network or exporter of that name.
    """
    import torch

    from models.torch_models import IMAGE_SIZES, build

    for kind, value, known in (("network", name, tuple(IMAGE_SIZES)), ("exporter", exporter, EXPORTERS)):
        if value not in known:
            raise ValueError(f"{kind} {value!r}; expected one of {', '.join(known)}")
    dynamo = exporter == "dynamo"
    # The newer exporter takes a batch of 1 for a constant, even where it is declared free.
    batch = 2 if dynamo and dynamic_batch else 1
    example = torch.zeros(batch, 3, IMAGE_SIZES[name], IMAGE_SIZES[name])
    free = {0: "N"} if dynamic_batch else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter warns that it is old, both that torch's own parts are
        torch.onnx.export(
            build(name, seed),
            (example,),
            path,
            input_names=["input"],
            output_names=["output"],
            opset_version=opset or _OPSETS[exporter],
            dynamo=dynamo,
            dynamic_shapes=({0: torch.export.Dim("N")},) if dynamo and dynamic_batch else None,
            dynamic_axes={"input": free, "output": free} if not dynamo and dynamic_batch else None,
            external_data=False,
            verbose=False,
        )
