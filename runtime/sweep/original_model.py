"""The model before compilation, in plain onnxruntime, as any user would run it: one image at a time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from krypton_compile.contract.annotations import OutputAnnotation
from krypton_compile.contract.exactness import SAME_HALF_MODEL, SAME_MODEL, largest_difference
from krypton_compile.errors import ModelError, OcclusionError

Array = npt.NDArray[np.float32]

_AFTER_SOFTMAX = ("Reshape", "Flatten", "Squeeze", "Identity")
_KINDS = {
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
    **{f"tensor({kind.__name__})": kind for kind in (np.uint8, np.int8, np.uint16, np.int16)},
    **{f"tensor({kind.__name__})": kind for kind in (np.uint32, np.int32, np.uint64, np.int64)},
}


class OriginalModel:
    """The model before compilation: scores and logits of one image at a time.

    Args:
        path: its file.
        threads: how many run it.
        output: which tensor its scores are, if they are no plain output.

    Raises:
        ModelError: if it cannot be read, or onnxruntime cannot run it.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int, output: OutputAnnotation | None = None) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # what it finds comes as an exception
        source, self._names, self._logits = _with_outputs(Path(path), output)
        self._index = () if output is None else tuple(slice(None) if at is None else at for at in output.index)
        try:
            self._session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
            raise ModelError(f"{path}: onnxruntime cannot run the original model: {error}") from error
        self.name = Path(path).name

    def run(self, image_name: str, image: Array) -> list[Array]:
        """Run one image; all outputs that are of floats, each as one row. Other inputs are 0.

        Raises:
            OcclusionError: if the model has no image input of that name.
        """
        inputs = {value.name: value for value in self._session.get_inputs()}
        if image_name not in inputs:
            raise OcclusionError(f"{self.name}: expected an image input '{image_name}', found {', '.join(inputs)}")
        feeds = {
            name: np.zeros([size if isinstance(size, int) else 1 for size in value.shape], _dtype(value.type))
            for name, value in inputs.items()
            if name != image_name
        }
        dtype = np.dtype(_dtype(inputs[image_name].type))
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            image = np.rint(image).clip(limits.min, limits.max)
        outputs = self._session.run(self._names, {**feeds, image_name: image.astype(dtype)})
        arrays = [output for output in outputs if isinstance(output, np.ndarray) and output.dtype.kind == "f"]
        rows = [output[(slice(None), *self._index)] if self._index else output for output in arrays]
        return [np.asarray(row, np.float32).ravel() for row in rows]

    def others(self, image_name: str) -> list[str]:
        """Name the inputs beside the image."""
        return [value.name for value in self._session.get_inputs() if value.name != image_name]

    @property
    def half(self) -> bool:
        """Whether the model answers in 16 bits."""
        return any(value.type == "tensor(float16)" for value in self._session.get_outputs())

    def choose(self, outputs: list[Array], like: Array, logits: bool) -> int:
        """Find the output that a row of base scores is; with ``logits``, that before the Softmax.

        Raises:
            OcclusionError: if no output holds these scores.
        """
        scale = float(np.abs(like[np.isfinite(like)]).max(initial=0)) or 1.0
        own = len(outputs) - 1 if self._logits else None
        for at, output in enumerate(outputs):
            if (at == own) != logits or output.shape != like.shape:
                continue
            if largest_difference(output, like) <= (SAME_HALF_MODEL if self.half else SAME_MODEL) * scale:
                return at
        raise OcclusionError(
            f"{self.name} answers otherwise than the compiled model: it is not the one it was made of. Give the file "
            "that was compiled, or none to check against the compiled file's own base graph"
        )


def _dtype(kind: str) -> type[np.generic]:
    return _KINDS.get(kind, np.float32)


def _with_outputs(path: Path, output: OutputAnnotation | None) -> tuple[str | bytes, list[str] | None, bool]:
    """The model with the scores and what is before their Softmax as outputs, their names, and whether there is such.

    Without names, all outputs are meant.
    """
    try:
        model = onnx.load(str(path))
    except Exception as error:  # of many types: no file, no protobuf, no weights
        raise ModelError(f"{path}: the original model cannot be read ({error})") from error
    scores = model.graph.output[0].name if output is None else output.name
    logits = logits_name(model, scores)
    wanted = [*([] if output is None else [output.name]), *([] if logits is None else [logits])]
    there = [value.name for value in model.graph.output]
    if not wanted or model.ByteSize() >= onnx.checker.MAXIMUM_PROTOBUF:
        return str(path), None, False
    kind = model.graph.output[0].type.tensor_type.elem_type if output is None else onnx.TensorProto.UNDEFINED
    for name in wanted:
        if output is None or name not in there:
            added = onnx.ValueInfoProto(name=name)
            if kind:
                added = onnx.helper.make_tensor_value_info(name, kind, None)
            model.graph.output.append(added)
    return model.SerializeToString(), None if output is None else wanted, logits is not None


def logits_name(model: onnx.ModelProto, scores: str | None = None) -> str | None:
    """Name the tensor before the Softmax or Sigmoid that makes an output, or the first; None where there is none."""
    producers = {name: node for node in model.graph.node for name in node.output}
    node = producers.get(model.graph.output[0].name if scores is None else scores)
    while node is not None and node.op_type in _AFTER_SOFTMAX:
        node = producers.get(node.input[0])
    if node is None or node.op_type not in ("Softmax", "Sigmoid"):
        return None
    return str(node.input[0])
