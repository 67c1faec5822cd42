"""Export a torch module for sessions: one image in, its scores out, as an ONNX model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch

from krypton_compile.contract import validate
from krypton_compile.contract.exactness import EXPORT_BOUND
from krypton_compile.errors import ModelError
from krypton_compile.from_torch.export import ImageFunction, export
from krypton_compile.from_torch.reads import recorded
from krypton_compile.from_torch.state import find_state, unwrap
from krypton_compile.ort.plain_session import open_session


def export_module(
    function: Callable[..., Any], example: object = None, image_size: tuple[int, ...] | None = None
) -> onnx.ModelProto:
    """Export a module, or another function of one image.

    Args:
        function: the module, in eval mode.
        example: an image for it, a tensor [1, C, H, W].
        image_size: (H, W) in place of an example; the channels are then those of the module's first convolution.

    Raises:
        ModelError: if there is neither an example nor a size, the module is in training mode or cannot be exported, it
            reads numbers of the image into Python, or its export gives other scores.
    """
    function = unwrap(function)
    state = find_state(function)
    state.require_eval()
    name = f"the module {type(function).__name__}"
    image = _example(example, image_size, state.modules, name)
    wrapper = ImageFunction(function, state.modules, [None], [0])
    exported = export(wrapper, image, [], name)
    with torch.no_grad(), recorded() as values:
        expected = wrapper(image).cpu().numpy()
    if exported.traced and values:
        raise ModelError(
            f"{name} reads numbers of the image into Python, such as in 'if x.max() > 1', so that its export holds for "
            "some images alone. Write it with torch.where, or use krypton_compile.captum.Occlusion, which runs the "
            "windows on which it does not hold"
        )
    _require_same(exported.model, image, expected, name)
    return exported.model


def _example(
    example: object, image_size: tuple[int, ...] | None, modules: list[torch.nn.Module], name: str
) -> torch.Tensor:
    parameter = next((each for module in modules for each in module.parameters()), torch.empty(0))
    if example is not None:
        array = example if isinstance(example, torch.Tensor) else validate.as_array("example", example)
        whole = array.ndim > 0 and (isinstance(array, torch.Tensor) or array.dtype.kind in "biuf")
        validate.require("example", example, whole, "an image, a tensor or array [1, C, H, W]", ModelError)
        return torch.as_tensor(array, device=parameter.device).detach()[:1]
    if image_size is None:
        raise ModelError(
            f"{name}: expected an image that it takes, or its size: open_session(module, torch.rand(1, 3, 224, 224)) "
            "or open_session(module, image_size=(224, 224))"
        )
    convolutions = [part for module in modules for part in module.modules() if hasattr(part, "in_channels")]
    channels = int(convolutions[0].in_channels) if convolutions else 3  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, channels, *image_size, generator=generator)
    return image.to(parameter.device, parameter.dtype)


def _require_same(model: onnx.ModelProto, image: torch.Tensor, expected: np.ndarray[Any, Any], name: str) -> None:
    session = open_session(model)
    feeds = {model.graph.input[0].name: image.detach().cpu().numpy()}
    found = session.run(None, feeds)[0]
    difference = float(np.abs(found - expected).max(initial=0.0))
    if not difference <= EXPORT_BOUND * float(np.abs(expected).max(initial=0.0)):
        raise ModelError(
            f"the export of {name} gives other scores than itself, by {difference:.2g}: expected at most "
            f"{EXPORT_BOUND:g} of the largest"
        )
