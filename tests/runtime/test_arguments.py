"""Whatever a caller gives, the error is the package's own: a property of every public function and every argument."""

from __future__ import annotations

import inspect
import io
import linecache
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import krypton_compile
from krypton_compile import compile, open_session
from krypton_compile.captum import FeatureAblation, Occlusion
from krypton_compile.compiler.arguments import check_arguments
from krypton_compile.errors import KryptonError, OcclusionError
from krypton_compile.opening import Export
from krypton_compile.runtime import Approximation, DrillDown, OcclusionSession, Preprocessing, Request, Thresholds
from krypton_compile.runtime.approximation.bounds import Bound
from krypton_compile.runtime.approximation.sampling import Sampling
from tests.support.small import SHAPE, small_model

torch = pytest.importorskip("torch")

IMAGE = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
BOXES = np.array([[0, 0, 4, 4], [3, 3, 5, 5]])


class Odd:
    """A value of no known type."""

    def __repr__(self):
        return "<Odd>"


_PLAIN = [None, True, False, Odd(), object(), Ellipsis, slice(2), 1j, {}, {"a": 1}, set(), range(4), iter([1])]
_BYTES = [b"", b"x", bytearray(b"x"), memoryview(b"abc"), io.BytesIO(b"x"), Path("nowhere"), Path("/tmp"), "9" * 5000]
_LISTS = [[[1], [1, 2]], [None], [2**70], (2**63, 1), [1.5, 2], (True, False), ["a", "b"], "é\0", "ssim>=0.9", "slic:5"]
_SCALARS = [
    np.bool_(True),
    np.float32(2),
    np.int64(5),
    np.dtype("f4"),
    np.array([None, 1], object),
    np.zeros(2, "M8[s]"),
]
_TENSORS = [torch.zeros(SHAPE), torch.zeros(3), torch.tensor(1), np.zeros(SHAPE, np.uint8), np.zeros((20, 24, 3))]
_ARRAYS = [np.full(SHAPE, np.nan, np.float32), np.zeros(SHAPE, np.float32), np.full((1, 4), 2**62)]
ODD = st.sampled_from([*_PLAIN, *_BYTES, *_LISTS, *_SCALARS, *_TENSORS, *_ARRAYS, np.full((2, 4), 2**63, np.uint64)])
NUMBERS = st.one_of(
    st.integers(), st.integers(-3, 40), st.sampled_from([2**31, 2**63, 2**70, -(2**63)]), st.floats(), st.booleans()
)
TEXTS = st.one_of(
    st.text(max_size=8), st.sampled_from(["all", "argmax", "pda", "noise", "blur:1e400", "1,2", "-1", "x"])
)
ARRAYS = arrays.arrays(
    st.one_of(arrays.scalar_dtypes()), arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)
)
VALUES = st.one_of(ODD, NUMBERS, TEXTS, ARRAYS, st.lists(NUMBERS, max_size=5), st.tuples(NUMBERS, NUMBERS))


