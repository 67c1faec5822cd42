"""Verify a compiled model: a few positions against the original one, really occluded.

The positions are all corners, the whole image and a few random ones, on a seeded random image. The difference must
stay within the bound of exact results (DESIGN section 10), on the tensor before a final Softmax where there is one.

Some networks amplify rounding: onnxruntime then differs from itself, with its optimizations and without, by nearly as
much as the bound. For those the bound is a multiple of that difference, and the report says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from krypton_compile.contract import geometry
from krypton_compile.contract.exactness import LARGEST_NOISE, LOGIT_BOUND, NOISE_FACTOR, PROBABILITY_BOUND
from krypton_compile.contract.occlude import occlude
from krypton_compile.errors import LibraryError, VerificationError
from krypton_compile.ort.errors import explain
from krypton_compile.ort.library import get_library_path
from krypton_compile.ort.plain_session import open_session
from krypton_compile.passes.interface import Interface

_INTERIOR = 3
_MOST_OF_ANY = np.float32(128)
"""One more than the largest number of the smallest type of integers."""


@dataclass(frozen=True)
class Comparison:
    """The position at which a compiled model differs most from the original one, in units of the bound.

    Attributes:
        positions: how many were compared.
        box: the worst of them, its starts and then its sizes.
        name: the tensor that was compared.
        kind: "logits" or "scores".
        difference: the largest difference of an entry at ``box``.
        bound: what it may be.
        noise: by how much onnxruntime differs from itself, where that made the bound; else 0.
        of_one_colour: whether the original answers an image that is hidden as a whole; if not, that was left out.
    """

    positions: int
    box: tuple[int, ...]
    name: str
    kind: str
    difference: float
    bound: float
    noise: float = 0.0
    of_one_colour: bool = True

    @property
    def holds(self) -> bool:
        """Whether the difference is a number within its bound."""
        return self.difference <= self.bound

    def require(self) -> None:
        """Refuse a difference beyond the bound.

        Raises:
            VerificationError: if ``difference`` is larger than ``bound``, or is not a number.
        """
        if not self.holds:
            raise VerificationError(
                f"box (starts, sizes) {list(self.box)}: '{self.name}' differs from the original model by "
                f"{self.difference:.3g}, expected at most {self.bound:.3g}. Nothing is written; please report this."
            )

    def describe(self, frozen: int = 0) -> str:
        """Say in a sentence what was compared; the number of ``frozen`` gates makes it approximate."""
        approximate = f"; APPROXIMATE, frozen gates: {frozen}" if frozen else ""
        difference = f"largest difference of the {self.kind} {self.difference:.2g} (bound {self.bound:.2g})"
        own = f"; this network amplifies rounding, onnxruntime differs from itself by {self.noise:.2g}"
        none = "" if self.of_one_colour else "; the model has no finite answer to an image of one colour, left out"
        return f"{self.positions} positions, {difference}{own if self.noise else ''}{none}{approximate}"


def compare_models(
    original: onnx.ModelProto,
    compiled: onnx.ModelProto,
    interface: Interface,
    grid: geometry.Boxes,
    *,
    integers: bool = False,
) -> Comparison:
    """Run both models on a few positions of a random image.

    Args:
        original: the model as its user has it.
        compiled: what it was compiled to.
        interface: the image and the scores, which have the same names in both.
        grid: positions to choose from, int32 [P, 2n].
        integers: whether the image is of whole numbers, 0 to 127, as the original's own were; else of 0 to 1.

    Raises:
        VerificationError: if one of the models does not run, or the original's scores are not finite.
        LibraryError: if the library of ops cannot be loaded.
    """
    rng = np.random.default_rng(0)
    shape = interface.shape
    image = rng.uniform(0, 1, shape).astype(np.float32)
    if integers:
        image = np.floor(image * _MOST_OF_ANY)
    boxes = _positions(interface, grid, rng)
    use_logits = interface.logits is not None and _has_tensor(original, str(interface.logits.name))
    target = interface.logits if use_logits and interface.logits is not None else interface.scores
    try:
        reference = _reference_session(original, str(target.name))
        expected = np.stack([_occluded_row(reference, str(target.name), image, box, interface) for box in boxes])
        base = reference.run([target.name], {str(interface.image.name): image})[0].reshape(-1)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise VerificationError(f"the original model does not run in onnxruntime: {explain(error)}") from error
    whole = (boxes[:, len(interface.image_shape) :] == interface.image_shape).all(axis=1)
    answers = np.isfinite(expected[whole][:, np.isfinite(base)]).all()
    if not answers:  # of one colour alone the model itself has none, as after a division by a deviation
        boxes, expected = boxes[~whole], expected[~whole]
    alive = np.isfinite(base) | np.isfinite(expected).any(axis=0)  # a class may be masked, or not trained
    if not (alive.any() and np.isfinite(expected[:, alive]).all() and np.isfinite(base[alive]).all()):
        raise VerificationError(
            f"'{target.name}' of the original model is not finite for a random image from 0 to 1, or with a part of it "
            "0. Check that its weights are finite. If the model needs other images, compile it without verification."
        )
    try:
        rows = _compiled_rows(compiled, image, boxes, use_logits)
    except LibraryError:
        raise
    except Exception as error:
        raise VerificationError(
            f"the compiled model does not run: {explain(error)}. Please report this model."
        ) from error
    if not np.array_equal(rows[:, ~alive], expected[:, ~alive], equal_nan=True):
        rows = np.full_like(rows, np.nan)  # what is not finite must not be so in another way
    rows, expected, base = rows[:, alive], expected[:, alive], base[alive]
    is_probability = interface.logits is not None and not use_logits
    # A row is measured by the larger of its own scores and the base's: both went into it.
    scale = np.ones(len(boxes)) if is_probability else np.maximum(np.abs(expected).max(axis=1), np.abs(base).max())
    scale = np.maximum(scale, np.finfo(np.float32).tiny)  # a model that answers nothing but zeros
    bounds = (PROBABILITY_BOUND if is_probability else LOGIT_BOUND) * scale
    differences, noise = np.abs(rows - expected).max(axis=1), 0.0
    if (differences > bounds).any():
        noise = _own_noise(original, str(target.name), image, boxes, interface, expected, alive)
        bounds = np.maximum(bounds, min(NOISE_FACTOR * noise, LARGEST_NOISE * float(scale.max())))
        noise = noise if (differences <= bounds).all() else 0.0
    worst = int((differences / bounds).argmax())
    difference, bound = float(differences[worst]), float(bounds[worst])
    kind = "logits" if use_logits else "scores"
    box = tuple(boxes[worst].tolist())
    return Comparison(len(boxes), box, str(target.name), kind, difference, bound, noise, bool(answers))


def _own_noise(
    original: onnx.ModelProto,
    target: str,
    image: npt.NDArray[np.float32],
    boxes: geometry.Boxes,
    interface: Interface,
    expected: npt.NDArray[np.float32],
    alive: npt.NDArray[np.bool_],
) -> float:
    """By how much onnxruntime without its optimizations differs from ``expected``, on the same images and classes."""
    plain = _reference_session(original, target, optimized=False)
    rows = np.stack([_occluded_row(plain, target, image, box, interface)[alive] for box in boxes])
    return float(np.abs(rows - expected).max())


def _positions(interface: Interface, grid: geometry.Boxes, rng: np.random.Generator) -> geometry.Boxes:
    sizes = interface.image_shape
    patch = grid[int(geometry.areas(grid).argmax()), len(sizes) :].tolist()
    corners = product(*((0, size - extent) for size, extent in zip(sizes, patch, strict=True)))
    origin = (0,) * len(sizes)
    chosen = [(*corner, *patch) for corner in corners] + [(*origin, *sizes), (*origin, *sizes[:-1], -(-sizes[-1] // 2))]
    interior = rng.integers(0, len(grid), _INTERIOR)
    return np.concatenate([np.array(chosen, np.int32), grid[interior]])


def _has_tensor(model: onnx.ModelProto, name: str) -> bool:
    return any(name in node.output for node in model.graph.node)


def _reference_session(original: onnx.ModelProto, target: str, *, optimized: bool = True) -> ort.InferenceSession:
    model = onnx.ModelProto()
    model.CopyFrom(original)
    if target not in [value.name for value in model.graph.output]:
        model.graph.output.append(onnx.helper.make_tensor_value_info(target, onnx.TensorProto.FLOAT, None))
    return open_session(model, optimized=optimized)


def _occluded_row(
    session: ort.InferenceSession,
    output: str,
    image: npt.NDArray[np.float32],
    box: npt.NDArray[np.int32],
    interface: Interface,
) -> npt.NDArray[np.float32]:
    occluded = occlude(image, box[None], 0.0, interface.layout)
    row = session.run([output], {str(interface.image.name): occluded})[0]
    return np.asarray(row, np.float32).reshape(-1)


def _compiled_rows(
    compiled: onnx.ModelProto,
    image: npt.NDArray[np.float32],
    boxes: geometry.Boxes,
    use_logits: bool,
) -> npt.NDArray[np.float32]:
    session = open_session(compiled, get_library_path())
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    own = image.reshape(session.get_inputs()[0].shape)  # as the user's model has it
    feeds = {inputs[0]: own, inputs[1]: boxes, inputs[2]: np.zeros_like(own)}
    return np.asarray(session.run([outputs[2 if use_logits else 0]], feeds)[0])
