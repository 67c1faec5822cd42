"""Open a model, compiled or not, as a session that knows how pictures become its input.

    model.krypton.onnx   opened as it is
    model.onnx           compiled into the cache first, or found there (krypton_compile/opening.py)

What the user says of preprocessing and labels, and the file does not know, is remembered beside the cache, so that it
need be said only once (krypton_compile/compiler/remembered.py). The file itself is written to with --store alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from krypton_compile.cli.labels_beside import find_labels
from krypton_compile.cli.model_options import model_arguments, model_flags
from krypton_compile.cli.named import of_option
from krypton_compile.cli.recipe import read_preprocessing
from krypton_compile.compiler.remembered import LABELS, PREPROCESSING, Memory
from krypton_compile.contract.annotations import LABELS_KEY, PREPROCESSING_KEY, write_labels
from krypton_compile.contract.labels import read_labels
from krypton_compile.contract.layouts import KINDS
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import ModelError
from krypton_compile.files.metadata import store
from krypton_compile.opening import Export, Opened, open_compiled
from krypton_compile.runtime.session import OcclusionSession

Say = Callable[[str], None]


@dataclass
class Described:
    """A session, and what its file at ``path`` does not know: of this, ``told`` is what the user said just now."""

    session: OcclusionSession
    path: Path
    memory: Memory
    unknown: tuple[str, ...]
    told: tuple[str, ...]
    into_file: bool = False

    def remember(self, say: Say) -> None:
        """Keep what was said, once: after the first picture that went well.

        Raises:
            OSError, ValueError: if it should go into the file (--store), and cannot.
        """
        if self.into_file and self.unknown:
            values = {
                PREPROCESSING: (PREPROCESSING_KEY, str(self._preprocessing.to_json())),
                LABELS: (LABELS_KEY, write_labels(self.session.labels or ())),
            }
            store(self.path, dict(values[kind] for kind in self.unknown))
            say(f"stored           {' and '.join(self.unknown)} in {self.path}")
        elif self.told:
            try:
                if PREPROCESSING in self.told:
                    self.memory.remember_preprocessing(self._preprocessing)
                if LABELS in self.told:
                    self.memory.remember_labels(tuple(self.session.labels or ()))
            except (OSError, ModelError) as error:  # no room for it, or the file is gone
                say(f"note             not remembered for the next time: {error}")
            else:
                places = ", ".join(str(self.memory.place(kind)) for kind in self.told)
                say(f"remembered       {' and '.join(self.told)} for {self.path.name}, in {places}")
        self.unknown = self.told = ()

    @property
    def _preprocessing(self) -> Preprocessing:
        assert self.session.preprocessing is not None
        return self.session.preprocessing


def open_model(options: argparse.Namespace, say: Say) -> Described:
    """Open the session that the command line asks for, and say what was compiled.

    Raises:
        KryptonError: if the file is no model, or one that cannot be compiled.
        ValueError: if preprocessing or labels do not fit, the preprocessing is not known, or the model's input is no
            picture.
    """
    opened = open_given(options, say, options.device, options.precision)
    session = opened.session
    if len(session.spatial) != 2:
        kind = KINDS[len(session.spatial)]
        raise ValueError(
            f"{options.model}: its input is a {kind} of {list(session.spatial)}; this command is "
            "for pictures. In Python, explain() takes it as an array"
        )
    if session.annotation.channels not in (1, 3):
        raise ValueError(
            f"{options.model}: its input has {session.annotation.channels} channels; pictures have 3 (colour) or 1 "
            "(grey). In Python, explain() takes the input as an array"
        )
    if options.store and opened.compiled is not None:
        raise ValueError(
            f"--store: {options.model} is not compiled. Compile it with what should be stored: krypton-compile "
            f"{options.model} --preprocess ... --labels ..."
        )
    return _described(opened, options, say)


def open_given(options: argparse.Namespace, say: Say, device: str = "cpu", precision: str | None = None) -> Opened:
    """Open the model of a command line, which may be compiled or not, and say what was compiled.

    Raises:
        KryptonError: if the file is no model, or one that cannot be compiled.
        ValueError: if it is compiled already, and options say what should be compiled.
    """
    arguments = model_arguments(options)
    opened = open_compiled(options.model, Export(**arguments), device, options.threads, precision)
    if opened.compiled is not None:
        if opened.cached:
            how = "compiled into" if opened.compiled else "found compiled in"
            say(f"model            {how} the cache, {opened.path}")
    elif arguments:
        flags, session = model_flags(), opened.session
        given, size = ", ".join(flags[name] for name in arguments), " x ".join(map(str, session.spatial))
        raise ValueError(
            f"{given}: {options.model} is compiled already (it was compiled as {session.layout} of {size}), and what "
            "would be chosen is fixed in it. Leave the options out, or give the model that it was compiled from"
        )
    return opened


def recall(session: OcclusionSession, memory: Memory) -> OcclusionSession:
    """A session that also knows what is remembered of its file, where the file itself does not say it."""
    preprocessing = memory.preprocessing() if session.preprocessing is None else None
    labels = memory.labels(session.classes) if session.labels is None else None
    return session if preprocessing is None and labels is None else session.described(preprocessing, labels)


def _described(opened: Opened, options: argparse.Namespace, say: Say) -> Described:
    """A session that knows what the options say of pictures and classes, and what its file does not know yet."""
    memory, file = Memory(opened.path, opened.cached), opened.session
    known = recall(file, memory)
    preprocessing = read_preprocessing(options, known.preprocessing)
    labels = known.labels
    if options.labels is not None:
        with of_option("--labels", options.labels):
            labels = read_labels(options.labels, file.classes)
    unknown, told = [], []
    for kind, used, stored, before in (
        (PREPROCESSING, preprocessing, file.preprocessing, known.preprocessing),
        (LABELS, labels, file.labels, known.labels),
    ):
        if used is not None and stored is None:
            unknown.append(kind)
            if before is None:
                told.append(kind)
        if before is not None and before != used:
            say(f"note             {_other(kind, stored is not None, opened.path, memory)}")
    if labels is None:
        beside = find_labels(options.model, file.classes)
        if beside is not None:
            labels = beside[1]
            unknown.append(LABELS)
            say(f"labels           {beside[0]}, beside the model")
    session = file.described(preprocessing, labels)
    return Described(session, opened.path, memory, tuple(unknown), tuple(told), options.store)


def _other(kind: str, in_file: bool, path: Path, memory: Memory) -> str:
    """Say that the file or the memory knows another preprocessing, or other labels, than this run uses."""
    name = "list of labels" if kind == LABELS else kind
    if in_file:
        return f"the file's own {name} is another one; this run uses what was given. To change {path}, compile it again"
    return (
        f"another {name} is remembered for {path.name}; this run uses what was given. Delete {memory.place(kind)} to "
        "have it forgotten"
    )


def find_original(model: Path, session: OcclusionSession) -> Path | None:
    """Find the model that was compiled: ``model`` itself, or what lies beside the compiled file, known by its hash."""
    name = model.name.removesuffix(".onnx").removesuffix(".tuned").removesuffix(".krypton") + ".onnx"
    original = model.with_name(name)
    if session.source_sha256 is None or not original.is_file():
        return None
    from krypton_compile.files.loading import sha256  # onnx-ir: for verification only

    return original if sha256(original) == session.source_sha256 else None
