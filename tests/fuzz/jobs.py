"""What is fuzzed, by kind; a job is a kind and a seed, and returns what came of it.

model      a mutated ONNX file through the compiler's command line
compiled   a mutated compiled file through plain onnxruntime and through an OcclusionSession
boxes      hostile inputs of a compiled model through plain onnxruntime
op         a mutated call of one op

A *bug* is anything but a result or a clear error: an exception of the wrong family, a message that says nothing, a
traceback on a command line, a contract that is broken. Crashes and hangs are seen from outside (running.py).
"""

from __future__ import annotations

import contextlib
import io
import linecache
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError

import krypton_compile
from krypton_compile import compile, get_library_path, passes, runtime, stages
from krypton_compile.cli import compile as compile_cli
from krypton_compile.compiler import pipeline
from krypton_compile.contract.annotations import MODEL_KEY, read_model_annotation
from krypton_compile.errors import KryptonError
from krypton_compile.runtime import OcclusionSession
from tests.fuzz.contract import Signature, hostile_feeds, is_allowed, valid_feeds
from tests.fuzz.mutations import mutate
from tests.fuzz.networks import networks
from tests.fuzz.op_cases import mutated_case

RESULT, ERROR, BUG = "result", "error", "bug"
_FATAL = 4  # onnxruntime's log level; its errors come as exceptions
_LONGEST = 2000

BOUNDARIES = (
    *("check_model(", "convert_version(", "from_proto(", "to_proto(", "optimize(", "Pass(", "load_model", "to_array("),
    *("FromString(", "load_external_data_for_tensor(", "InferenceSession(", ".run(", "run_with_ort_values("),
)
"""Where we hand a model to a library, which may find in it what we do not look for: what the stages are for."""


@dataclass(frozen=True)
class Outcome:
    """Of one job; ``kind`` is the error's class, ``parsed`` whether protobuf could read the file."""

    became: str
    kind: str = ""
    message: str = ""
    what: str = ""
    parsed: bool = True


def run_job(kind: str, seed: int) -> Outcome:
    """Runs it in this process."""
    rng = np.random.default_rng([sorted(JOBS).index(kind), seed])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return JOBS[kind](rng)


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(get_library_path())
    return ort.InferenceSession(model, options, ["CPUExecutionProvider"])


def _pick(rng: np.random.Generator, models: dict[str, onnx.ModelProto]) -> tuple[str, onnx.ModelProto]:
    name = sorted(models)[int(rng.integers(len(models)))]
    return name, models[name]


def _is_parsed(data: bytes) -> bool:
    try:
        return onnx.ModelProto.FromString(data).HasField("graph")
    except DecodeError:
        return False


def _model(rng: np.random.Generator) -> Outcome:
    name, original = _pick(rng, networks())
    data, done = mutate(rng, original)
    what, parsed = f"{name}: {', '.join(done)}", _is_parsed(data)
    verify = "--verify" if rng.random() < 0.7 else "--no-verify"
    with tempfile.TemporaryDirectory() as folder, _recorded() as raised:
        path = Path(folder) / "m.onnx"
        path.write_bytes(data)
        err = io.StringIO()
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
                code = compile_cli.main([str(path), verify])
        except BaseException as error:
            return Outcome(BUG, type(error).__name__, "".join(traceback.format_exception(error)), what, parsed)
        written = [one.name for one in Path(folder).iterdir() if one != path]
    said = err.getvalue().splitlines()
    if code == 0:
        wrong = "" if written == ["m.krypton.onnx"] and not said else f"wrote {written} and said {said}"
        return Outcome(BUG if wrong else RESULT, "", wrong, what, parsed)
    message = "\n".join(said)
    wrong = _what_is_wrong(raised[-1] if raised else None, message)
    if len(said) != 1 or not message.startswith("krypton-compile: error: ") or written or code != 2:
        wrong = wrong or f"exit code {code}, {len(said)} lines, wrote {written}"
    kind = type(raised[-1]).__name__ if raised else ""
    return Outcome(BUG if wrong else ERROR, kind, f"{wrong}: {message}" if wrong else message, what, parsed)


@contextlib.contextmanager
def _recorded() -> Iterator[list[BaseException]]:
    """The exceptions that the compiler raises, of which the command line shows the messages alone."""
    raised: list[BaseException] = []
    real = pipeline.compile

    def recording(*arguments: object, **options: object) -> object:
        try:
            return real(*arguments, **options)  # type: ignore[arg-type]
        except BaseException as error:
            raised.append(error)
            raise

    pipeline.compile = recording  # type: ignore[assignment]
    try:
        yield raised
    finally:
        pipeline.compile = real


def _what_is_wrong(error: BaseException | None, message: str) -> str:
    """Why this refusal is none, or an empty string."""
    if error is None:
        return "refused without an exception"
    if not isinstance(error, KryptonError):
        return f"a {type(error).__name__}, no KryptonError\n" + "".join(traceback.format_exception(error))
    if len(message) > _LONGEST:
        return f"a message of {len(message)} characters"
    raised_in = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    # What a stage turned into a ModelError nobody has thought of; other places know why they catch what they catch.
    if raised_in[-1] == stages.__file__ and not isinstance(root, MemoryError) and _is_our_mistake(root):
        return "our own code was surprised\n" + "".join(traceback.format_exception(root))
    return ""


