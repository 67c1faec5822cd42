"""Hostile command lines: each over a folder of its own, some of whose files are hostile too."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError, EncodeError

from tests.fuzz.commands import pictures, texts
from tests.fuzz.commands.options import FLAGS, MODELS, OPTIONS, PLACES, VALUES

COMMANDS = ("compile", "explain", "tune")
HOLD = b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }\n"
"""The beginning of an array that no machine can hold."""
STREAMS = ("usual",) * 12 + ("ascii", "closed", "full", "broken", "latin-1")


@dataclass
class Call:
    """A command line over the files of a folder.

    Attributes:
        command: one of :data:`COMMANDS`.
        words: what follows it.
        streams: what standard output and error are.
        outputs: existing files that it may change, and the starts of the names of new ones.
        done: what was made hostile.
    """

    command: str
    words: list[str] = field(default_factory=list)
    streams: str = "usual"
    outputs: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)


def prepare(rng: np.random.Generator, template: Path, folder: Path) -> None:
    """Fill a folder with what calls name."""
    shutil.copytree(template, folder, symlinks=True, dirs_exist_ok=True)
    os.link(folder / "tiny.onnx", folder / "hard.onnx")
    (folder / "folder").mkdir()
    for name in ("fifo", "fifo.png", "fifo.json"):
        os.mkfifo(folder / name)
    pictures.device(folder / "dev")
    (folder / "link").symlink_to("precious.txt")
    (folder / "loop").symlink_to("loop")
    (folder / "precious.txt").write_text("years of work")
    (folder / "older.json").write_text('{"a": 1}')
    (folder / "empty").touch()
    (folder / "labels.txt").write_text("\n".join(texts.LABELS))
    (folder / "p.json").write_text(json.dumps(texts.PROCESSOR))
    (folder / "hold.npy").write_bytes(HOLD)
    for name in ("a0.png", "a1.png", "a2.png"):
        pictures.good(rng, folder / name)


def make_call(rng: np.random.Generator, folder: Path) -> Call:
    """A hostile call over the files of a folder, some of which become hostile."""
    call = Call(str(rng.choice(COMMANDS, p=[0.25, 0.6, 0.15])), streams=str(rng.choice(STREAMS)))
    for _ in range(int(rng.integers(0, 3))):
        _SPOILERS[int(rng.integers(len(_SPOILERS)))](rng, folder, call)
    usual = {"compile": "tiny.onnx", "explain": "tiny.krypton.onnx", "tune": "tiny.krypton.onnx"}[call.command]
    model = str(rng.choice(MODELS)) if rng.random() < 0.1 else usual
    if rng.random() < 0.15 and call.command != "compile":
        model = str(rng.choice(["tiny.onnx", "bare.krypton.onnx"]))
    call.words = [model]
    _WAYS[call.command](rng, call, model)
    for _ in range(int(rng.choice([0, 0, 1, 1, 3]))):
        option = str(rng.choice(OPTIONS[call.command]))
        value = str(rng.choice(VALUES[option]))
        call.words += [f"{option}{value}"] if option.endswith("=") else [option.strip(), value]
    if rng.random() < 0.2:
        call.words.append(str(rng.choice(FLAGS[call.command])))
    if "--force" in call.words:
        call.outputs |= {"precious.txt", "older.json", "tiny.krypton.onnx"}
        call.outputs |= set() if "--labels" in call.words else {"labels.txt"}
    call.outputs |= set(_replaced(call, folder))
    call.outputs.discard(model)
    if "--in-place" in call.words:
        call.outputs |= {model, str(Path(model).with_suffix(".tuning.png"))}
    if "--store" in call.words:
        call.outputs.add(model)
    return call


def _replaced(call: Call, folder: Path) -> Iterator[str]:
    """What an option names as the file to write and nothing else reads: replaced if that is asked for, or if empty."""
    for option, word in itertools.pairwise(call.words):
        if option in ("-o", "--output", "--report") and call.words.count(word) == 1:
            path = os.path.join(folder, word)  # noqa: PTH118 - Path raises where a name is too long
            if "--force" in call.words or (os.path.isfile(path) and os.path.getsize(path) == 0):  # noqa: PTH113, PTH202
                yield word


def _place(rng: np.random.Generator, call: Call, endings: tuple[str, ...] = ("",)) -> str:
    place = str(rng.choice(PLACES))
    good = place in ("new.onnx", "we\x1b[2Kird", "\udcff", "folder/in", "n" * 250, "../up")
    if good or endings != ("",):
        call.outputs |= {place + ending for ending in endings}
    elif place in ("precious.txt", "link", "older.json") and "--force" not in call.words:
        if rng.random() < 0.2:
            call.words.append("--force")
            call.outputs |= {"precious.txt" if place == "link" else place}
    elif place == "tiny.krypton.onnx" and place not in call.words:
        call.outputs.add(place)
    return place


def _compile(rng: np.random.Generator, call: Call, model: str) -> None:
    call.outputs |= {model.removesuffix(".onnx") + ".krypton.onnx"}
    if rng.random() < 0.3:
        call.words += ["-o", _place(rng, call)]
    if rng.random() < 0.2:
        call.words += ["--report", _place(rng, call)]
    if rng.random() < 0.1:
        trace = str(rng.choice(["t", "folder", "fifo", "missing/t", "precious.txt", "dev"]))
        call.words += ["--trace", trace]
        call.outputs |= {"t", "folder/"}


def _explain(rng: np.random.Generator, call: Call, model: str) -> None:
    names = list(rng.permutation(["a0.png", "a1.png", "a2.png"])[: int(rng.choice([1, 1, 2, 3]))])
    call.words += [*map(str, names), "--patch-size", "4", "--stride", "4"]
    if rng.random() < 0.1:
        call.words.insert(1, str(rng.choice([*PLACES, "folder"])))
    endings = ("_overlay.png", "_heatmap.npy", "_result.json")
    call.outputs |= {f"{stem}{ending}" for stem in ("a0", "a1", "a2") for ending in endings}
    call.outputs |= {f"{Path(word).stem}{ending}" for word in call.words[1:2] for ending in endings}
    choice = rng.random()
    if choice < 0.2:
        call.words += ["--output", _place(rng, call, endings)]
    elif choice < 0.35:
        place = str(rng.choice(["maps", "maps/deep", "folder", "fifo", "precious.txt", "dev", "loop", "", "\x1b[2K"]))
        call.words += ["--output-dir", place]
        call.outputs |= {place or "/", "maps"}
    if rng.random() < 0.1:
        call.words.append("--store")


def _tune(rng: np.random.Generator, call: Call, model: str) -> None:
    call.words += ["a0.png", "a1.png", "--patch-size", "6", "--stride", "8", "--quality"]
    call.words.append(str(rng.choice(VALUES["--quality"])) if rng.random() < 0.2 else "ssim>=0.1")
    stem = model.removesuffix(".onnx")
    call.outputs |= {f"{stem}.tuned", f"{stem}.krypton.tuned"}
    if rng.random() < 0.4:
        place = _place(rng, call)
        call.words += ["--output", place]
        call.outputs |= {str(Path(place).with_suffix(".tuning.png"))} if place not in ("", ".") else set()
    elif rng.random() < 0.2:
        call.words.append("--in-place")


_WAYS: dict[str, Callable[[np.random.Generator, Call, str], None]] = {
    "compile": _compile,
    "explain": _explain,
    "tune": _tune,
}


def _spoil_picture(rng: np.random.Generator, folder: Path, call: Call) -> None:
    name = str(rng.choice(["a0.png", "a1.png"]))
    if (folder / name).is_dir():
        return
    (folder / name).unlink(missing_ok=True)
    pictures.hostile(rng, folder / name)
    call.done.append(name)


def _spoil_labels(rng: np.random.Generator, folder: Path, call: Call) -> None:
    ending, content = texts.labels(rng)
    (folder / f"labels{ending}").write_bytes(content)
    call.done.append(f"labels{ending}")


def _spoil_configuration(rng: np.random.Generator, folder: Path, call: Call) -> None:
    kind = texts.CONFIGURATIONS[int(rng.integers(len(texts.CONFIGURATIONS)))]
    name = str(rng.choice(["p.json", "config.json", "preprocessor_config.json"]))
    (folder / name).write_bytes(texts.hostile_json(rng, kind))
    call.done.append(name)


def _spoil_metadata(rng: np.random.Generator, folder: Path, call: Call) -> None:
    name = str(rng.choice(["tiny.onnx", "tiny.krypton.onnx", "tiny.krypton.onnx", "bare.krypton.onnx"]))
    try:
        texts.hostile_metadata(rng, folder / name)
    except (DecodeError, EncodeError, TypeError, ValueError):  # its bytes were spoilt before, or half a character
        return
    call.done.append(name)


def _spoil_model(rng: np.random.Generator, folder: Path, call: Call) -> None:
    name = str(rng.choice(["tiny.onnx", "tiny.krypton.onnx"]))
    data = bytearray((folder / name).read_bytes())
    if data:
        at = int(rng.integers(len(data)))
        data = data[:at] if rng.random() < 0.3 else data
        if at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
    (folder / name).write_bytes(bytes(data))
    call.done.append(name)


_SPOILERS = (
    *(_spoil_picture, _spoil_picture, _spoil_labels, _spoil_configuration, _spoil_metadata, _spoil_metadata),
    _spoil_model,
)
