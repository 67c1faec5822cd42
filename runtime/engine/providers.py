"""The needs of sessions of the CUDA provider that those of the CPU do not have.

* another op library, which holds both kinds of kernels;
* float32: on its own the provider multiplies TF32 numbers, of 10 bits, where a GPU has them;
* CUDA and cuDNN where pip put them, which onnxruntime does not look for unless it is told;
* base maps that stay on the device between the base session and the incremental one (an ``IOBinding``);
* inputs of all chunks, patches among them, that go to the device once;
* weights that onnxruntime copies to the device, instead of reading them where they are;
* a look at whether the provider really runs: onnxruntime falls back to the CPU with a line in its log, and what a
  missing driver or cuDNN makes it raise looks as if the model were at fault.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnxruntime as ort

from krypton_compile.contract import validate
from krypton_compile.contract.schemas import DOMAIN
from krypton_compile.errors import LibraryError
from krypton_compile.ort.errors import explain, quiet_options
from krypton_compile.stages import one_line

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

_REMEDY = (
    "Check the driver (nvidia-smi) and that CUDA and cuDNN of the versions that onnxruntime-gpu was built for are "
    "installed: pip install 'onnxruntime-gpu[cuda,cudnn]' brings them."
)
_ONLY_THESE = "The ops of a compiled model have kernels for two providers"
_NO_GPU = "No NVIDIA GPU is to be seen here: leave out --device cuda (Python: providers) to run on the CPU"
_DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")
"""Of Linux, of containers, of the Linux in Windows."""
_CONV = '<ir_version: 8, opset_import: ["" : 13]> g (float[1,1,1,1] x) => (float[1,1,1,1] y) { y = Conv(x, x) }'
_CAUSE = re.compile(r"CUDA failure \d+: [^;]+|Invalid device ID[^.]+|cuDNN is unavailable.+", re.DOTALL)
"""Among the names of files and functions that onnxruntime puts around it."""

Provider = str | tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Placement:
    """The providers of both sessions; ``gpu`` is the number of the CUDA provider's device, None on the CPU."""

    providers: tuple[Provider, ...]
    gpu: int | None

    @property
    def cuda(self) -> bool:
        """Whether they run on a GPU."""
        return self.gpu is not None


def place(providers: Sequence[Provider] | None) -> Placement:
    """Place a session on the providers that were asked for; on the CPU when None.

    Raises:
        LibraryError: if ``providers`` name one of which this onnxruntime knows nothing.
    """
    asked = (CPU,) if providers is None else providers
    if not isinstance(asked, list | tuple) or not all(map(_is_provider, asked)):
        raise LibraryError(
            f"providers {validate.show(providers)}: expected a list of names, or of pairs (name, options); "
            f"{_ONLY_THESE}, {CUDA} and {CPU}"
        )
    placed, gpu = list(asked or (CPU,)), None
    for index, provider in enumerate(placed):
        name, options = (provider, {}) if isinstance(provider, str) else provider
        if name != CUDA and name not in ort.get_available_providers():
            has = ", ".join(ort.get_available_providers())
            raise LibraryError(
                f"provider '{name}': this onnxruntime ({ort.__version__}) has {has}. {_ONLY_THESE}, {CUDA} and {CPU}"
            )
        if name == CUDA:
            _check_available()
            _load_libraries()
            placed[index] = (CUDA, {"use_tf32": "0", **options})
            gpu = int(options.get("device_id", 0))
    return Placement(tuple(placed), gpu)


def _is_provider(value: object) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping)
    return isinstance(value[0] if pair else value, str)  # type: ignore[index]