def _is_our_mistake(error: BaseException) -> bool:
    """Whether an exception came up in our code, without a ``raise`` there and where no library had the model."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = [at for at, (path, _) in enumerate(frames) if path.startswith(_folders())]
    if not ours:
        return False
    statement = linecache.getline(*frames[ours[-1]])
    if ours[-1] == len(frames) - 1:
        return not statement.lstrip().startswith("raise")
    return not any(call in statement for call in BOUNDARIES)


@cache
def _folders() -> tuple[str, ...]:
    """Where our code is: in an editable install the passes and the runtime lie elsewhere."""
    return tuple(f"{Path(str(module.__file__)).parent}/" for module in (krypton_compile, passes, runtime))


@cache
def _compiled() -> dict[str, onnx.ModelProto]:
    chunks = {"small": 1, "branches": 5}
    return {name: compile(model, verify=False, chunk=chunks.get(name))[0] for name, model in networks().items()}


@cache
def _opened(name: str) -> tuple[ort.InferenceSession, Signature]:
    model = _compiled()[name]
    text = next(entry.value for entry in model.metadata_props if entry.key == MODEL_KEY)
    about = read_model_annotation(text)
    names = (about.image, about.boxes, about.baseline, about.patches, about.mask)
    session = _session(model.SerializeToString())
    image = next(value for value in session.get_inputs() if value.name == about.image)
    groups = max(1, len(about.layer_groups))
    return session, Signature(names, tuple(image.shape), about.image_shape, about.channels, groups)


def _boxes(rng: np.random.Generator) -> Outcome:
    name, _ = _pick(rng, networks())
    session, signature = _opened(name)
    feeds = hostile_feeds(rng, signature)
    allowed, what = is_allowed(feeds, signature), f"{name}: " + _shapes(feeds)
    try:
        scores, base = session.run(None, feeds)[:2]
    except Exception as error:
        overflows = any((np.abs(one) > 1e30).any() for one in feeds.values() if one.dtype == np.float32)
        wrong = "allowed by the contract" if allowed and not overflows else _what_is_unclear(error)
        return Outcome(BUG if wrong else ERROR, type(error).__name__, f"{wrong} {error}".strip(), what)
    boxes = feeds[signature.names[1]]
    wrong = "" if allowed else "not allowed by the contract, and a result"
    if scores.shape != (len(boxes), base.shape[1]):
        wrong = f"scores {scores.shape} of {len(boxes)} boxes"
    return Outcome(BUG if wrong else RESULT, "", wrong, what)


def _what_is_unclear(error: Exception) -> str:
    text = str(error)
    return "" if text.strip() and len(text) <= _LONGEST and "Unknown exception" not in text else "an unclear message:"


def _shapes(feeds: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in feeds.items())


def _op(rng: np.random.Generator) -> Outcome:
    model, feeds, what = mutated_case(rng)
    try:
        _session(model.SerializeToString()).run(None, feeds)
    except Exception as error:
        wrong = _what_is_unclear(error)
        return Outcome(BUG if wrong else ERROR, type(error).__name__, f"{wrong} {error}".strip(), what)
    return Outcome(RESULT, what=what)


def _mutated_compiled(rng: np.random.Generator) -> Outcome:
    name, original = _pick(rng, _compiled())
    _, signature = _opened(name)
    data, done = mutate(rng, original)
    what, parsed = f"{name}: {', '.join(done)}", _is_parsed(data)
    feeds = valid_feeds(rng, signature)
    plain = _run_plain(data, feeds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.krypton.onnx"
        path.write_bytes(data)
        image, boxes, baseline = (feeds[one] for one in signature.names[:3])
        try:
            session = OcclusionSession(path, threads=1)
            session.run(image, boxes, baseline)
            # The pictures' way: labels, preprocessing and tuning are read too.
            session.explain(
                image, patch_size=5, stride=4, baseline=baseline, layout=None, check=bool(rng.random() < 0.5)
            )
        except Exception as error:
            wrong = plain or _what_is_wrong(error, str(error))
            kind = type(error).__name__
            return Outcome(BUG if wrong else ERROR, kind, f"{wrong}: {error}" if wrong else str(error), what, parsed)
    return Outcome(BUG if plain else RESULT, "", plain, what, parsed)


def _run_plain(data: bytes, feeds: dict[str, np.ndarray]) -> str:
    """What is wrong with how plain onnxruntime takes the file: nothing, if it is refused or runs."""
    try:
        session = _session(data)
        inputs = {value.name for value in session.get_inputs()}
        session.run(None, {name: array for name, array in feeds.items() if name in inputs})
    except Exception as error:
        return _what_is_unclear(error) and f"an unclear message: {error}"
    return ""


JOBS: dict[str, Callable[[np.random.Generator], Outcome]] = {
    "boxes": _boxes,
    "compiled": _mutated_compiled,
    "model": _model,
    "op": _op,
}
