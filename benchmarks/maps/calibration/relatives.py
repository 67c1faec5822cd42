"""Make random relatives of a trained network: its weights with noise, its answers as sure as the trained one's.

For each:

    W' = W + s std(W) N(0, 1)      every weight of a convolution or product; s in [0.1, 0.3], another one a relative
    logits' = t logits             by the last weights and bias; t so that the median of the largest probability over
                                   some pictures is that of the trained network
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import numpy_helper

Array = npt.NDArray[np.float32]

_NOISE = (0.1, 0.3)
_WEIGHTED = ("Conv", "Gemm", "MatMul")


def make_relative(trained: Path, made: Path, seed: int, images: list[Array]) -> None:
    """Write the relative number ``seed`` of a trained model, as sure of ``images`` [1, ...] as that one is."""
    if made.exists():
        return
    rng = np.random.default_rng(seed)
    model = onnx.load(trained)
    weights = {entry.name: entry for entry in model.graph.initializer}
    weighted = [node for node in model.graph.node if node.op_type in _WEIGHTED]
    share = rng.uniform(*_NOISE)
    for node in weighted:
        for name in (name for name in node.input[1:2] if name in weights):
            values = numpy_helper.to_array(weights[name])
            noise = share * values.std() * rng.standard_normal(values.shape)
            _store(weights[name], values + noise)
    wanted = _sureness(onnx.load(trained), images, 1.0)
    low, high = 1e-3, 1e3
    for _ in range(30):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if _sureness(model, images, middle) < wanted else (low, middle)
    for name in (name for name in weighted[-1].input[1:] if name in weights):
        _store(weights[name], high * numpy_helper.to_array(weights[name]))
    whole = made.with_suffix(".part")
    onnx.save(model, whole)
    whole.replace(made)


def _store(entry: onnx.TensorProto, values: npt.NDArray[np.floating]) -> None:
    entry.CopyFrom(numpy_helper.from_array(np.asarray(values, np.float32), entry.name))


def _sureness(model: onnx.ModelProto, images: list[Array], scale: float) -> float:
    """The median over images of the largest probability, logits ``scale`` times as large."""
    key = hash(tuple(entry.raw_data[:64] for entry in model.graph.initializer))
    if key not in _LOGITS:
        session = ort.InferenceSession(model.SerializeToString())
        name = session.get_inputs()[0].name
        outputs = np.concatenate([session.run(None, {name: image})[0].reshape(1, -1) for image in images])
        probable = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
        _LOGITS[key] = np.log(np.maximum(outputs.astype(np.float64), 1e-300)) if probable else outputs
    logits = scale * _LOGITS[key]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return float(np.median(1 / odds.sum(axis=1)))


_LOGITS: dict[int, npt.NDArray[np.float64]] = {}