def raises_only_ours(ask, *arguments, **named):
    """Run ``ask``; what it raises was raised by a line of this package that raises, with a documented type."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = ask(*arguments, **named)
            if hasattr(answer, "__next__"):
                next(answer, None)
    except KryptonError:
        return
    except (ValueError, OSError, AssertionError, NotImplementedError, IndexError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = linecache.getline(last.filename, last.lineno).strip()
        ours = any(f"/{part}/" in last.filename for part in ("krypton_compile", "runtime", "passes"))
        if isinstance(error, OSError) or (ours and line.startswith("raise")):
            return
        raise


def used(build, ask):
    """A function that builds a value of its arguments, and then uses it."""

    def both(**named):
        ask(build(**named))

    return both


def faces(session):
    """Each public function: a name, the function, arguments that it takes, and those that are varied."""
    small, prepared = {"image": IMAGE, "patch_size": 8, "stride": 8}, session.prepare(IMAGE)
    found, several = session.explain(**small), session.explain(IMAGE, patch_sizes=[8, 10], stride=8)

    def approximately(settings):
        session.explain(**small, approximation=settings, check=False)

    yield from (
        (name, getattr(session, name), small, None)
        for name in ("explain", "iter_explain", "explain_progressively", "estimate")
    )
    boxes = {"image": IMAGE, "boxes": BOXES}
    yield from ((name, getattr(session, name), boxes, None) for name in ("score_boxes", "run"))
    ready = {"prepared": prepared, "boxes": BOXES}
    yield from ((name, getattr(session, name), ready, None) for name in ("score", "iter_score", "changes"))
    yield "prepare", session.prepare, {"image": IMAGE}, None
    yield "settings_for", session.settings_for, {"quality": "ssim>=0.9"}, None
    yield "verify", session.verify, {"explanation": found, "image": IMAGE, "windows": 1}, None
    yield "described", session.described, {}, None
    for one in (found, several):
        for name in ("heatmap", "overlay", "class_index", "panels"):
            yield f"{type(one).__name__}.{name}", getattr(one, name), {}, None
    yield "values", found.values, {}, None
    yield "Request", Request, {}, ["patch_size", "approximation", "classes", "samples", "edge", "batch_size", "value"]
    yield "Approximation", used(Approximation, approximately), {}, ["tau", "eps", "drill_down", "sampling", "precision"]
    yield (
        "Thresholds",
        used(Thresholds, lambda some: session.score(prepared, BOXES, some)),
        {},
        ["tau", "eps", "precision"],
    )
    drilled = used(lambda **named: Approximation(drill_down=DrillDown(**named)), approximately)
    yield "DrillDown", drilled, {}, ["r", "coarse_stride", "coarse_patch"]
    sampled = used(lambda **named: Approximation(sampling=Sampling(**named)), approximately)
    yield "Sampling", sampled, {"bounds": (Bound("ssim", 0.9),)}, ["bounds", "scale", "floors", "first", "share"]
    picture = np.zeros((30, 40, 3), np.uint8)
    prepared_so = used(
        lambda **named: session.described(Preprocessing(**named)), lambda one: one.explain(picture, 8, 8)
    )
    yield "Preprocessing", prepared_so, {}, list(inspect.signature(Preprocessing).parameters)
    yield "compile", lambda **named: check_arguments(named), {}, list(inspect.signature(compile).parameters)[1:]
    yield "compile", compile, {"model": b""}, ["model"]
    yield "open_session", open_session, {"model": b""}, None
    exported = used(Export, lambda export: open_session(small_model(), export=export))
    yield "Export", exported, {}, ["image_size", "layout", "channels", "chunk", "output_index", "held", "input_name"]
    yield "get_library_path", krypton_compile.get_library_path, {}, None


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_errors_are_our_own(session, data, tmp_path_factory):
    if not hasattr(session, "faces"):
        session.faces = list(faces(session))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KRYPTON_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        _, ask, base, varied = data.draw(st.sampled_from(session.faces))
        names = varied or [name for name in inspect.signature(ask).parameters if name not in ("self", "progress")]
        changed = data.draw(st.dictionaries(st.sampled_from(names), VALUES, min_size=1, max_size=2))
        raises_only_ours(ask, **{**base, **changed})


OPTIONS = ["model", "providers", "threads", "precision", "preprocessing", "labels"]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(OPTIONS), value=VALUES)
def test_options_of_a_session(compiled, name, value):
    raises_only_ours(OcclusionSession, **{"model": compiled, "threads": 1, name: value})


WINDOWS = {"sliding_window_shapes": (3, 8, 8), "strides": (3, 8, 8), "target": 1}
FEATURES = {"feature_mask": torch.arange(4).repeat_interleave(120).reshape(1, 1, 20, 24), "target": 1}


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_arguments_of_captums(compiled, data):
    """What Captum asserts, a stand-in asserts too."""
    kind, base = data.draw(st.sampled_from([(Occlusion, WINDOWS), (FeatureAblation, FEATURES)]))
    base = {"inputs": torch.from_numpy(IMAGE), **base}
    name = data.draw(st.sampled_from([*base, "baselines", "perturbations_per_eval", "additional_forward_args"]))
    raises_only_ours(kind(str(compiled)).attribute, **{**base, name: data.draw(VALUES)})


@pytest.mark.parametrize("chunk", [0, -1, True, 1.5, "8", 2**31])
def test_no_chunk_of_no_positions(chunk):
    for ask in (
        lambda: compile(small_model(), chunk=chunk),
        lambda: open_session(small_model(), export=Export(chunk=chunk)),
    ):
        with pytest.raises(KryptonError, match=rf"chunk {chunk!r}: expected an integer from 1 on"):
            ask()


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
@pytest.mark.parametrize("axis", [0, 1])
def test_boxes_whose_sums_wrap_are_refused(session, kind, axis):
    """In 64 bits start + size may be a small number again, and in 32 bits each of them another box's."""
    box = np.array([0, 0, 4, 4], kind)
    for start, size in ((2**62, 2**62), (2**63 - 1, 2**63 - 1), (2**32, 2**32), (2**63 - 3, 2**63 - 1), (3, 2**63 - 1)):
        box[[axis, axis + 2]] = start, size
        with pytest.raises(OcclusionError, match=r"row 1 .* does not lie inside the image"):
            session.score_boxes(IMAGE, np.stack([BOXES[0].astype(kind), box]))
    if kind is np.uint64:
        box[[axis, axis + 2]] = 2**64 - 2, 2
        with pytest.raises(OcclusionError, match="does not lie inside the image"):
            session.score_boxes(IMAGE, box[None])
