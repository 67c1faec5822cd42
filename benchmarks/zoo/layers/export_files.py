"""Write the layers of one framework as ONNX files: ``python -m benchmarks.zoo.layers.export_files SOURCE FOLDER``.

It runs in whatever environment has the framework, and needs nothing of ours. FOLDER/files.jsonl tells of each file
which layer it holds and which exporter wrote it, or why there is none.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SOURCES = ("torch", "keras-torch", "keras-tensorflow", "paddle")
NEEDED = {
    "torch": ("torch", "onnxscript"),
    "keras-torch": ("keras", "torch", "onnxscript"),
    "keras-tensorflow": ("keras", "tensorflow", "tf2onnx"),
    "paddle": ("paddle", "paddle2onnx"),
}
"""What a source imports."""


@dataclass(frozen=True)
class File:
    """A layer as one exporter wrote it; without a file, ``failure`` is what the exporter said."""

    layer: str
    axes: int
    exporter: str
    path: str = ""
    failure: str = ""


Write = Callable[[Path], Any]
Job = tuple[str, int, str, Write]
"""Layer, axes, exporter, and what writes the file."""


def main() -> int:
    """The command line."""
    source, folder, wanted = sys.argv[1], Path(sys.argv[2]), set(sys.argv[3:])
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with (folder / "files.jsonl").open("w", encoding="utf-8") as listing:
        for number, (layer, axes, exporter, write) in enumerate(jobs_of(source)):
            if wanted and layer not in wanted:
                continue
            path = folder / f"{number}.onnx"
            failure = (_write_apart if source == "paddle" else _write)(write, path)
            if path.exists():
                failure = ""
            elif not failure:
                failure = "it wrote no file"
            listing.write(json.dumps(asdict(File(layer, axes, exporter, "" if failure else path.name, failure))) + "\n")
            listing.flush()
    return 0


def _write(write: Write, path: Path) -> str:
    """What the exporter says where it fails."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            write(path)
    except Exception as error:  # the exporters raise whatever their parts raise
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""


def _write_apart(write: Write, path: Path) -> str:
    """Do the same in a process of its own, which an exporter in C++ may abort."""
    said = path.with_suffix(".txt")
    child = os.fork()
    if child == 0:
        said.write_text(_write(write, path), "utf-8")
        os._exit(0)
    os.waitpid(child, 0)
    return said.read_text("utf-8") if said.exists() else "the exporter aborted"


def jobs_of(source: str) -> Iterator[Job]:
    """All that is to be written of a source."""
    return {"torch": _torch, "keras-torch": _keras, "keras-tensorflow": _keras, "paddle": _paddle}[source](source)


def _torch(_: str) -> Iterator[Job]:
    """Both of torch's exporters; the batch fixed too in the older one's, which is the faster."""
    import torch
    from torch import nn

    from benchmarks.zoo.layers.torch_idioms import IDIOMS
    from benchmarks.zoo.layers.torch_layers import CHANNELS, SHAPES, Middle, layers

    class Net(nn.Module):
        def __init__(self, middle: Middle, axes: int) -> None:
            super().__init__()
            convolution, lazy = getattr(nn, f"Conv{axes}d"), getattr(nn, f"LazyConv{axes}d")
            self.first = convolution(SHAPES[axes][0], CHANNELS, 3, padding=1)
            self.middle = middle
            self.last = nn.Sequential(lazy(8, 3), nn.ReLU())
            self.classifier = nn.Sequential(getattr(nn, f"AdaptiveAvgPool{axes}d")(1), nn.Flatten(), nn.Linear(8, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.classifier(self.last(self.middle(self.first(x))))
            return y

    def job(name: str, axes: int, middle: Middle, dynamo: bool, free: bool) -> Job:
        def write(path: Path) -> None:
            torch.manual_seed(0)
            net, image = Net(middle, axes).eval(), torch.randn(2 if free else 1, *SHAPES[axes])
            with torch.no_grad():
                net(image)
            options: dict[str, Any] = {}
            if free and dynamo:
                options["dynamic_shapes"] = ({0: torch.export.Dim("n")},)
            elif free:
                options["dynamic_axes"] = {"x": {0: "n"}, "y": {0: "n"}}
            torch.onnx.export(
                net, (image,), path, dynamo=dynamo, verbose=False, input_names=["x"], output_names=["y"], **options
            )

        exporter = f"{'dynamo' if dynamo else 'torchscript'}, batch {'free' if free else '1'}"
        return name, axes, exporter, write

    for axes in (2, 1, 3):
        torch.manual_seed(0)
        for name, middle in {**layers(axes), **(IDIOMS if axes == 2 else {})}.items():
            for dynamo, free in ((True, True), (False, True), (False, False)):
                yield job(name, axes, middle, dynamo, free)


def _keras(source: str) -> Iterator[Job]:
    """``model.export`` of Keras 3, which calls torch's exporter or tf2onnx."""
    os.environ["KERAS_BACKEND"] = source.removeprefix("keras-")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np

    from benchmarks.zoo.layers.keras_layers import SHAPES, Middle, build, layers

    def job(name: str, axes: int, middle: Middle) -> Job:
        def write(path: Path) -> None:
            model = build(middle, axes)
            model(np.zeros((1, *SHAPES[axes]), np.float32))
            model.export(str(path), format="onnx", verbose=False)

        return name, axes, source, write

    for axes in (2, 1, 3):
        for name, middle in layers(axes).items():
            yield job(name, axes, middle)


def _paddle(source: str) -> Iterator[Job]:
    """paddle2onnx."""
    from benchmarks.zoo.layers.paddle_layers import jobs

    for name, axes, write in jobs():
        yield name, axes, source, write


if __name__ == "__main__":
    sys.exit(main())