def _check_available() -> None:
    if CUDA not in ort.get_available_providers():
        without = "" if sees_gpu() else f"{_NO_GPU}. With one: "
        raise LibraryError(
            f"this onnxruntime ({ort.__version__}) has no CUDA provider: it is the package for the CPU. "
            f"{without or 'Replace it: '}pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )


def sees_gpu() -> bool:
    """Tell whether a GPU of NVIDIA may be there: a device file, and not hidden by CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip()
    return visible not in ("", "-1") and any(Path(file).exists() for file in _DEVICES)


def _load_libraries() -> None:
    """Load the libraries that the packages nvidia-* brought; the system's where there is no such package."""
    preload = getattr(ort, "preload_dlls", None)  # from 1.21 on
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what is missing, which check_started says better
            preload()


def check_started(session: ort.InferenceSession) -> None:
    """Refuse a session that asked for the CUDA provider and runs without it.

    Raises:
        LibraryError: if onnxruntime fell back to the CPU.
    """
    if CUDA not in session.get_providers():
        raise LibraryError(
            f"onnxruntime could not start its CUDA provider and fell back to the CPU. {_REMEDY} onnxruntime's log says "
            f"what is missing{'' if sees_gpu() else f'. {_NO_GPU}'}"
        )


def warn_of_waiting(path: Path, incremental: bytes) -> None:
    """Tell the caller of a session on a GPU that its file is one for the CPU, whose boxes the host shrinks."""
    nodes = onnx.ModelProto.FromString(incremental).graph.node
    waits = sum(node.domain == DOMAIN and node.op_type == "ShrinkBoxes" for node in nodes)
    if waits:
        warnings.warn(
            f"{path}: {waits} of its ops look at values on the CPU, and the GPU waits for each of them in every chunk. "
            "Compile the model with --target cuda (compile(..., target='cuda')).",
            stacklevel=4,
        )


def check_works(providers: Sequence[Provider]) -> None:
    """Run a convolution, to tell whether the model or the provider is at fault where a session failed.

    Raises:
        LibraryError: if the convolution fails too.
    """
    model = onnx.parser.parse_model(_CONV).SerializeToString()
    try:
        session = ort.InferenceSession(model, quiet_options(), providers=list(providers), enable_fallback=False)
        session.run(None, {"x": np.zeros((1, 1, 1, 1), np.float32)})
    except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
        cause = _CAUSE.search(str(error))
        said = one_line(error) if cause is None else " ".join(cause[0].split())
        missing = "" if sees_gpu() else f" {_NO_GPU}"
        raise LibraryError(f"onnxruntime's CUDA provider does not work here: {said}. {_REMEDY}{missing}") from error


def refuse_others(path: Path, providers: Sequence[Provider], error: Exception) -> None:
    """Tell that a provider is at fault which is neither the CPU's nor CUDA's, where there is one.

    Raises:
        LibraryError: if ``providers`` have one.
    """
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    others = [name for name in names if name not in (CPU, CUDA)]
    if others:
        raise LibraryError(
            f"{path}: onnxruntime's {', '.join(others)} does not take the compiled model. {_ONLY_THESE}, {CUDA} and "
            f"{CPU}: leave the other out ({explain(error.__cause__ or error)})"
        ) from error


def give_weights(options: ort.SessionOptions, weights: Mapping[str, ort.OrtValue], cuda: bool) -> None:
    """Give a session's options the large weights: shared as they are, or for onnxruntime to copy to the device.

    For the device they must be those that its model leaves out, and no others.
    """
    if cuda:
        if weights:
            options.add_external_initializers(list(weights), list(weights.values()))
        return
    for name, value in weights.items():
        options.add_initializer(name, value)


def as_ort(array: npt.NDArray[np.generic]) -> ort.OrtValue:
    """The array for onnxruntime: on the CPU its own memory, which the OrtValue keeps alive."""
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def send(array: npt.NDArray[np.generic], device: str, number: int) -> ort.OrtValue:
    """Copy an array to the device's memory once; every run would copy one in the host's memory again."""
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), device, number)


def run_on_device(
    session: ort.InferenceSession, outputs: Sequence[str], feeds: Mapping[str, ort.OrtValue], device: str, number: int
) -> list[ort.OrtValue]:
    """Run once and leave the outputs in the device's memory."""
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, value)
    for name in outputs:
        binding.bind_output(name, device, number)
    session.run_with_iobinding(binding)
    values: list[ort.OrtValue] = binding.get_outputs()
    return values
